//! Links between the entries of a transaction: which local reference each `fullUrl` and each condition stands for,
//! and the resources rewritten accordingly (R4 http.html#trules).

use std::collections::HashMap;

use anamnesis_fhir::json::Value;
use anamnesis_fhir::references::{self, Link, LinkKind, Target as Literal, may_hold_indirect_links};

use super::named::is_literal;
use crate::error::{Issue, IssueCode};

/// What the bundle's own names stand for: `urn:uuid:…` or an address → `Patient/1`.
#[derive(Debug, Default)]
pub(super) struct Identities {
    local: HashMap<String, String>,
    /// True where a name is an address, which can stand in any link.
    has_addresses: bool,
}

impl Identities {
    /// The `fullUrl` of an entry now stands for this reference.
    pub(super) fn add(&mut self, full_url: &str, local: &str) {
        self.has_addresses |= Literal::parse(full_url).is_some();
        self.local.insert(normal(full_url), local.to_owned());
    }

    /// The names as an entry sees them: a relative reference in a resource whose `fullUrl` is an address is relative to
    /// that address, in any other it is this server's (R4 bundle.html#references).
    pub(super) fn seen_from<'i>(&'i self, full_url: Option<&'i str>) -> View<'i> {
        View { identities: self, base: full_url.and_then(Literal::parse).and_then(|literal| literal.base) }
    }

    /// What a link stands for; a fragment behind it stays.
    pub(super) fn find(&self, link: &str) -> Option<String> {
        if let Some(local) = self.local.get(&normal(link)) {
            return Some(local.clone());
        }
        let (name, fragment) = link.split_once('#')?;
        self.local.get(&normal(name)).map(|local| format!("{local}#{fragment}"))
    }

    /// A query with every `urn:uuid:…` replaced that the bundle names, also where the colons are percent-encoded; but not
    /// in what is compared with codes, identifiers and texts, which stay as they are sent.
    pub(super) fn rewrite_query(&self, query: &str) -> String {
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_literal(&name.replace("%3A", ":").replace("%3a", ":")) => pair.to_owned(),
            _ => self.rewrite_names(pair),
        });
        pairs.collect::<Vec<_>>().join("&")
    }

    fn rewrite_names(&self, query: &str) -> String {
        const UUID_LENGTH: usize = 36;
        let mut out = String::with_capacity(query.len());
        let mut rest = query;
        while let Some(at) = rest.find("urn") {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            let prefix =
                ["urn:uuid:", "urn%3Auuid%3A", "urn%3auuid%3a"].into_iter().find(|p| from.starts_with(p));
            let name = prefix.and_then(|prefix| from.get(prefix.len()..prefix.len() + UUID_LENGTH));
            match (prefix, name.and_then(|uuid| self.find(&format!("urn:uuid:{uuid}")))) {
                (Some(prefix), Some(local)) => {
                    out.push_str(&local);
                    rest = from.get(prefix.len() + UUID_LENGTH..).unwrap_or("");
                }
                _ => {
                    out.push_str("urn");
                    rest = from.get(3..).unwrap_or("");
                }
            }
        }
        out.push_str(rest);
        out
    }
}

/// What the bundle's names stand for in one of its resources.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'i> {
    identities: &'i Identities,
    base: Option<&'i str>,
}

impl View<'_> {
    pub(super) fn find(&self, link: &str) -> Option<String> {
        let relative = || {
            let literal = Literal::parse(link).filter(|literal| literal.base.is_none())?;
            self.identities.find(&format!("{}/{}/{}", self.base?, literal.resource_type, literal.id))
        };
        self.identities.find(link).or_else(relative)
    }
}

/// The names of a URN's scheme and namespace are case-insensitive (RFC 8141 section 3.1), and so are UUIDs (RFC 9562).
pub(super) fn normal(link: &str) -> String {
    let is_uuid = link.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("urn:uuid:"));
    if is_uuid { link.to_ascii_lowercase() } else { link.to_owned() }
}

/// A conditional reference that a resource holds.
#[derive(Debug, Clone)]
pub(super) struct ConditionalReference {
    /// As it stands in the resource.
    pub(super) text: String,
    /// Type and criteria.
    pub(super) resource_type: String,
    pub(super) query: String,
    /// FHIRPath of the place.
    pub(super) path: String,
}

