//! SearchParameters as resources: checked whichever way they are written, alike on every node.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, FHIR, Server, test};

/// A parameter of Patient that adds something, with what is given in place of, or beside, what it would have.
pub(crate) fn parameter(changes: Value) -> Value {
    let mut resource = json!({
        "resourceType": "SearchParameter", "url": "http://example.org/nickname", "name": "nickname", "status": "active",
        "description": "What friends say.", "code": "nickname", "base": ["Patient"], "type": "string",
        "expression": "Patient.name.where(use = 'nickname').given",
    });
    for (name, value) in changes.as_object().unwrap() {
        resource[name] = value.clone();
    }
    resource
}

/// The status, and the elements and codes of the issues.
fn refused(answer: &Answer) -> (u16, Vec<(String, String)>) {
    let json = answer.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let issues = json["issue"].as_array().unwrap_or_else(|| panic!("{json}"));
    let issues = issues.iter().map(|issue| (text(&issue["expression"][0]), text(&issue["code"])));
    (answer.status.as_u16(), issues.collect())
}

fn one(element: &str, code: &str) -> Vec<(String, String)> {
    vec![(format!("SearchParameter.{element}"), code.to_owned())]
}

async fn created(server: &Server, resource: &Value) -> String {
    let answer = server.post("/SearchParameter", resource.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn every_way_of_writing_is_checked_and_nothing_wrong_is_written() {
    test(|server| async move {
        let id = created(&server, &parameter(json!({}))).await;
        let events = server.events().await;
        let misfit = parameter(json!({"type": "date", "id": id}));
        let expected = (400, one("expression", "invalid"));
        let new = parameter(json!({"type": "date", "url": "http://example.org/new", "code": "new"}));
        assert_eq!(refused(&server.post("/SearchParameter", new.to_string()).await), expected);
        let path = format!("/SearchParameter/{id}");
        assert_eq!(refused(&server.put(&path, misfit.to_string()).await), expected);
        let conditional = "/SearchParameter?url=http://example.org/nickname";
        assert_eq!(refused(&server.put(conditional, misfit.to_string()).await), expected);
        let once = [FHIR, ("If-None-Exist", "url=http://example.org/other")];
        assert_eq!(refused(&server.send("POST", "/SearchParameter", &once, new.to_string()).await), expected);
        let patch = json!([{"op": "replace", "path": "/type", "value": "date"}]).to_string();
        let json_patch = [("Content-Type", "application/json-patch+json")];
        assert_eq!(refused(&server.send("PATCH", &path, &json_patch, patch).await), expected);
        let entry = |method: &str, url: &str| {
            let resource = if method == "POST" { &new } else { &misfit };
            json!({"resource": resource, "request": {"method": method, "url": url}})
        };
        for (method, url) in
            [("POST", "SearchParameter".to_owned()), ("PUT", format!("SearchParameter/{id}"))]
        {
            let mut bundle =
                json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry(method, &url)]});
            let answer = server.post("/", bundle.to_string()).await;
            assert_eq!(refused(&answer), expected, "{method}");
            assert_eq!(answer.json()["issue"][0]["expression"][1], "Bundle.entry[0]");
            bundle["type"] = json!("batch");
            let answer = server.post("/", bundle.to_string()).await.json();
            assert_eq!(answer["entry"][0]["response"]["status"], "400", "{method}");
        }
        assert_eq!(server.events().await, events);
    });
}

