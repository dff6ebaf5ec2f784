//! `:in`, `:not-in`, `:above` and `:below` of token parameters, by R4's own and by stored terminology.

use std::sync::Arc;

use serde_json::Value;

use crate::support::{Server, Setup, test_with};

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

fn setup() -> Setup {
    Setup { terminology: true, ..Setup::default() }
}

async fn fill(server: &Server, codes: &[(&str, &str)]) {
    for (number, (system, code)) in codes.iter().enumerate() {
        let body = format!(
            r#"{{"resourceType":"Observation","id":"{number}","status":"final","code":{{"coding":[{{"system":"{system}","code":"{code}"}}]}}}}"#
        );
        assert_eq!(server.put(&format!("/Observation/{number}"), body).await.status, 201);
    }
}

/// The numbers of the Observations that a query finds.
async fn found(server: &Arc<Server>, query: &str) -> Vec<String> {
    let answer = server.get(&format!("/Observation?{query}&_count=100")).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let bundle = answer.json();
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let matches = entries.iter().filter(|entry| entry["search"]["mode"] == "match");
    let mut ids: Vec<String> =
        matches.map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

async fn refusal(server: &Arc<Server>, query: &str) -> Value {
    let answer = server.get(&format!("/Observation?{query}")).await;
    assert_eq!(answer.status, 400, "{}", answer.json());
    answer.json()["issue"][0]["diagnostics"].clone()
}

#[test]
fn codes_are_found_by_their_place_in_the_hierarchy_of_r4() {
    test_with(setup(), |server| async move {
        fill(&server, &[(ACT_CODE, "AE"), (ACT_CODE, "CC"), (ACT_CODE, "AMB"), ("urn:x", "AE")]).await;
        assert_eq!(found(&server, &format!("code:below={ACT_CODE}|CC")).await, ["0", "1"]);
        assert_eq!(found(&server, &format!("code:above={ACT_CODE}|AE")).await, ["0", "1"]);
        assert_eq!(found(&server, &format!("code:below={ACT_CODE}|AE")).await, ["0"]);
        let unknown = refusal(&server, &format!("code:below={ACT_CODE}|none")).await;
        assert!(unknown.as_str().unwrap().contains("no such code") && !unknown.to_string().contains("none"));
    });
}

#[test]
fn codes_are_found_by_a_value_set_as_soon_as_it_is_stored() {
    test_with(setup(), |server| async move {
        fill(&server, &[("urn:c", "a"), ("urn:c", "b"), ("urn:d", "a")]).await;
        refusal(&server, "code:in=urn:s").await;
        let set = |codes: &str| {
            format!(
                r#"{{"resourceType":"ValueSet","id":"s","url":"urn:s","status":"active","compose":{{"include":[{{"system":"urn:c","concept":[{codes}]}}]}}}}"#
            )
        };
        assert_eq!(server.put("/ValueSet/s", set(r#"{"code":"a"}"#)).await.status, 201);
        assert_eq!(found(&server, "code:in=urn:s").await, ["0"]);
        assert_eq!(found(&server, "code:not-in=urn:s").await, ["1", "2"]);
        assert_eq!(found(&server, "code:in=ValueSet/s").await, ["0"]);
        assert_eq!(found(&server, &format!("code:in={}/ValueSet/s", server.base)).await, ["0"]);
        assert_eq!(server.put("/ValueSet/s", set(r#"{"code":"a"},{"code":"b"}"#)).await.status, 200);
        assert_eq!(found(&server, "code:in=urn:s").await, ["0", "1"]);
        assert_eq!(found(&server, "code:in=ValueSet/s").await, ["0", "1"]);
        assert!(server.delete("/ValueSet/s").await.status.is_success());
        refusal(&server, "code:in=ValueSet/s").await;
    });
}

#[test]
fn an_element_of_type_code_is_in_the_set_of_its_codes() {
    test_with(setup(), |server| async move {
        fill(&server, &[("urn:c", "a")]).await;
        let status = "http://hl7.org/fhir/ValueSet/observation-status";
        assert_eq!(found(&server, &format!("status:in={status}")).await, ["0"]);
        assert!(found(&server, &format!("status:not-in={status}")).await.is_empty());
    });
}

#[test]
fn more_codes_than_a_search_can_ask_for_are_refused() {
    test_with(setup(), |server| async move {
        let concepts: Vec<String> = (0..5_001).map(|number| format!(r#"{{"code":"c{number}"}}"#)).collect();
        let system = format!(
            r#"{{"resourceType":"CodeSystem","id":"c","url":"urn:c","valueSet":"urn:all","status":"active","content":"complete","concept":[{}]}}"#,
            concepts.join(",")
        );
        assert_eq!(server.put("/CodeSystem/c", system).await.status, 201);
        let text = refusal(&server, "code:in=urn:all").await;
        assert!(text.as_str().unwrap().contains("more than 5000"), "{text}");
    });
}

#[test]
fn codes_of_a_system_that_does_not_tell_letters_apart_are_found_in_the_usual_spellings() {
    test_with(setup(), |server| async move {
        let stored = ["Ab-1", "AB-1", "ab-1", "aB-1", "CD", "cd", "77"];
        fill(&server, &stored.map(|code| ("urn:c", code))).await;
        let system = |is_case_sensitive: bool| {
            format!(
                r#"{{"resourceType":"CodeSystem","id":"c","url":"urn:c","valueSet":"urn:all","status":"active","content":"complete",
                    "caseSensitive":{is_case_sensitive},"concept":[{{"code":"Ab-1","concept":[{{"code":"cd"}}]}},{{"code":"77"}}]}}"#
            )
        };
        assert_eq!(server.put("/CodeSystem/c", system(true)).await.status, 201);
        assert_eq!(found(&server, "code:in=urn:all").await, ["0", "5", "6"]);
        assert_eq!(found(&server, "code:below=urn:c|Ab-1").await, ["0", "5"]);
        refusal(&server, "code:below=urn:c|AB-1").await;
        assert_eq!(server.put("/CodeSystem/c", system(false)).await.status, 200);
        // "aB-1" is none of the spellings that are looked for.
        assert_eq!(found(&server, "code:in=urn:all").await, ["0", "1", "2", "4", "5", "6"]);
        assert_eq!(found(&server, "code:not-in=urn:all").await, ["3"]);
        assert_eq!(found(&server, "code:below=urn:c|aB-1").await, ["0", "1", "2", "4", "5"]);
        assert_eq!(found(&server, "code:above=urn:c|Cd").await, ["0", "1", "2", "4", "5"]);
        assert_eq!(found(&server, "code:above=urn:c|AB-1").await, ["0", "1", "2"]);
        // Without the help of terminology a code is what it is.
        assert_eq!(found(&server, "code=urn:c|AB-1").await, ["1"]);
        let set = r#"{"resourceType":"ValueSet","id":"s","url":"urn:s","status":"active","compose":{"include":[
            {"system":"urn:c","concept":[{"code":"aB-1"}]}]}}"#;
        assert_eq!(server.put("/ValueSet/s", set).await.status, 201);
        assert_eq!(found(&server, "code:in=urn:s").await, ["0", "1", "2", "3"]);
    });
}

#[test]
fn spellings_count_as_codes_that_a_search_asks_for() {
    test_with(setup(), |server| async move {
        let system = |count: usize| {
            let concepts: Vec<String> =
                (0..count).map(|number| format!(r#"{{"code":"Code{number}"}}"#)).collect();
            format!(
                r#"{{"resourceType":"CodeSystem","id":"c","url":"urn:c","valueSet":"urn:all","status":"active","content":"complete","caseSensitive":false,"concept":[{}]}}"#,
                concepts.join(",")
            )
        };
        fill(&server, &[("urn:c", "CODE7")]).await;
        assert_eq!(server.put("/CodeSystem/c", system(1_666)).await.status, 201);
        assert_eq!(found(&server, "code:in=urn:all").await, ["0"]);
        assert_eq!(server.put("/CodeSystem/c", system(1_667)).await.status, 200);
        let text = refusal(&server, "code:in=urn:all").await;
        assert!(text.as_str().unwrap().contains("more than 5000"), "{text}");
    });
}
