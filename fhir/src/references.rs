//! References between resources: how their text reads, where they stand in a resource, and how they are rewritten.
//!
//! In a transaction a link to a new entry is written as that entry's `fullUrl`, and the server puts the real address
//! in its place wherever it stands: in references, in elements of type `uri`, `url`, `oid`, `uuid`, and in `<a href>`
//! and `<img src>` of narratives (R4 http.html#trules). [`links`] finds all these places by the definitions, so that a
//! string which merely looks alike (`Identifier.value`) is left alone.
//!
//! ```
//! use anamnesis_fhir::json::{Document, Limits};
//! use anamnesis_fhir::references::rewrite;
//! let text = r#"{"resourceType":"Observation","subject":{"reference":"urn:uuid:1", "display": "A" }}"#;
//! let document = Document::parse(text, &Limits::default())?;
//! let splice = rewrite(document.root(), "Observation", |link| {
//!     (link.text == "urn:uuid:1").then(|| "Patient/7".to_owned())
//! });
//! let rewritten = String::from_utf8(splice.apply_to(&document)?)?;
//! assert_eq!(rewritten, r#"{"resourceType":"Observation","subject":{"reference":"Patient/7", "display": "A" }}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod find;
mod narrative;
mod target;

pub(crate) use narrative::entity_at;
pub use target::{Conditional, Target, is_id};

use std::borrow::Cow;
use std::ops::Range;

use find::Wanted;

use crate::json::{Kind, Splice, Value, escape_into};

/// What kind of place a link stands at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// `Reference.reference`.
    Reference,
    /// An element of type `uri`, `url`, `oid` or `uuid`.
    Uri,
    /// An element of type `canonical`. R4 says nothing of these; R5 says that they are not replaced.
    Canonical,
    /// `href` of `<a>` or `src` of `<img>` in a narrative.
    Narrative,
}

/// A link in a resource.
#[derive(Debug, Clone)]
pub struct Link<'a> {
    /// Where it stands.
    pub kind: LinkKind,
    /// The link itself, without the escapes of JSON and XML.
    pub text: Cow<'a, str>,
    /// Its bytes in [`crate::json::Document::text`]: the inside of the JSON string, or a part of it in a narrative.
    pub span: Range<usize>,
    /// The JSON string that holds it.
    pub value: Value<'a>,
}

impl Link<'_> {
    /// The link as a literal reference.
    #[must_use]
    pub fn target(&self) -> Option<Target<'_>> {
        Target::parse(&self.text)
    }

    /// The link as a conditional reference, `Patient?identifier=…` (R4 http.html#trules). Only a Reference can be one.
    #[must_use]
    pub fn conditional(&self) -> Option<Conditional<'_>> {
        (self.kind == LinkKind::Reference).then(|| Conditional::parse(&self.text))?
    }
}

/// All links of a resource in the order of its text, those of contained resources with them.
#[must_use]
pub fn links<'a>(root: Value<'a>, resource_type: &str) -> Vec<Link<'a>> {
    let mut found = Vec::new();
    find::each_link(root, resource_type, Wanted::All, &mut |link| found.push(link));
    found
}

/// Hands over the text of each `Reference.reference` of a resource in the order of its text, those of contained
/// resources with them, but none of resources that stand in the entries of a Bundle or in Parameters: those are
/// resources of their own.
pub fn each_reference<'a>(root: Value<'a>, resource_type: &str, each: &mut impl FnMut(Cow<'a, str>)) {
    find::each_link(root, resource_type, Wanted::References, &mut |link| {
        if link.kind == LinkKind::Reference {
            each(link.text);
        }
    });
}

/// The edits that put other links in the place of those for which `replace` gives one. The new text is plain; the
/// escapes that its place needs are added.
pub fn rewrite<'a>(
    root: Value<'a>,
    resource_type: &str,
    mut replace: impl FnMut(&Link<'a>) -> Option<String>,
) -> Splice {
    let mut splice = Splice::new();
    find::each_link(root, resource_type, Wanted::All, &mut |link| {
        let Some(new) = replace(&link) else { return };
        let plain = if link.kind == LinkKind::Narrative { narrative::escape(&new) } else { new };
        let mut bytes = Vec::with_capacity(plain.len());
        escape_into(&mut bytes, &plain);
        splice.replace(link.span.clone(), bytes);
    });
    splice
}

/// Whether a JSON text can hold a `urn:` link or a conditional reference at all. A quick look that errs to `true`: it
/// spares most resources the walk over their links.
#[must_use]
pub fn may_hold_indirect_links(text: &str) -> bool {
    let bytes = text.as_bytes();
    // An escape can hide a colon (`\u003a`), an entity of a narrative can (`&#58;`) too.
    memchr::memchr(b'?', bytes).is_some()
        || ["urn:", "\\u", "&#"].iter().any(|part| memchr::memmem::find(bytes, part.as_bytes()).is_some())
}

/// The FHIRPath-like path of a value below `root`, such as `Observation.subject.reference` without the type:
/// `subject.reference`, `performer[1].reference`; empty for `root` itself and for a value elsewhere.
#[must_use]
pub fn path_of(root: Value<'_>, value: Value<'_>) -> String {
    let wanted = value.span();
    let holds = |inner: &Value<'_>| inner.span().start <= wanted.start && wanted.end <= inner.span().end;
    let mut path = String::new();
    let mut at = root;
    // Every round goes one level down, so the depth of the document bounds them.
    while at.span() != wanted {
        let next = match at.kind() {
            Kind::Object => at.members().find(|(_, child)| holds(child)).map(|(name, child)| {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&name);
                child
            }),
            Kind::Array => at.items().enumerate().find(|(_, child)| holds(child)).map(|(index, child)| {
                path.push_str(&format!("[{index}]"));
                child
            }),
            _ => None,
        };
        match next {
            Some(child) => at = child,
            None => break,
        }
    }
    path
}

#[cfg(test)]
mod tests;