#[test]
fn all_faults_are_told_with_what_was_found() {
    test(|server| async move {
        let wrong = parameter(json!({"code": "a:b", "type": "token", "base": ["Patient", "Person"],
            "expression": "Patient.name | Person.nothing"}));
        let answer = server.post("/SearchParameter", wrong.to_string()).await;
        let element = |name: &str| (format!("SearchParameter.{name}"), "invalid".to_owned());
        assert_eq!(
            refused(&answer),
            (400, vec![element("code"), element("expression"), element("expression")])
        );
        let text = answer.json()["issue"][1]["diagnostics"].as_str().unwrap().to_owned();
        assert!(
            text.contains("a:b") && text.contains("Patient.name finds HumanName") && text.contains("Coding"),
            "{text}"
        );
        let validated = server.post("/SearchParameter/$validate", wrong.to_string()).await;
        assert_eq!(validated.status, 200);
        let mut issues = validated.json()["issue"].as_array().unwrap().clone();
        issues.retain(|issue| issue["severity"] == "error");
        assert_eq!(json!(issues), answer.json()["issue"]);
        let fine = server.post("/SearchParameter/$validate", parameter(json!({})).to_string()).await;
        assert!(!fine.text().contains(r#""severity":"error""#), "{}", fine.text());
    });
}

#[test]
fn a_name_is_taken_once_on_every_node() {
    test(|server| async move {
        let other = server.beside().await;
        let id = created(&server, &parameter(json!({}))).await;
        let rival =
            parameter(json!({"url": "http://example.org/rival", "expression": "Patient.contact.name"}));
        let taken = (409, one("code", "duplicate"));
        for node in [&*server, &other] {
            assert_eq!(refused(&node.post("/SearchParameter", rival.to_string()).await), taken);
            let twice = parameter(json!({"expression": "Patient.contact.name"}));
            assert_eq!(
                refused(&node.post("/SearchParameter", twice.to_string()).await),
                (409, one("url", "duplicate"))
            );
        }
        // Its own resource may say something else under its name.
        let changed = parameter(json!({"id": id, "expression": "Patient.name.given"})).to_string();
        assert_eq!(other.put(&format!("/SearchParameter/{id}"), changed).await.status, 200);
        assert_eq!(server.delete(&format!("/SearchParameter/{id}")).await.status, 204);
        assert_eq!(other.post("/SearchParameter", rival.to_string()).await.status, 201);
        other.stop().await;
    });
}

/// Of many at once, each right by itself, one has the code; on one server and on two.
#[test]
fn a_name_is_taken_once_also_by_many_at_once() {
    const EXPRESSIONS: [(&str, &str); 4] = [
        ("string", "Patient.name.given"),
        ("token", "Patient.identifier"),
        ("date", "Patient.birthDate"),
        ("reference", "Patient.link.other"),
    ];
    let rival = |round: usize, number: usize| {
        let (kind, expression) = EXPRESSIONS[number % EXPRESSIONS.len()];
        let url = format!("http://example.org/rival-{round}-{number}");
        let code = format!("rival{round}");
        parameter(json!({"url": url, "code": code, "type": kind, "expression": expression}))
    };
    test(|server| async move {
        let other = server.beside().await;
        for (round, nodes) in [vec![&*server], vec![&*server, &other]].into_iter().enumerate() {
            let post = async |number: usize| {
                let (node, resource) = (nodes[number % nodes.len()], rival(round, number));
                match number % 5 {
                    0 => {
                        let request = json!({"method": "POST", "url": "SearchParameter"});
                        let entry = json!([{"resource": resource, "request": request}]);
                        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entry});
                        node.post("/", bundle.to_string()).await
                    }
                    1 => {
                        let headers = [FHIR, ("If-None-Exist", "name=nobody")];
                        node.send("POST", "/SearchParameter", &headers, resource.to_string()).await
                    }
                    _ => node.post("/SearchParameter", resource.to_string()).await,
                }
            };
            let answers = join_all((0..20).map(post)).await;
            for answer in &answers {
                let status = answer.status.as_u16();
                assert!([200, 201, 409].contains(&status), "{}", answer.text());
            }
            let path = format!("/SearchParameter?code=rival{round}");
            let stored = server.get(&path).await.json()["entry"].as_array().unwrap().clone();
            // Those that say the same as the one that has it may stand beside it.
            let mut said: Vec<_> =
                stored.iter().map(|entry| entry["resource"]["expression"].clone()).collect();
            said.dedup();
            assert_eq!(said.len(), 1, "{said:?}");
            let written = answers.iter().filter(|answer| answer.status.is_success()).count();
            assert_eq!(stored.len(), written);
        }
        other.stop().await;
    });
}

#[test]
fn what_r4_defines_is_stored_as_it_is_and_cannot_be_deleted() {
    test(|server| async move {
        let name = "http://hl7.org/fhir/SearchParameter/Patient-name";
        let refused_delete = server.delete("/SearchParameter/Patient-name").await;
        assert_eq!((refused_delete.status.as_u16(), refused_delete.header("allow")), (405, "GET, HEAD, PUT"));
        let entry = json!({"request": {"method": "DELETE", "url": "SearchParameter/Patient-name"}});
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
        assert_eq!(server.post("/", bundle.to_string()).await.status, 405);
        assert_eq!(server.delete("/SearchParameter/nothing").await.status, 204);
        let other = parameter(json!({"id": "Patient-name", "url": name, "code": "name"}));
        let path = "/SearchParameter/Patient-name";
        assert_eq!(refused(&server.put(path, other.to_string()).await), (409, one("url", "duplicate")));
        let same = parameter(
            json!({"id": "Patient-name", "url": name, "code": "name", "expression": "Patient.name"}),
        );
        assert_eq!(server.put(path, same.to_string()).await.status, 201);
        assert_eq!(server.delete(path).await.status, 204);
        let us_core = parameter(
            json!({"url": "http://example.org/us-core-patient-name", "code": "name", "derivedFrom": name,
            "expression": "Patient.name.given"}),
        );
        created(&server, &us_core).await;
        // These take no part in searches; nobody has to understand them.
        created(&server, &parameter(json!({"url": "http://example.org/a", "type": "special"}))).await;
        created(
            &server,
            &parameter(json!({"url": "http://example.org/b", "status": "retired", "expression": "("})),
        )
        .await;
    });
}
