//! The audit log as auditors read it: AuditEvents that are valid, found by R4's parameters, page by page.

use serde_json::{Value, json};

use crate::audit_records::setup;
use crate::support::{Answer, Server, test_with};

async fn search(server: &Server, query: &str) -> Answer {
    server.workspace("GET", &format!("/audit/AuditEvent{query}"), &[], "").await
}

/// The ids that a query finds; itself it is on record only when it has been answered.
async fn ids(server: &Server, query: &str) -> Vec<u64> {
    let answer = search(server, query).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let bundle = answer.json();
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["resource"]["id"].as_str().unwrap().parse().unwrap()).collect()
}

/// Accesses 1 to 5.
async fn fill(server: &Server) {
    let observation = json!({"resourceType": "Observation", "id": "o", "status": "final",
        "code": {"text": "x"}, "subject": {"reference": "Patient/a"}});
    assert_eq!(server.put("/Patient/a", r#"{"resourceType":"Patient","id":"a"}"#).await.status, 201);
    assert_eq!(server.put("/Observation/o", observation.to_string()).await.status, 201);
    let far = ("X-Forwarded-For", "203.0.113.9");
    let site = ("X-MS-AZUREFHIR-AUDIT-SITE", "ward 7");
    assert_eq!(server.send("GET", "/Observation/o", &[far, site], "").await.status, 200);
    assert_eq!(server.get("/Patient?name=x").await.status, 200);
    assert_eq!(server.get("/Patient/b").await.status, 404);
}

#[test]
fn records_are_found_by_the_parameters_of_r4() {
    test_with(setup(), |server| async move {
        fill(&server).await;
        for (query, wanted) in [
            ("&_sort=date", vec![1, 2, 3, 4, 5]),
            ("", vec![5, 4, 3, 2, 1]),
            ("&patient=a", vec![3, 2, 1]),
            ("&patient=Patient/b", vec![5]),
            ("&patient=a,b&action=R", vec![5, 3]),
            ("&entity=Observation/o", vec![3, 2]),
            ("&entity-type=Observation", vec![3, 2]),
            ("&action=U", vec![2, 1]),
            ("&action=E", vec![4]),
            ("&outcome=4", vec![5]),
            ("&outcome=0&action=R", vec![3]),
            ("&subtype=search-type", vec![4]),
            ("&subtype=http://hl7.org/fhir/restful-interaction|read", vec![5, 3]),
            ("&type=rest", vec![5, 4, 3, 2, 1]),
            ("&type=110114", vec![]),
            ("&agent=anonymous", vec![5, 4, 3, 2, 1]),
            ("&altid=anonymous&patient=b", vec![5]),
            ("&agent=somebody", vec![]),
            ("&agent-name=x", vec![]),
            ("&address=203.0.113", vec![3]),
            ("&address=127.0.0.1", vec![5, 4, 2, 1]),
            ("&_id=2,4,77,x", vec![2, 4]),
            ("&_id=2,4&action=E", vec![4]),
            ("&date=ge2020-01-01&date=lt2100-01-01", vec![5, 4, 3, 2, 1]),
            ("&date=lt2020-01-01", vec![]),
            ("&_lastUpdated=gt2099", vec![]),
        ] {
            // What was asked before is on record too; the first five are meant.
            let found = ids(&server, &format!("?_count=1000{query}")).await;
            let found: Vec<u64> = found.into_iter().filter(|id| *id <= 5).collect();
            assert_eq!(found, wanted, "{query}");
        }
    });
}

#[test]
fn what_is_not_understood_is_refused() {
    test_with(setup(), |server| async move {
        for query in [
            "?patient=",
            "?patient=Practitioner/1",
            "?entity=1",
            "?outcome=7",
            "?action=X",
            "?type=x",
            "?unknown=1",
            "?patient.name=x",
            "?date=ne2020",
            "?date=x",
            "?_count=0",
            "?_sort=agent",
            "?ct=x",
            "?agent:identifier=a|b,c",
        ] {
            let answer = search(&server, query).await;
            assert_eq!(answer.status, 400, "{query}");
            answer.outcome();
        }
        assert_eq!(search(&server, "/0").await.status, 404);
        assert_eq!(search(&server, "/x").await.status, 404);
        let posted = server.workspace("POST", "/audit/AuditEvent", &[], "{}").await;
        assert_eq!((posted.status.as_u16(), posted.header("allow")), (405, "GET"));
        for method in ["PUT", "DELETE", "PATCH"] {
            assert_eq!(server.workspace(method, "/audit/AuditEvent/1", &[], "{}").await.status, 405);
        }
    });
}

#[test]
fn pages_lead_through_all_and_reading_is_on_record() {
    test_with(setup(), |server| async move {
        fill(&server).await;
        let first = search(&server, "?_count=2&action=R,U,E").await.json();
        assert!(first.get("total").is_none(), "nothing is counted that was not looked at");
        let next = |bundle: &Value| {
            let links = bundle["link"].as_array().unwrap();
            let next = links.iter().find(|link| link["relation"] == "next")?;
            Some(next["url"].as_str().unwrap().to_owned())
        };
        let mut seen: Vec<String> = Vec::new();
        let mut bundle = first;
        loop {
            let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
            seen.extend(entries.iter().map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()));
            let Some(url) = next(&bundle) else { break };
            bundle = server.client.get(url).send().await.unwrap().json().await.unwrap();
        }
        assert_eq!(seen, ["5", "4", "3", "2", "1"], "what came in between is not there");
        let own = ids(&server, "?entity-type=AuditEvent").await;
        assert!(own.is_empty());
        let read = server.workspace("GET", "/audit/AuditEvent/3", &[], "").await;
        assert_eq!(read.json()["id"], "3");
        let reads = search(&server, "?entity=AuditEvent/3").await.json();
        assert_eq!(reads["total"], 1);
        assert_eq!(reads["entry"][0]["resource"]["source"]["site"], "default/audit");
    });
}

#[test]
fn events_are_valid_and_say_what_happened() {
    test_with(setup(), |server| async move {
        fill(&server).await;
        server.workspace("GET", "/$projections", &[], "").await;
        server.get("/Patient/a/$everything").await;
        server.get("/Nonsense").await;
        let transaction = json!({"resourceType": "Bundle", "type": "batch", "entry": [
            {"request": {"method": "GET", "url": "Patient/a"}}]});
        server.post("", transaction.to_string()).await;
        server.workspace("GET", "/audit/$verify", &[], "").await;
        let bundle = search(&server, "?_count=100").await.json();
        let entries = bundle["entry"].as_array().unwrap();
        assert!(entries.len() >= 10);
        for entry in entries {
            let event = &entry["resource"];
            let answer = server.post("/AuditEvent/$validate", event.to_string()).await;
            let outcome = answer.json();
            let severe = |issue: &&Value| matches!(issue["severity"].as_str(), Some("error" | "fatal"));
            let faults: Vec<&Value> = outcome["issue"].as_array().unwrap().iter().filter(severe).collect();
            assert!(faults.is_empty(), "{faults:?}: {event}");
        }
        let event = server.workspace("GET", "/audit/AuditEvent/3", &[], "").await.json();
        assert_eq!(event["type"]["code"], "rest");
        assert_eq!(event["subtype"][0]["code"], "read");
        assert_eq!((&event["action"], &event["outcome"]), (&json!("R"), &json!("0")));
        assert_eq!(event["outcomeDesc"], "200 OK");
        assert_eq!(event["agent"][0]["network"], json!({"address": "203.0.113.9", "type": "2"}));
        assert_eq!(event["agent"][0]["altId"], "anonymous");
        assert_eq!(event["agent"][1]["network"]["address"], "127.0.0.1");
        assert_eq!(event["entity"][0]["what"]["reference"], "Observation/o/_history/1");
        assert_eq!(event["entity"][1]["what"]["reference"], "Patient/a");
        let detail = &event["entity"][2]["detail"][0];
        assert_eq!(detail, &json!({"type": "X-MS-AZUREFHIR-AUDIT-SITE", "valueString": "ward 7"}));
        let query = server.workspace("GET", "/audit/AuditEvent/4", &[], "").await.json();
        // Patient?name=x
        assert_eq!(query["entity"][0]["query"], "UGF0aWVudD9uYW1lPXg=");
    });
}

#[test]
fn it_states_what_it_can_and_answers_in_xml_too() {
    test_with(setup(), |server| async move {
        fill(&server).await;
        let statement = server.workspace("GET", "/audit/metadata", &[], "").await;
        let answer = server.post("/CapabilityStatement/$validate", statement.text()).await.json();
        assert!(
            answer["issue"].as_array().unwrap().iter().all(|issue| issue["severity"] != "error"),
            "{answer}"
        );
        let xml = search(&server, "/1?_format=xml").await;
        assert!(xml.text().contains("<AuditEvent xmlns=\"http://hl7.org/fhir\">"), "{}", xml.text());
    });
}

#[test]
fn an_auditor_has_the_chain_walked() {
    test_with(setup(), |server| async move {
        fill(&server).await;
        let verify = async |query: &str| {
            let answer = server.workspace("GET", &format!("/audit/$verify{query}"), &[], "").await;
            (answer.status.as_u16(), answer.json())
        };
        let (status, whole) = verify("").await;
        assert_eq!((status, &whole["whole"], &whole["broken"]), (200, &json!(true), &Value::Null));
        let anchor = format!("{}:{}", whole["number"], whole["hash"].as_str().unwrap());
        assert_eq!(verify(&format!("?anchor={anchor}")).await.1["whole"], true);
        assert_eq!(verify(&format!("?from={anchor}")).await.1["whole"], true);
        let wrong = format!("?anchor=3:{}", "ab".repeat(32));
        let (_, broken) = verify(&wrong).await;
        assert_eq!((&broken["whole"], &broken["broken"]["from"]), (&json!(false), &json!(3)));
        assert_eq!(verify("?anchor=3").await.0, 400);
        assert_eq!(verify("?form=3").await.0, 400);
    });
}
