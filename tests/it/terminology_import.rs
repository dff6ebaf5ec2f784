//! `CodeSystem/$import`: concepts in portions, all or nothing, the same twice changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anamnesis::api::ApiOptions;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Server, Setup, test_with};
use crate::terminology::{codes, output};

fn setup() -> Setup {
    // What a search finds is what was written, also where the index of a busy machine is late.
    let api = ApiOptions { search_wait: Duration::from_secs(60), ..ApiOptions::default() };
    Setup { terminology: true, api, ..Setup::default() }
}

async fn put(server: &Server, path: &str, body: &Value) {
    let answer = server.put(path, body.to_string()).await;
    assert!(answer.status.is_success(), "{}", answer.json());
}

/// A code system of which only the head is stored.
async fn head(server: &Server) {
    let head = json!({"resourceType": "CodeSystem", "id": "head", "url": "urn:c", "version": "1", "status": "active",
        "name": "C", "content": "not-present", "hierarchyMeaning": "is-a",
        "property": [{"code": "parent", "type": "code"}, {"code": "weight", "type": "decimal"}]});
    put(server, "/CodeSystem/head", &head).await;
}

fn concept(code: &str, display: &str) -> Value {
    json!({"name": "concept", "valueCoding": {"code": code, "display": display}})
}

fn property(code: &str, name: &str, value: &str) -> Value {
    json!({"name": "property", "part": [{"name": "code", "valueCode": code}, {"name": "property", "valueCode": name},
        {"name": "value", "valueString": value}]})
}

fn portion(parameters: impl IntoIterator<Item = Value>) -> String {
    let system = json!({"name": "system", "valueUri": "urn:c"});
    let all: Vec<Value> = std::iter::once(system).chain(parameters).collect();
    json!({"resourceType": "Parameters", "parameter": all}).to_string()
}

async fn import(server: &Server, body: String) -> Value {
    let answer = server.post("/CodeSystem/$import", body).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()
}

