//! Definitions that are stored on one server are used at once on another one that shares the log.

use serde_json::json;

use crate::support::{JSON, Server, Setup, test_with};
use crate::terminology::{codes, output};

fn setup() -> Setup {
    Setup { terminology: true, ..Setup::default() }
}

async fn put(server: &Server, path: &str, body: impl Into<String>) {
    let answer = server.put(path, body.into()).await;
    assert!(answer.status.is_success(), "{}", answer.json());
}

#[test]
fn what_one_server_stores_the_other_uses_at_once() {
    test_with(setup(), |one| async move {
        let two = one.beside_with(setup()).await;
        let system = |code: &str| {
            format!(
                r#"{{"resourceType":"CodeSystem","id":"c","url":"urn:c","status":"active","content":"complete","valueSet":"urn:all","concept":[{{"code":"{code}"}}]}}"#
            )
        };
        let mut last = String::new();
        for round in 0..6 {
            // Both ask and both write: what either has kept is of before the other wrote.
            let (writer, reader) = if round % 2 == 0 { (&*one, &two) } else { (&two, &*one) };
            let code = format!("c{round}");
            put(writer, "/CodeSystem/c", system(&code)).await;
            let expanded = reader.get("/ValueSet/$expand?url=urn:all").await.json();
            assert_eq!(codes(&expanded), [code.as_str()]);
            let judged = |code: &str| format!("/CodeSystem/$validate-code?url=urn:c&code={code}");
            assert_eq!(output(&reader.get(&judged(&code)).await.json(), "result"), &json!(true));
            if !last.is_empty() {
                assert_eq!(output(&reader.get(&judged(&last)).await.json(), "result"), &json!(false));
            }
            let set = format!(
                r#"{{"resourceType":"ValueSet","id":"s","url":"urn:s","status":"active","compose":{{"include":[{{"system":"urn:c","concept":[{{"code":"{code}"}}]}}]}}}}"#
            );
            put(writer, "/ValueSet/s", set).await;
            assert_eq!(codes(&reader.get("/ValueSet/$expand?url=urn:s").await.json()), [code.as_str()]);
            last = code;
        }
        assert_eq!(one.delete("/CodeSystem/c?hardDelete=true").await.status, 204);
        assert_eq!(two.get("/ValueSet/$expand?url=urn:all").await.status, 404);
        two.stop().await;
    });
}

#[test]
fn a_profile_that_one_server_stores_binds_the_other() {
    test_with(setup(), |one| async move {
        let two = one.beside_with(setup()).await;
        let profile = |minimum: u8| {
            json!({"resourceType": "StructureDefinition", "id": "p", "url": "http://example.org/p", "name": "P",
                "status": "active", "kind": "resource", "abstract": false, "type": "Patient",
                "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient", "derivation": "constraint",
                "differential": {"element": [{"id": "Patient.birthDate", "path": "Patient.birthDate", "min": minimum}]}})
            .to_string()
        };
        let patient = json!({"resourceType": "Patient", "meta": {"profile": ["http://example.org/p"]}});
        for minimum in [1, 0, 1] {
            put(&one, "/StructureDefinition/p", profile(minimum)).await;
            for server in [&two, &*one] {
                let answer = server.post("/Patient/$validate", patient.to_string()).await.json();
                let has_errors = answer.to_string().contains(r#""severity":"error""#);
                assert_eq!(has_errors, minimum == 1, "{answer}");
            }
        }
        two.stop().await;
    });
}

#[test]
fn terminology_is_built_again_while_it_is_asked() {
    test_with(setup(), |server| async move {
        let set = |code: &str| {
            json!({"resourceType": "ValueSet", "id": "s", "url": "urn:s", "status": "active",
                "compose": {"include": [{"system": "urn:c", "concept": [{"code": code}]}]}})
            .to_string()
        };
        put(&server, "/ValueSet/s", set("c0")).await;
        let order = json!({"projection": "terminology"}).to_string();
        let begun = server.workspace("POST", "/$rebuild", &[JSON], order).await;
        let expected = json!({"projection": "terminology", "version": 2, "started": true});
        assert_eq!((begun.status.as_u16(), begun.json()), (202, expected));
        let listed = "/$projections?projection=terminology";
        let mut round = 0;
        loop {
            let shown = server.workspace("GET", listed, &[], "").await.json();
            let expanded = server.get("/ValueSet/$expand?url=urn:s").await.json();
            assert_eq!(codes(&expanded), [format!("c{round}").as_str()]);
            let versions = shown["projections"][0]["versions"].as_array().unwrap().clone();
            if versions.iter().any(|one| one["version"] == 2 && one["state"] == "active") {
                break;
            }
            round += 1;
            put(&server, "/ValueSet/s", set(&format!("c{round}"))).await;
        }
        let all = server.workspace("GET", "/$projections", &[], "").await.json();
        let names: Vec<&str> =
            all["projections"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["search", "terminology"]);
    });
}
