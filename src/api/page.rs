//! Pages of results: Bundles of type history and searchset, put together from recorded bytes.
//!
//! Resources are copied as they were recorded, never parsed and written again (R4 bundle.html).

use anamnesis_fhir::json::escape_into;

use crate::error::{Issue, outcome};

/// A link to a page (R4 http.html section 3.1.1.4.4).
pub(crate) struct Link {
    pub(crate) relation: &'static str,
    pub(crate) url: String,
}

/// What stands before the entries.
pub(crate) struct Head<'a> {
    /// `history` or `searchset`.
    pub(crate) kind: &'static str,
    /// Names this page.
    pub(crate) id: &'a str,
    pub(crate) total: Option<u64>,
    pub(crate) links: &'a [Link],
}

/// A Bundle being written.
pub(crate) struct Page {
    out: Vec<u8>,
    entries: usize,
}

impl Page {
    /// Begins a Bundle; `capacity` is about how many bytes the entries will take.
    pub(crate) fn new(head: &Head<'_>, capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity + 512);
        out.extend_from_slice(br#"{"resourceType":"Bundle","id":""#);
        escape_into(&mut out, head.id);
        out.extend_from_slice(br#"","type":""#);
        out.extend_from_slice(head.kind.as_bytes());
        out.push(b'"');
        if let Some(total) = head.total {
            out.extend_from_slice(format!(r#","total":{total}"#).as_bytes());
        }
        for (index, link) in head.links.iter().enumerate() {
            out.extend_from_slice(if index == 0 { br#","link":["# } else { b"," });
            out.extend_from_slice(br#"{"relation":""#);
            out.extend_from_slice(link.relation.as_bytes());
            out.extend_from_slice(br#"","url":""#);
            escape_into(&mut out, &link.url);
            out.extend_from_slice(br#""}"#);
        }
        if !head.links.is_empty() {
            out.push(b']');
        }
        Self { out, entries: 0 }
    }

    /// Adds an entry: the address of a resource, its bytes (none for a delete), and further members as JSON, each
    /// with its name.
    pub(crate) fn entry(
        &mut self,
        full_url: Option<&str>,
        resource: Option<&[u8]>,
        members: &[(&str, &str)],
    ) {
        self.out.extend_from_slice(if self.entries == 0 { br#","entry":["# } else { b"," });
        self.entries += 1;
        self.out.push(b'{');
        let mut first = true;
        let mut name = |out: &mut Vec<u8>, name: &str| {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
        };
        if let Some(url) = full_url {
            name(&mut self.out, "fullUrl");
            self.out.push(b'"');
            escape_into(&mut self.out, url);
            self.out.push(b'"');
        }
        if let Some(resource) = resource {
            name(&mut self.out, "resource");
            self.out.extend_from_slice(resource);
        }
        for (member, json) in members {
            name(&mut self.out, member);
            self.out.extend_from_slice(json.as_bytes());
        }
        self.out.push(b'}');
    }

    /// Adds what there is to say of a page, if anything (R4 search.html#outcome).
    pub(crate) fn outcome(&mut self, correlation_id: &str, issues: &[Issue]) {
        if !issues.is_empty() {
            let said = outcome(correlation_id, issues);
            self.entry(None, Some(&said), &[("search", r#"{"mode":"outcome"}"#)]);
        }
    }

    /// Ends the Bundle.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.entries > 0 {
            self.out.push(b']');
        }
        self.out.push(b'}');
        self.out
    }
}
