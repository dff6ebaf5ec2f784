//! Tests of cutting code systems.

use proptest::prelude::*;

use super::*;

fn cut(name: &str, text: &str, naming: &Naming) -> Result<(Split, Vec<Value>), SplitError> {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join(name), folder.path().join("out.ndjson"));
    std::fs::write(&file, text).unwrap();
    let split = split(&file, naming, &out)?;
    let lines = std::fs::read_to_string(&out).unwrap();
    Ok((split, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()))
}

fn named() -> Naming {
    Naming { url: Some("http://example.org/body".to_owned()), ..Naming::default() }
}

#[test]
fn csv_becomes_concepts_with_parents() {
    let text = "code,display,parent\r\na,\"Arm, \"\"upper\"\"\",\n\nb,Hand,a|c\n";
    let (split, fragments) = cut("body.csv", text, &named()).unwrap();
    assert_eq!(split, Split { concepts: 2, fragments: 1 });
    let fragment = &fragments[0];
    assert_eq!((&fragment["content"], &fragment["count"]), (&json!("fragment"), &json!(2)));
    assert!(fragment["id"].as_str().unwrap().starts_with("body-"));
    assert_eq!(fragment["concept"][0], json!({ "code": "a", "display": "Arm, \"upper\"" }));
    let parents = json!([{ "code": "parent", "valueCode": "a" }, { "code": "parent", "valueCode": "c" }]);
    assert_eq!(fragment["concept"][1], json!({ "code": "b", "display": "Hand", "property": parents }));
}

#[test]
fn ndjson_and_resources_give_the_same_concepts() {
    let lines = "{\"code\":\"a\",\"display\":\"Arm\"}\n{\"code\":\"b\",\"parent\":[\"a\"]}\n";
    let resource = r#"{"resourceType":"CodeSystem","text":{"status":"empty"},"concept":[{"code":"a","display":"Arm",
        "concept":[{"code":"b"}]}],"url":"http://example.org/body","content":"complete"}"#;
    let (_, lines) = cut("body.ndjson", lines, &named()).unwrap();
    let (_, resource) = cut("body.json", resource, &Naming::default()).unwrap();
    assert_eq!(lines[0]["concept"], resource[0]["concept"]);
    assert_eq!(lines[0]["id"], resource[0]["id"]);
    assert_eq!(resource[0].get("text"), None);
}

#[test]
fn a_large_system_is_cut_into_fragments_that_say_the_whole_number() {
    let lines: String =
        (0..FRAGMENT_CONCEPTS_MAX + 1).map(|number| format!("{{\"code\":\"c{number}\"}}\n")).collect();
    let naming = Naming { version: Some("2".to_owned()), ..named() };
    let (split, fragments) = cut("body.ndjson", &lines, &naming).unwrap();
    assert_eq!((split.fragments, fragments.len()), (2, 2));
    for fragment in &fragments {
        assert_eq!(
            (&fragment["count"], &fragment["version"]),
            (&json!(FRAGMENT_CONCEPTS_MAX + 1), &json!("2"))
        );
    }
    assert_ne!(fragments[0]["id"], fragments[1]["id"]);
}

#[test]
fn what_cannot_be_read_is_said_with_its_place() {
    let fails = |name, text| cut(name, text, &named()).unwrap_err().to_string();
    assert!(fails("a.csv", "name\nx\n").contains("record 1"));
    assert!(fails("a.csv", "code\n\"x\n").contains("not closed"));
    assert!(fails("a.csv", "code,display\n,x\n").contains("record 2"));
    assert!(fails("a.ndjson", "{\"code\":\"a\"}\n{\n").contains("line 2"));
    assert!(fails("a.json", r#"{"resourceType":"Patient"}"#).contains("no CodeSystem"));
    assert!(fails("a.csv", "code\n").contains("no concepts"));
    assert!(matches!(cut("a.csv", "code\nx\n", &Naming::default()), Err(SplitError::NoAddress)));
}

proptest! {
    #[test]
    fn any_value_survives_csv(values in prop::collection::vec("[a-z\",\n\r é]{0,12}", 1..5)) {
        let quoted: Vec<String> = values.iter().map(|value| format!("\"{}\"", value.replace('"', "\"\""))).collect();
        let text = format!("{}\n", quoted.join(","));
        prop_assert_eq!(csv::record(&mut text.as_bytes()).unwrap(), Some(values));
    }

    #[test]
    fn any_text_is_survived(text in "[a-z\",\n{}\\[\\]:]{0,60}") {
        for name in ["a.csv", "a.ndjson", "a.json"] {
            let _any = cut(name, &text, &named());
        }
    }
}