/// The conditional references of a resource. `path` is the FHIRPath of the resource.
pub(super) fn conditional_references(resource: Value<'_>, path: &str) -> Vec<ConditionalReference> {
    if !may_hold_indirect_links(resource.raw()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for link in references::links(resource, &type_of(resource)) {
        if let Some(conditional) = link.conditional() {
            found.push(ConditionalReference {
                text: link.text.to_string(),
                resource_type: conditional.resource_type.to_owned(),
                query: conditional.query.to_owned(),
                path: format!("{path}.{}", references::path_of(resource, link.value)),
            });
        }
    }
    found
}

/// The text of a resource with its links rewritten. `conditions` gives the reference for each conditional one.
///
/// # Errors
/// References by URN that no entry of the bundle answers.
pub(super) fn rewrite(
    resource: Value<'_>,
    path: &str,
    identities: &View<'_>,
    conditions: &HashMap<String, String>,
) -> Result<Vec<u8>, Vec<Issue>> {
    let raw = resource.raw();
    if !identities.identities.has_addresses && !may_hold_indirect_links(raw) {
        return Ok(raw.as_bytes().to_vec());
    }
    let mut issues = Vec::new();
    let splice = references::rewrite(resource, &type_of(resource), |link| {
        let new = local(link, identities, conditions);
        if new.is_none() && link.kind == LinkKind::Reference && is_placeholder(&link.text) {
            let what = "No entry of the bundle has this fullUrl.";
            let mut issue = Issue::error(IssueCode::NotFound, what);
            issue.expression.push(format!("{path}.{}", references::path_of(resource, link.value)));
            issues.push(issue);
        }
        new
    });
    if !issues.is_empty() {
        return Err(issues);
    }
    splice
        .apply_within(resource.document().text(), resource.span())
        .map_err(|_overlap| vec![Issue::error(IssueCode::Exception, "The links of this resource overlap.")])
}

fn local(link: &Link<'_>, identities: &View<'_>, conditions: &HashMap<String, String>) -> Option<String> {
    match link.kind {
        // R4 does not list canonical among the types that are replaced, and R5 says that they are not.
        LinkKind::Canonical => None,
        LinkKind::Reference => {
            identities.find(&link.text).or_else(|| conditions.get(link.text.as_ref()).cloned())
        }
        LinkKind::Uri | LinkKind::Narrative => identities.find(&link.text),
    }
}

/// URNs that only stand for something within a bundle.
fn is_placeholder(link: &str) -> bool {
    let is = |prefix: &str| link.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    is("urn:uuid:") || is("urn:oid:")
}

fn type_of(resource: Value<'_>) -> String {
    resource.get("resourceType").and_then(Value::as_str).unwrap_or_default().into_owned()
}

#[cfg(test)]
mod tests {
    use anamnesis_fhir::json::{Document, Limits};

    use super::*;

    const A: &str = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520";

    fn identities() -> Identities {
        let mut identities = Identities::default();
        identities.add(A, "Patient/7");
        identities
    }

    #[test]
    fn links_are_rewritten_wherever_the_rules_say_and_nowhere_else() {
        let text = format!(
            r#"{{ "resourceType":"Observation", "text":{{"div":"<div><a href=\"{A}\">x</a> {A}</div>"}},
            "extension":[{{"url":"http://x","valueUri":"{A}"}},{{"url":"http://x","valueString":"{A}"}}],
            "identifier":[{{"value":"{A}"}}], "subject":{{"reference":"{}"}}, "valueDecimal": 1.10 }}"#,
            A.to_uppercase().replace("URN:UUID", "urn:uuid")
        );
        let document = Document::parse(text.clone(), &Limits::default()).unwrap();
        let rewritten =
            rewrite(document.root(), "x", &identities().seen_from(None), &HashMap::new()).unwrap();
        let expected = text
            .replace(&format!(r#"href=\"{A}"#), r#"href=\"Patient/7"#)
            .replace(&format!(r#""valueUri":"{A}""#), r#""valueUri":"Patient/7""#)
            .replace(&A.to_uppercase().replace("URN:UUID", "urn:uuid"), "Patient/7");
        assert_eq!(String::from_utf8(rewritten).unwrap(), expected);
    }

    #[test]
    fn references_to_nowhere_are_reported_with_their_place() {
        let text = r#"{"resourceType":"Observation","performer":[{"reference":"Practitioner/1"},{"reference":"urn:uuid:0"}]}"#;
        let document = Document::parse(text, &Limits::default()).unwrap();
        let issues = rewrite(
            document.root(),
            "Bundle.entry[2].resource",
            &identities().seen_from(None),
            &HashMap::new(),
        )
        .unwrap_err();
        assert_eq!(issues.len(), 1);
        assert_eq!(issues[0].expression, ["Bundle.entry[2].resource.performer[1].reference"]);
    }

    #[test]
    fn an_address_stands_for_its_resource_and_for_references_relative_to_it() {
        let mut identities = Identities::default();
        identities.add("http://old/fhir/Patient/1", "Patient/new");
        assert_eq!(identities.find("http://old/fhir/Patient/1").as_deref(), Some("Patient/new"));
        assert_eq!(identities.find("http://other/fhir/Patient/1"), None);
        let neighbour = identities.seen_from(Some("http://old/fhir/Observation/2"));
        assert_eq!(neighbour.find("Patient/1").as_deref(), Some("Patient/new"));
        for stranger in [None, Some("http://other/fhir/Observation/2"), Some(A)] {
            assert_eq!(identities.seen_from(stranger).find("Patient/1"), None, "this server's own Patient/1");
        }
    }

    #[test]
    fn criteria_are_rewritten() {
        let query = |q: &str| identities().rewrite_query(q);
        assert_eq!(query(&format!("subject={A}&code=urn:x")), "subject=Patient/7&code=urn:x");
        assert_eq!(query(&format!("subject={}", A.replace(':', "%3A"))), "subject=Patient/7");
        assert_eq!(query("subject=urn:uuid:c757873d"), "subject=urn:uuid:c757873d");
        assert_eq!(query("return=1&burn"), "return=1&burn");
        for literal in ["identifier", "subject%3Aidentifier", "_has:Observation:subject:code"] {
            let literal = format!("{literal}=urn:ietf:rfc3986|{A}");
            assert_eq!(query(&format!("{literal}&subject={A}")), format!("{literal}&subject=Patient/7"));
        }
    }

    #[test]
    fn conditional_references_are_found() {
        let text = r#"{"resourceType":"Observation","subject":{"reference":"Patient?identifier=http://a|1"},"note":[{"text":"a?b"}]}"#;
        let document = Document::parse(text, &Limits::default()).unwrap();
        let found = conditional_references(document.root(), "r");
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].resource_type.as_str(), found[0].query.as_str()),
            ("Patient", "identifier=http://a|1")
        );
        assert_eq!(found[0].path, "r.subject.reference");
    }
}
