//! Whether a resource that comes back is the one that was sent: all members in their order, numbers to the letter.

use std::collections::BTreeMap;

use crate::json::Json;

/// What the entries of a bundle have become: `fullUrl` to `Type/id`.
pub(crate) type Names = BTreeMap<String, String>;

/// Where `stored` is not what was `sent`, other than in `id`, `meta.versionId`, `meta.lastUpdated` and the references
/// to entries of the same bundle.
pub(crate) fn differences(sent: &Json, stored: &Json, names: &Names) -> Vec<String> {
    let mut found = Vec::new();
    compare(&own(sent), &own(stored), names, "", &mut found);
    found
}

/// A resource without what the server writes into it.
fn own(resource: &Json) -> Json {
    let Json::Object(members) = resource else { panic!("no object") };
    let mut members = without(members, &["id"]);
    for (name, value) in &mut members {
        if let (Json::Object(meta), "meta") = (&value, name.as_str()) {
            *value = Json::Object(without(meta, &["versionId", "lastUpdated"]));
        }
    }
    members.retain(|(name, value)| name != "meta" || *value != Json::Object(Vec::new()));
    Json::Object(members)
}

fn without(members: &[(String, Json)], names: &[&str]) -> Vec<(String, Json)> {
    members.iter().filter(|(name, _)| !names.contains(&name.as_str())).cloned().collect()
}

fn compare(sent: &Json, stored: &Json, names: &Names, path: &str, found: &mut Vec<String>) {
    match (sent, stored) {
        (Json::Object(sent), Json::Object(stored)) => {
            let listed = |members: &[(String, Json)]| -> Vec<String> {
                members.iter().map(|(name, _)| name.clone()).collect()
            };
            if listed(sent) != listed(stored) {
                found.push(format!("{path}: {:?} became {:?}", listed(sent), listed(stored)));
                return;
            }
            for ((name, sent), (_, stored)) in sent.iter().zip(stored) {
                compare(sent, stored, names, &format!("{path}.{name}"), found);
            }
        }
        (Json::Array(sent), Json::Array(stored)) if sent.len() == stored.len() => {
            for (index, (sent, stored)) in sent.iter().zip(stored).enumerate() {
                compare(sent, stored, names, &format!("{path}[{index}]"), found);
            }
        }
        (Json::String(sent), Json::String(stored)) if path.ends_with(".reference") => {
            if names.get(sent).unwrap_or(sent) != stored {
                found.push(format!("{path}: {sent:?} became {stored:?}"));
            }
        }
        _ if sent == stored => {}
        _ => found.push(format!("{path}: {sent:?} became {stored:?}")),
    }
}

#[test]
fn the_comparison_sees_every_difference() {
    let names = Names::from([("urn:uuid:1".to_owned(), "Patient/a".to_owned())]);
    let sent = r#"{"resourceType":"X","id":"1","n":1.10,"a":[1,2],"r":{"reference":"urn:uuid:1"}}"#;
    let same = r#"{"resourceType":"X","id":"2","meta":{"versionId":"1","lastUpdated":"2026"},
        "n":1.10,"a":[1,2],"r":{"reference":"Patient/a"}}"#;
    let parse = Json::parse;
    assert_eq!(differences(&parse(sent), &parse(same), &names), Vec::<String>::new());
    for (from, to) in [
        ("1.10", "1.1"),
        ("[1,2]", "[2,1]"),
        ("[1,2]", "[1]"),
        ("Patient/a", "Patient/b"),
        (r#""n":1.10,"a":[1,2]"#, r#""a":[1,2],"n":1.10"#),
        (r#""versionId":"1""#, r#""profile":["p"]"#),
        (r#""resourceType":"X","#, ""),
    ] {
        let other = same.replace(from, to);
        assert_ne!(other, same);
        assert!(!differences(&parse(sent), &parse(&other), &names).is_empty(), "{to}");
    }
}