/// Each code that the stored resources have, and how often.
async fn stored(server: &Server) -> BTreeMap<String, usize> {
    let bundle = server.get("/CodeSystem?url=urn:c&_count=100").await.json();
    let mut all = BTreeMap::new();
    for entry in bundle["entry"].as_array().unwrap() {
        for row in entry["resource"]["concept"].as_array().into_iter().flatten() {
            *all.entry(row["code"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        }
    }
    all
}

#[test]
fn what_was_imported_is_used_at_once_and_the_same_again_changes_nothing() {
    test_with(setup(), |server| async move {
        head(&server).await;
        let first =
            portion([concept("a", "Alpha thing"), concept("b", "Beta thing"), property("b", "parent", "a")]);
        let answer = import(&server, first.clone()).await;
        assert_eq!(
            (&answer["url"], &answer["count"], &answer["name"]),
            (&json!("urn:c"), &json!(2), &json!("C"))
        );
        let second =
            portion([concept("c", "Gamma"), property("c", "parent", "b"), property("a", "weight", "1.10")]);
        import(&server, second.clone()).await;
        let events = server.events().await;
        for again in [first, second] {
            import(&server, again).await;
        }
        assert_eq!(server.events().await, events);

        let kept = server.get("/CodeSystem?url=urn:c").await.text();
        assert!(kept.contains(r#""valueDecimal":1.10"#), "{kept}");
        let subsumes = server.get("/CodeSystem/$subsumes?system=urn:c&codeA=a&codeB=c").await.json();
        assert_eq!(output(&subsumes, "outcome"), "subsumes");
        let set = json!({"resourceType": "ValueSet", "id": "s", "url": "urn:s", "status": "active",
            "compose": {"include": [{"system": "urn:c", "filter": [{"property": "concept", "op": "is-a", "value": "b"}]}]}});
        put(&server, "/ValueSet/s", &set).await;
        let expanded = server.get("/ValueSet/$expand?url=urn:s").await.json();
        assert_eq!(codes(&expanded), ["b", "c"]);
        let judged = server.get("/ValueSet/$validate-code?url=urn:s&system=urn:c&code=c").await.json();
        assert_eq!(output(&judged, "result"), &json!(true));
        let body = json!({"resourceType": "Observation", "id": "o", "status": "final",
            "code": {"coding": [{"system": "urn:c", "code": "c"}]}});
        put(&server, "/Observation/o", &body).await;
        for query in ["code:below=urn:c|a", "code:in=urn:s"] {
            let bundle = server.get(&format!("/Observation?{query}")).await.json();
            assert_eq!(bundle["entry"].as_array().map(Vec::len), Some(1), "{query}");
        }
    });
}

#[test]
fn a_concept_that_is_there_is_changed_where_it_is() {
    test_with(setup(), |server| async move {
        head(&server).await;
        import(&server, portion([concept("a", "Old"), concept("b", "Other"), property("a", "parent", "b")]))
            .await;
        let before = server.events().await;
        // On the resource itself, by its id.
        let changed =
            portion([concept("a", "New"), property("a", "parent", "b"), property("a", "weight", "2")]);
        let answer = server.post("/CodeSystem/head/$import", changed).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert_eq!(answer.header("x-anamnesis-position"), (before + 1).to_string());
        let found = server.get("/CodeSystem/$lookup?system=urn:c&code=a").await.json();
        assert_eq!(output(&found, "display"), "New");
        assert_eq!(found.to_string().matches(r#""valueCode":"parent""#).count(), 1, "{found}");
        assert_eq!(stored(&server).await, BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 1)]));
        // Fragments of the command, or of anybody, are changed as well.
        let loaded = json!({"resourceType": "CodeSystem", "id": "loaded", "url": "urn:c", "version": "1",
            "status": "active", "content": "fragment", "concept": [{"code": "z", "display": "Old", "definition": "Z"}]});
        put(&server, "/CodeSystem/loaded", &loaded).await;
        import(&server, portion([concept("z", "New"), concept("y", "New")])).await;
        let loaded = server.get("/CodeSystem/loaded").await.json();
        assert_eq!(loaded["concept"], json!([{"code": "z", "display": "New", "definition": "Z"}]));
        assert_eq!(stored(&server).await.len(), 4);
    });
}

#[test]
fn what_is_wrong_is_told_where_and_nothing_is_written() {
    test_with(setup(), |server| async move {
        head(&server).await;
        import(&server, portion([concept("a", "Alpha")])).await;
        let before = server.events().await;
        let wrong = portion([
            concept("good", "Good"),
            json!({"name": "concept", "valueCoding": {"display": "No code"}}),
            json!({"name": "concept", "valueCoding": {"system": "urn:other", "code": "x"}}),
            concept(" spaced", "Spaced"),
            json!({"name": "concept", "valueCode": "x"}),
            concept("good", "Another"),
            json!({"name": "property", "part": [{"name": "code", "valueCode": "good"}]}),
        ]);
        let answer = server.post("/CodeSystem/$import", wrong).await;
        assert_eq!(answer.status, 400);
        let issues = answer.json()["issue"].clone();
        let places: Vec<&str> =
            issues.as_array().unwrap().iter().map(|issue| issue["expression"][0].as_str().unwrap()).collect();
        let expected =
            ["[2].value.code", "[3].value.system", "[4].value.code", "[5]", "[6].value.code", "[7]"];
        assert_eq!(places, expected.map(|place| format!("Parameters.parameter{place}")));
        for (entry, code) in [
            (property("good", "colour", "red"), "value"),
            (property("good", "weight", "heavy"), "value"),
            (property("nobody", "parent", "a"), "not-found"),
        ] {
            let answer = server.post("/CodeSystem/$import", portion([concept("good", "Good"), entry])).await;
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (400, code));
            assert_eq!(answer.json()["issue"][0]["expression"][0], "Parameters.parameter[2]");
        }
        let unknown = portion([concept("a", "A")]).replace("urn:c", "urn:typo");
        for (path, body, status) in [
            ("/CodeSystem/$import", unknown, 404),
            ("/CodeSystem/none/$import", portion([concept("a", "A")]), 404),
            ("/CodeSystem/$import", portion([]), 400),
            ("/CodeSystem/$import", r#"{"resourceType":"Parameters"}"#.to_owned(), 400),
            ("/CodeSystem/$import", r#"{"resourceType":"ValueSet","status":"active"}"#.to_owned(), 400),
        ] {
            let answer = server.post(path, body).await;
            assert_eq!(answer.status.as_u16(), status, "{path} {}", answer.json());
        }
        assert_eq!(server.events().await, before);
        assert_eq!(server.get("/CodeSystem/$lookup?system=urn:c&code=good").await.status, 404);
    });
}

#[test]
fn portions_at_once_on_two_servers_leave_each_code_once() {
    test_with(setup(), |one| async move {
        let two = Arc::new(one.beside_with(setup()).await);
        head(&one).await;
        // Every code is in three portions.
        let portions = (0..12).map(|number| {
            let server = if number % 2 == 0 { Arc::clone(&one) } else { Arc::clone(&two) };
            let first = number / 3 * 40;
            let codes = (first..first + 40).map(|code| concept(&format!("c{code}"), &format!("Code {code}")));
            let body = portion(codes);
            async move { import(&server, body).await }
        });
        join_all(portions).await;
        let stored = stored(&one).await;
        assert_eq!(stored.len(), 160);
        assert!(stored.values().all(|times| *times == 1), "{stored:?}");
        for server in [&one, &two] {
            let answer = server.get("/CodeSystem/$lookup?system=urn:c&code=c159").await.json();
            assert_eq!(output(&answer, "display"), "Code 159");
        }
        two.stop().await;
    });
}

#[test]
fn a_code_system_as_the_body_is_cut_into_fragments() {
    test_with(setup(), |server| async move {
        let concepts: Vec<Value> = (0..5_100).map(|number| json!({"code": format!("n{number}")})).collect();
        let mut body = json!({"resourceType": "CodeSystem", "url": "urn:c", "version": "2", "status": "active",
            "content": "fragment", "count": 5101, "concept": [{"code": "top", "display": "Top", "concept": concepts}]});
        let answer = import(&server, body.to_string()).await;
        assert_eq!(answer["count"], 5_101);
        assert_eq!(server.events().await, 2, "two fragments");
        let subsumes = server.get("/CodeSystem/$subsumes?system=urn:c&codeA=top&codeB=n5099").await.json();
        assert_eq!(output(&subsumes, "outcome"), "subsumes");
        // All that it says to have is there: what is not does not exist.
        let none = server.get("/CodeSystem/$validate-code?url=urn:c&code=none").await.json();
        assert_eq!(output(&none, "result"), &json!(false));
        let events = server.events().await;
        import(&server, body.to_string()).await;
        assert_eq!(server.events().await, events);
        body["concept"] = json!([{"code": "more", "display": "More"}]);
        import(&server, body.to_string()).await;
        assert_eq!(server.events().await, events + 1);
    });
}

#[test]
fn a_system_that_is_stored_whole_takes_concepts_as_long_as_they_fit() {
    test_with(setup(), |server| async move {
        let whole = json!({"resourceType": "CodeSystem", "id": "w", "url": "urn:c", "status": "active", "content": "complete",
            "count": 2, "concept": [{"code": "a", "concept": [{"code": "inner"}]}]});
        put(&server, "/CodeSystem/w", &whole).await;
        import(&server, portion([concept("b", "Beta"), concept("a", "Alpha")])).await;
        let whole = server.get("/CodeSystem/w").await.json();
        let concepts = json!([{"code": "a", "concept": [{"code": "inner"}], "display": "Alpha"}, {"code": "b", "display": "Beta"}]);
        assert_eq!((&whole["concept"], &whole["count"]), (&concepts, &json!(3)));
        let nested = server.post("/CodeSystem/$import", portion([concept("inner", "Inner")])).await;
        assert_eq!((nested.status.as_u16(), nested.outcome().as_str()), (400, "business-rule"));
        let many = (0..5_000).map(|number| concept(&format!("n{number}"), "N"));
        let full = server.post("/CodeSystem/$import", portion(many)).await;
        assert_eq!((full.status.as_u16(), full.outcome().as_str()), (422, "too-costly"));
        assert_eq!(server.get("/CodeSystem/w").await.json()["meta"]["versionId"], "2");
    });
}

#[test]
fn what_was_imported_is_listed_whole_where_an_expansion_may_have_so_many() {
    test_with(setup(), |server| async move {
        head(&server).await;
        // More than one fragment takes.
        import(&server, portion((0..5_001).map(|number| concept(&format!("n{number}"), "N")))).await;
        let set = json!({"resourceType": "ValueSet", "id": "all", "url": "urn:all", "status": "active",
            "compose": {"include": [{"system": "urn:c"}]}});
        put(&server, "/ValueSet/all", &set).await;
        let expansion = server.get("/ValueSet/all/$expand").await;
        assert_eq!(expansion.status, 200, "{}", expansion.text());
        let expansion = &expansion.json()["expansion"];
        assert_eq!(
            (&expansion["total"], expansion["contains"].as_array().unwrap().len()),
            (&json!(5_001), 5_001)
        );
        let absent = server.get("/CodeSystem/$validate-code?url=urn:c&code=absent").await;
        assert_eq!(absent.status, 404);
        assert!(absent.text().contains("only a part is known"), "{}", absent.text());
        // One fragment after the other: three times as many are beyond what is listed at once.
        for portion_of in 1..4 {
            let numbers = portion_of * 5_001..(portion_of + 1) * 5_001;
            import(&server, portion(numbers.map(|number| concept(&format!("n{number}"), "N")))).await;
        }
        let refused = server.get("/ValueSet/all/$expand").await;
        assert_eq!(
            (refused.status.as_u16(), refused.outcome().as_str()),
            (422, "too-costly"),
            "{}",
            refused.text()
        );
    });
}
