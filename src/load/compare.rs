//! Compares a resource that was sent with what the server has stored of it.
//!
//! They must be the same to the letter of every number, but for what a server has to change: `id`,
//! `meta.versionId`, `meta.lastUpdated`, and the references that it resolves (FHIR R4 http.html#trules).

use std::collections::BTreeMap;

use anamnesis_fhir::json::{Kind, Value};

/// So many differences of one resource are told.
const DIFFERENCES_MAX: usize = 5;

/// What the entries of a request have become: `fullUrl` to `Type/id`.
pub(super) type Names = BTreeMap<String, String>;

/// The paths at which `stored` is not what was `sent`; empty when it is.
pub(super) fn differences(sent: Value<'_>, stored: Value<'_>, names: &Names) -> Vec<String> {
    let resource_type = sent.get("resourceType").and_then(Value::as_str).unwrap_or_default();
    let mut comparison = Comparison { names, found: Vec::new() };
    comparison.objects(sent, stored, &resource_type, &["id", "meta"]);
    let path = format!("{resource_type}.meta");
    match (sent.get("meta"), stored.get("meta")) {
        (Some(sent), Some(stored)) => comparison.objects(sent, stored, &path, &["versionId", "lastUpdated"]),
        (Some(_), None) => comparison.found.push(path),
        (None, Some(stored)) => {
            let own = |name: &str| matches!(name, "versionId" | "lastUpdated");
            let more = stored.members().any(|(name, _)| !own(&name));
            comparison.found.extend(more.then_some(path));
        }
        (None, None) => {}
    }
    comparison.found.truncate(DIFFERENCES_MAX);
    comparison.found
}

struct Comparison<'a> {
    names: &'a Names,
    found: Vec<String>,
}

impl Comparison<'_> {
    fn objects(&mut self, sent: Value<'_>, stored: Value<'_>, path: &str, but: &[&str]) {
        let names = |value: Value<'_>| {
            let mut names: Vec<String> = value.members().map(|(name, _)| name.into_owned()).collect();
            names.retain(|name| !but.contains(&name.as_str()));
            names
        };
        for name in names(sent) {
            let path = format!("{path}.{name}");
            match (sent.get(&name), stored.get(&name)) {
                (Some(sent), Some(stored)) => self.values(sent, stored, &path),
                _ => self.found.push(path),
            }
        }
        let added = names(stored).into_iter().filter(|name| sent.get(name).is_none());
        self.found.extend(added.map(|name| format!("{path}.{name}")));
    }

    fn values(&mut self, sent: Value<'_>, stored: Value<'_>, path: &str) {
        if self.found.len() > DIFFERENCES_MAX {
            return;
        }
        match (sent.kind(), stored.kind()) {
            (Kind::Object, Kind::Object) => self.objects(sent, stored, path, &[]),
            (Kind::Array, Kind::Array) if sent.len() == stored.len() => {
                for (number, (sent, stored)) in sent.items().zip(stored.items()).enumerate() {
                    self.values(sent, stored, &format!("{path}[{number}]"));
                }
            }
            (Kind::String, Kind::String) => {
                let (sent, stored) = (sent.as_str().unwrap_or_default(), stored.as_str().unwrap_or_default());
                if sent != stored && renamed(&sent, self.names) != stored && !is_resolved(&sent, &stored) {
                    self.found.push(path.to_owned());
                }
            }
            (sent_kind, stored_kind) => {
                if sent_kind != stored_kind || sent.raw() != stored.raw() {
                    self.found.push(path.to_owned());
                }
            }
        }
    }
}

/// A conditional reference becomes one to a resource of the type it names.
fn is_resolved(sent: &str, stored: &str) -> bool {
    let target = sent.split_once('?').map(|(resource_type, _)| resource_type);
    target.is_some_and(|resource_type| {
        stored.strip_prefix(resource_type).is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
    })
}

/// A text with all names of entries replaced by what these have become.
fn renamed(text: &str, names: &Names) -> String {
    if let Some(name) = names.get(text) {
        return name.clone();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("urn:") {
        let (before, from) = rest.split_at(at);
        let end = from.find(|letter: char| !(letter.is_ascii_alphanumeric() || "-.:".contains(letter)));
        let (urn, after) = from.split_at(end.unwrap_or(from.len()));
        out.push_str(before);
        out.push_str(names.get(urn).map_or(urn, String::as_str));
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use anamnesis_fhir::json::{Document, Limits};

    fn compare(sent: &str, stored: &str) -> Vec<String> {
        let parse = |text: &str| Document::parse(text, &Limits::default()).unwrap();
        let names = Names::from([("urn:uuid:1-a".to_owned(), "Patient/p1".to_owned())]);
        differences(parse(sent).root(), parse(stored).root(), &names)
    }

    #[test]
    fn what_a_server_must_change_is_no_difference() {
        let sent = r#"{"resourceType":"X","id":"a","meta":{"tag":[{"code":"t"}]},"n":1.10,"r":"urn:uuid:1-a",
            "c":"Practitioner?identifier=s|v","d":"<a href=\"urn:uuid:1-a\">p</a>"}"#;
        let stored = r#"{"resourceType":"X","id":"b","n":1.10,"r":"Patient/p1","c":"Practitioner/9",
            "meta":{"versionId":"1","lastUpdated":"2026-01-01T00:00:00Z","tag":[{"code":"t"}]},"d":"<a href=\"Patient/p1\">p</a>"}"#;
        assert_eq!(compare(sent, stored), Vec::<String>::new());
        let without = r#"{"resourceType":"X","id":"b","meta":{"versionId":"1"}}"#;
        assert_eq!(compare(r#"{"resourceType":"X"}"#, without), Vec::<String>::new());
    }

    #[test]
    fn everything_else_is_a_difference_and_has_a_path() {
        let base = r#"{"resourceType":"X","n":1.10,"a":[{"b":"c"}],"r":"urn:uuid:1-a"}"#;
        for (stored, path) in [
            (r#"{"resourceType":"X","n":1.1,"a":[{"b":"c"}],"r":"Patient/p1"}"#, "X.n"),
            (r#"{"resourceType":"X","n":1.10,"a":[{"b":"d"}],"r":"Patient/p1"}"#, "X.a[0].b"),
            (r#"{"resourceType":"X","n":1.10,"a":[{"b":"c"},1],"r":"Patient/p1"}"#, "X.a"),
            (r#"{"resourceType":"X","n":1.10,"a":[{"b":"c"}],"r":"Patient/p2"}"#, "X.r"),
            (r#"{"resourceType":"X","n":1.10,"a":[{"b":"c"}]}"#, "X.r"),
            (r#"{"resourceType":"X","n":1.10,"a":[{"b":"c"}],"r":"Patient/p1","z":1}"#, "X.z"),
            (r#"{"resourceType":"X","n":1.10,"a":[{"b":"c"}],"r":"Patient/p1","meta":{"tag":[]}}"#, "X.meta"),
        ] {
            assert_eq!(compare(base, stored), [path]);
        }
        assert_eq!(
            compare(r#"{"resourceType":"X","c":"P?x=1"}"#, r#"{"resourceType":"X","c":"Q/1"}"#),
            ["X.c"]
        );
    }
}
