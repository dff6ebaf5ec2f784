//! Questions of terminology have a bound: what draws on the same again and again is looked into once, and what takes too
//! much work is refused.

use serde_json::{Value, json};

use crate::support::{Server, Setup, test, test_with};
use crate::terminology::{codes, output};

const DEPTH: usize = 14;
const PARTS: usize = 10;

/// Ten to the power of thirteen ways lead from the first value set to the six codes of the last.
async fn store_nested(server: &Server) {
    let concepts: Vec<Value> = ["a", "b", "c", "d", "e", "f"].map(|code| json!({ "code": code })).into();
    let mut entries = vec![json!({ "resourceType": "CodeSystem", "url": "urn:six", "status": "active",
        "content": "complete", "concept": concepts })];
    for number in 0..DEPTH {
        let part = match number + 1 == DEPTH {
            true => json!({ "system": "urn:six" }),
            false => json!({ "valueSet": [format!("urn:n{}", number + 1)] }),
        };
        entries
            .push(json!({ "resourceType": "ValueSet", "url": format!("urn:n{number}"), "status": "active",
            "compose": { "include": vec![part; PARTS] } }));
    }
    let entry = |resource: &Value| {
        json!({ "resource": resource, "request": { "method": "POST",
        "url": resource["resourceType"] } })
    };
    let entries: Vec<Value> = entries.iter().map(entry).collect();
    let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries });
    let answer = server.post("/", bundle.to_string()).await;
    assert!(answer.status.is_success(), "{}", answer.json());
}

#[test]
fn value_sets_that_draw_on_the_same_many_times_are_answered() {
    test_with(Setup { terminology: true, ..Setup::default() }, |server| async move {
        store_nested(&server).await;
        let listed = server.get("/ValueSet/$expand?url=urn:n0").await.json();
        assert_eq!(codes(&listed), ["a", "b", "c", "d", "e", "f"]);
        for (code, expected) in [("f", true), ("zzz", false)] {
            let path = format!("/ValueSet/$validate-code?url=urn:n0&system=urn:six&code={code}");
            assert_eq!(output(&server.get(&path).await.json(), "result"), &json!(expected), "{code}");
        }
        let basic =
            json!({ "resourceType": "Basic", "code": { "coding": [{ "system": "urn:six", "code": "c" }] } });
        assert_eq!(server.post("/Basic", basic.to_string()).await.status, 201);
        let found = server.get("/Basic?code:in=urn:n0&_total=accurate").await.json();
        assert_eq!(found["total"], json!(1), "{found}");
        let profile = json!({ "resourceType": "StructureDefinition", "url": "urn:bound", "name": "Bound",
            "status": "active", "kind": "resource", "abstract": false, "type": "Basic", "derivation": "constraint",
            "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Basic",
            "differential": { "element": [{ "id": "Basic.code", "path": "Basic.code",
                "binding": { "strength": "required", "valueSet": "urn:n0" } }] } });
        assert_eq!(server.post("/StructureDefinition", profile.to_string()).await.status, 201);
        let wrong = json!({ "resourceType": "Basic", "code": { "coding": [{ "system": "urn:six", "code": "x" },
            { "system": "urn:six", "code": "y" }] } });
        let told = server.post("/Basic/$validate?profile=urn:bound", wrong.to_string()).await.json();
        assert!(told.to_string().contains("code-invalid"), "{told}");
    });
}

#[test]
fn what_takes_too_much_work_is_refused() {
    test(|server| async move {
        let part = json!({ "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode" });
        let set = json!({ "resourceType": "ValueSet", "status": "draft",
            "compose": { "include": vec![part; 2_000] } });
        let refused = server.post("/ValueSet/$expand", set.to_string()).await;
        assert_eq!(refused.status, 422, "{}", refused.json());
        assert_eq!(refused.json()["issue"][0]["code"], json!("too-costly"));
        assert_eq!(
            refused.json()["issue"][0]["diagnostics"],
            json!("It takes too much work to find this out.")
        );
    });
}

#[test]
fn what_is_named_twice_or_is_no_value_set_is_refused() {
    test_with(Setup { terminology: true, ..Setup::default() }, |server| async move {
        store_nested(&server).await;
        let listed = server.get("/ValueSet?url=urn:n13").await.json();
        let id = listed["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
        let both = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "url", "valueUri": "urn:n13" }, { "name": "code", "valueCode": "a" },
            { "name": "system", "valueUri": "urn:six" },
            { "name": "coding", "valueCoding": { "system": "urn:six", "code": "zz" } }] });
        assert_eq!(server.post("/ValueSet/$validate-code", both.to_string()).await.status, 400);
        assert_eq!(server.get(&format!("/ValueSet/{id}/$expand?url=urn:n0")).await.status, 400);
        for set in [
            json!({ "resourceType": "ValueSet", "compose": { "include": [{}] } }),
            json!({ "resourceType": "ValueSet", "status": "draft", "compose": { "include": [{}] } }),
        ] {
            assert_eq!(server.post("/ValueSet/$expand", set.to_string()).await.status, 400, "{set}");
        }
        let bare = json!({ "resourceType": "ValueSet", "status": "draft" });
        assert_eq!(server.post("/ValueSet/$expand", bare.to_string()).await.status, 422);
    });
}
