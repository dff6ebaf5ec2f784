//! The text of a literal reference, taken apart.

use crate::definitions::r4;

/// A literal reference to a resource on some server (R4 references.html#literal): `Patient/1`,
/// `Patient/1/_history/2` or either behind an absolute base.
///
/// ```
/// use anamnesis_fhir::references::Target;
/// let target = Target::parse("https://example.org/fhir/Patient/1/_history/2").unwrap();
/// assert_eq!((target.base, target.resource_type, target.id), (Some("https://example.org/fhir"), "Patient", "1"));
/// assert_eq!(target.version, Some("2"));
/// assert!(Target::parse("urn:uuid:c757873d-ec9a-4326-a141-556f43239520").is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target<'t> {
    /// The address before the type, without the last slash; `None` where the reference is relative.
    pub base: Option<&'t str>,
    /// A resource type of R4.
    pub resource_type: &'t str,
    /// The logical id.
    pub id: &'t str,
    /// The version id.
    pub version: Option<&'t str>,
}

impl<'t> Target<'t> {
    /// Takes a reference apart; `None` where it is no literal reference to a resource type of R4 (`urn:uuid:…`,
    /// `#contained`, `Patient?identifier=…`, some other address).
    #[must_use]
    pub fn parse(text: &'t str) -> Option<Self> {
        let (rest, last) = text.rsplit_once('/')?;
        let (rest, id, version) = match rest.strip_suffix("/_history") {
            Some(before) => {
                let (rest, id) = before.rsplit_once('/')?;
                (rest, id, Some(last))
            }
            None => (rest, last, None),
        };
        let (base, resource_type) = match rest.rsplit_once('/') {
            Some((base, resource_type)) => (Some(base), resource_type),
            None => (None, rest),
        };
        let is_valid = is_id(id)
            && version.is_none_or(is_id)
            && base.is_none_or(is_base)
            && r4().is_resource(resource_type);
        is_valid.then_some(Self { base, resource_type, id, version })
    }

    /// Whether the reference leads to this server: it is relative, or its base is one of these, which are given
    /// without a last slash.
    #[must_use]
    pub fn is_local(&self, bases: &[impl AsRef<str>]) -> bool {
        self.base.is_none_or(|base| bases.iter().any(|ours| ours.as_ref() == base))
    }
}

/// A conditional reference (R4 http.html#trules): a search that must find exactly one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conditional<'t> {
    /// A resource type of R4.
    pub resource_type: &'t str,
    /// The search, without the question mark and still percent-encoded; not empty.
    pub query: &'t str,
}

impl<'t> Conditional<'t> {
    /// Takes `Patient?identifier=a` apart; `None` where the text is something else.
    #[must_use]
    pub fn parse(text: &'t str) -> Option<Self> {
        let (resource_type, query) = text.split_once('?')?;
        (!query.is_empty() && r4().is_resource(resource_type)).then_some(Self { resource_type, query })
    }
}

/// Whether a text is an `id`: 1 to 64 letters, digits, `-` and `.` (R4 datatypes.html#id).
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

/// A scheme and something behind it.
fn is_base(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, rest)| {
        matches!(scheme, "http" | "https") && !rest.is_empty() && !rest.contains(['?', '#'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_literal_references_are_taken_apart() {
        let parse = |text| Target::parse(text).map(|target| (target.base, target.id, target.version));
        assert_eq!(parse("Patient/a.b-C"), Some((None, "a.b-C", None)));
        assert_eq!(parse("Patient/1/_history/3"), Some((None, "1", Some("3"))));
        assert_eq!(parse("http://h:80/Patient/1"), Some((Some("http://h:80"), "1", None)));
        let too_long = format!("Patient/{}", "1".repeat(65));
        for other in [
            "",
            "Patient",
            "Patient/",
            "/Patient/1",
            "patient/1",
            "Resource/1",
            "Nothing/1",
            "Patient/1/2",
            "Patient/a_b",
            "Patient/1/_history/",
            "Patient/1#part",
            "Patient?identifier=a/1",
            "#1",
            "urn:uuid:1",
            "ftp://h/Patient/1",
            "http://h/x?y/Patient/1",
            too_long.as_str(),
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_reference_is_local_by_its_base() {
        let ours = ["https://a/fhir"];
        let is_local = |text| Target::parse(text).unwrap().is_local(&ours);
        assert!(is_local("Patient/1"));
        assert!(is_local("https://a/fhir/Patient/1"));
        assert!(!is_local("https://b/fhir/Patient/1"));
    }
}
