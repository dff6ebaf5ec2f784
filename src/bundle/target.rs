//! What an entry's `request.url` points at.

use anamnesis_fhir::definitions::r4;
use anamnesis_fhir::references::is_id;

/// The target of an entry, below the service's base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// `Patient`: a type, for a create.
    Type(String),
    /// `Patient/1`: one resource.
    Instance(String, String),
    /// `Patient?identifier=…`: whatever matches the criteria.
    Conditional(String, String),
    /// Anything else, for reading: path and query.
    Other(String, String),
}

impl Target {
    /// Takes a url apart. `base` is the service's own address without a last slash: absolute urls below it count as
    /// relative ones. `None` for urls of other servers.
    #[must_use]
    pub(super) fn parse(url: &str, base: &str) -> Option<Self> {
        let relative = match url.strip_prefix(base) {
            Some(rest) if rest.is_empty() || rest.starts_with(['/', '?']) => rest,
            _ if url.contains("://") && !url.contains('?') => return None,
            _ => url,
        };
        let relative = relative.strip_prefix('/').unwrap_or(relative);
        let (path, query) = relative.split_once('?').unwrap_or((relative, ""));
        if path.contains("://") {
            return None;
        }
        let mut parts = path.split('/');
        let target = match (parts.next(), parts.next(), parts.next()) {
            (Some(kind), None, _) if r4().is_resource(kind) => {
                if query.is_empty() {
                    Self::Type(kind.to_owned())
                } else {
                    Self::Conditional(kind.to_owned(), query.to_owned())
                }
            }
            (Some(kind), Some(id), None) if r4().is_resource(kind) && query.is_empty() && is_id(id) => {
                Self::Instance(kind.to_owned(), id.to_owned())
            }
            _ => Self::Other(path.to_owned(), query.to_owned()),
        };
        Some(target)
    }
}

impl Target {
    /// Path and query below the service.
    #[must_use]
    pub(super) fn path_and_query(&self) -> (String, String) {
        match self {
            Self::Type(kind) => (kind.clone(), String::new()),
            Self::Instance(kind, id) => (format!("{kind}/{id}"), String::new()),
            Self::Conditional(path, query) | Self::Other(path, query) => (path.clone(), query.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "http://h:1/default/fhir";

    #[test]
    fn urls_are_taken_apart() {
        let parse = |url| Target::parse(url, BASE);
        assert_eq!(parse("Patient"), Some(Target::Type("Patient".into())));
        assert_eq!(parse("/Patient/1"), Some(Target::Instance("Patient".into(), "1".into())));
        assert_eq!(
            parse("http://h:1/default/fhir/Patient/1"),
            Some(Target::Instance("Patient".into(), "1".into()))
        );
        let conditional = Target::Conditional("Patient".into(), "identifier=http://x|1".into());
        assert_eq!(parse("Patient?identifier=http://x|1"), Some(conditional));
        assert_eq!(
            parse("Patient/1/_history"),
            Some(Target::Other("Patient/1/_history".into(), String::new()))
        );
        assert_eq!(parse("metadata"), Some(Target::Other("metadata".into(), String::new())));
        assert_eq!(parse("patient/1"), Some(Target::Other("patient/1".into(), String::new())));
        assert_eq!(parse("http://other/Patient/1"), None);
        assert_eq!(parse("http://h:1/default/fhir2/Patient/1"), None);
    }
}
