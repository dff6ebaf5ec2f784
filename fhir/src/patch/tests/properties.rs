//! Properties: no patch panics or leaves broken JSON; JSON Patch agrees with a naive evaluator over trees.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-9_i64..9).prop_map(Json::from),
        "[a-c/~\"é]{0,2}".prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map("[ab/~]{1,2}", inner, 0..3)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

fn any_operation() -> impl Strategy<Value = Json> {
    let pointer = || {
        prop::collection::vec("0|1|2|-|a|b|~0|~1|ab", 0..3)
            .prop_map(|tokens| tokens.iter().map(|token| format!("/{token}")).collect::<String>())
    };
    let kind = prop::sample::select(vec!["add", "remove", "replace", "move", "copy", "test"]);
    (kind, pointer(), pointer(), any_json())
        .prop_map(|(op, path, from, value)| json!({ "op": op, "path": path, "from": from, "value": value }))
}

/// JSON Patch over a tree, as plainly as the RFC says it; `None` where it is refused.
fn naive(mut tree: Json, operations: &[Json]) -> Option<Json> {
    for operation in operations {
        let text = |name: &str| operation[name].as_str().unwrap();
        let (path, from, value) = (text("path"), text("from"), operation["value"].clone());
        tree = match text("op") {
            "add" => put(tree, path, value)?,
            "remove" => take(tree, path)?.0,
            "replace" if path.is_empty() => value,
            "replace" => {
                *tree.pointer_mut(path)? = value;
                tree
            }
            "move" if path == from => tree.pointer(from).is_some().then_some(tree.clone())?,
            "move" if path.starts_with(&format!("{from}/")) => return None,
            "move" => {
                let (rest, moved) = take(tree, from)?;
                put(rest, path, moved)?
            }
            "copy" => {
                let copied = tree.pointer(from)?.clone();
                put(tree, path, copied)?
            }
            _ => (*tree.pointer(path)? == value).then_some(tree)?,
        };
    }
    Some(tree)
}

fn put(mut tree: Json, path: &str, value: Json) -> Option<Json> {
    let Some((parent, last)) = path.rsplit_once('/') else { return Some(value) };
    match tree.pointer_mut(parent)? {
        Json::Object(members) => {
            members.insert(last.replace("~1", "/").replace("~0", "~"), value);
        }
        Json::Array(items) => {
            let index = if last == "-" { items.len() } else { last.parse().ok()? };
            (index <= items.len()).then(|| items.insert(index, value))?;
        }
        _ => return None,
    }
    Some(tree)
}

fn take(mut tree: Json, path: &str) -> Option<(Json, Json)> {
    let (parent, last) = path.rsplit_once('/')?;
    let taken = match tree.pointer_mut(parent)? {
        Json::Object(members) => members.remove(&last.replace("~1", "/").replace("~0", "~"))?,
        Json::Array(items) => {
            let index: usize = last.parse().ok()?;
            (index < items.len()).then(|| items.remove(index))?
        }
        _ => return None,
    };
    Some((tree, taken))
}

const PATIENT: &str = r#"{ "resourceType": "Patient", "id": "1",
  "name": [ { "given": [ "a", "b" ], "_given": [ null, { "id": "g" } ], "family": "f" }, { "text": "t" } ],
  "birthDate": "1920", "_birthDate": { "id": "b" }, "deceasedBoolean": false,
  "contact": [ { "name": { "text": "x" } } ], "multipleBirthInteger": 2 }"#;

fn any_fhirpath_operation() -> impl Strategy<Value = Json> {
    let kinds = vec!["add", "insert", "delete", "replace", "move", "other"];
    let paths = vec![
        "Patient",
        "Patient.name",
        "Patient.name[0]",
        "Patient.name[1].text",
        "Patient.name[0].given",
        "Patient.name[0].given[0]",
        "Patient.name[0].given[1]",
        "Patient.name.given",
        "Patient.birthDate",
        "Patient.birthDate.id",
        "Patient.deceased",
        "Patient.multipleBirth",
        "Patient.contact.name.text",
        "Patient.contact.telecom",
        "Patient.nothing",
        "1 + 1",
        "Patient.name.where(",
    ];
    let names =
        vec!["name", "given", "birthDate", "deceased", "deceasedDateTime", "contact", "id", "extension", "x"];
    let values = vec![
        json!({ "name": "value", "valueString": "s" }),
        json!({ "name": "value", "valueBoolean": true }),
        json!({ "name": "value", "valueDate": "1930", "_valueDate": { "id": "d" } }),
        json!({ "name": "value", "valueHumanName": { "text": "h" } }),
        json!({ "name": "value", "part": [{ "name": "given", "valueString": "p" }] }),
        json!({ "name": "value", "part": [{ "name": "text", "_valueString": { "id": "q" } }] }),
        json!({ "name": "value", "resource": { "resourceType": "Basic" } }),
        json!({ "name": "value" }),
    ];
    let pick = prop::sample::select::<Json>;
    let index = || -1_i64..4;
    let word = |words: Vec<&'static str>| prop::sample::select(words);
    (word(kinds), word(paths), word(names), pick(values), index(), index(), index()).prop_map(
        |(kind, path, name, value, index, source, destination)| {
            json!({ "name": "operation", "part": [
                { "name": "type", "valueCode": kind },
                { "name": "path", "valueString": path },
                { "name": "name", "valueString": name },
                value,
                { "name": "index", "valueInteger": index },
                { "name": "source", "valueInteger": source },
                { "name": "destination", "valueInteger": destination },
            ]})
        },
    )
}

proptest! {
    #[test]
    fn json_patch_agrees_with_a_naive_evaluator(
        tree in any_json(),
        operations in prop::collection::vec(any_operation(), 0..5),
        pretty in any::<bool>(),
    ) {
        let text = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) };
        let patch = Patch::json(&document(&Json::from(operations.clone()).to_string())).unwrap();
        let found = patch.apply(&document(&text.unwrap())).ok();
        let found = found.map(|document| serde_json::from_str::<Json>(document.text()).unwrap());
        prop_assert_eq!(found, naive(tree, &operations));
    }

    #[test]
    fn fhirpath_patch_leaves_json_and_keeps_lists_in_step(
        operations in prop::collection::vec(any_fhirpath_operation(), 0..6),
    ) {
        let patch = Patch::fhirpath(&document(&json!({ "resourceType": "Parameters", "parameter": operations }).to_string()));
        let before = document(PATIENT);
        match patch.and_then(|patch| patch.apply(&before)) {
            Ok(after) => {
                let tree: Json = serde_json::from_str(after.text()).unwrap();
                let names = tree["name"].as_array().cloned().unwrap_or_default();
                for name in names {
                    let len = |member: &str| name[member].as_array().map(Vec::len);
                    if let (Some(given), Some(companions)) = (len("given"), len("_given")) {
                        prop_assert_eq!(given, companions);
                    }
                }
            }
            Err(error) => prop_assert!(error.kind != PatchErrorKind::Broken, "{}", error),
        }
        prop_assert_eq!(before.text(), PATIENT);
    }

    #[test]
    fn no_text_makes_reading_a_patch_panic(text in "[\\[\\]{}a-z\":,/~0-9 ]{0,60}") {
        if let Ok(patch) = Document::parse(text, &Limits::default()) {
            let subject = document(PATIENT);
            let _ = Patch::json(&patch).map(|patch| patch.apply(&subject));
            let _ = Patch::fhirpath(&patch).map(|patch| patch.apply(&subject));
        }
    }
}
