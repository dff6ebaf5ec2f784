//! `Observation/$lastn`: the newest observations of each kind.

use serde_json::{Value, json};

use crate::support::{Server, test};

const LOINC: &str = "http://loinc.org";

async fn observation(server: &Server, id: &str, codings: &[(&str, &str)], members: Value) {
    let codings: Vec<Value> =
        codings.iter().map(|(system, code)| json!({"system": system, "code": code})).collect();
    let mut body = json!({
        "resourceType": "Observation", "id": id, "status": "final", "code": {"coding": codings},
        "subject": {"reference": "Patient/a"}, "category": [{"coding": [{"code": "vital-signs"}]}],
    });
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    let answer = server.put(&format!("/Observation/{id}"), body.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

async fn lastn(server: &Server, query: &str) -> Vec<String> {
    let answer = server.get(&format!("/Observation/$lastn?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let bundle = answer.json();
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    assert_eq!((&bundle["type"], &bundle["total"]), (&json!("searchset"), &json!(entries.len())));
    entries.iter().map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_newest_of_each_kind_are_given() {
    test(|server| async move {
        let weight = [(LOINC, "29463-7")];
        // Written in another order than measured.
        observation(&server, "w3", &weight, json!({"effectiveDateTime": "2020-03-01"})).await;
        observation(&server, "w1", &weight, json!({"effectiveDateTime": "2020-01-01"})).await;
        observation(
            &server,
            "w2",
            &weight,
            json!({"effectivePeriod": {"start": "2020-02-01", "end": "2020-02-02"}}),
        )
        .await;
        observation(&server, "w0", &weight, json!({})).await;
        // A local code that one observation has beside that of LOINC is the same kind, whatever the others have.
        observation(
            &server,
            "p2",
            &[("urn:local", "pulse")],
            json!({"effectiveInstant": "2020-05-02T10:00:00Z"}),
        )
        .await;
        observation(&server, "p1", &[(LOINC, "8867-4")], json!({"effectiveDateTime": "2020-05-01"})).await;
        observation(
            &server,
            "p0",
            &[("urn:local", "pulse"), (LOINC, "8867-4")],
            json!({"effectiveDateTime": "2020-04-01"}),
        )
        .await;
        // Kinds without codings, and somebody else.
        observation(&server, "t1", &[], json!({"code": {"text": "mood"}, "effectiveDateTime": "2019-01-02"}))
            .await;
        observation(&server, "t0", &[], json!({"code": {"text": "mood"}, "effectiveDateTime": "2019-01-01"}))
            .await;
        observation(
            &server,
            "x",
            &weight,
            json!({"subject": {"reference": "Patient/b"}, "effectiveDateTime": "2021"}),
        )
        .await;

        let all = "patient=a&category=vital-signs";
        assert_eq!(lastn(&server, all).await, ["p2", "w3", "t1"]);
        assert_eq!(lastn(&server, &format!("{all}&max=2")).await, ["p2", "p1", "w3", "w2", "t1", "t0"]);
        let ten = lastn(&server, &format!("{all}&max=10")).await;
        assert_eq!(ten, ["p2", "p1", "p0", "w3", "w2", "w1", "w0", "t1", "t0"]);
        let code = format!("subject=Patient/a&code={LOINC}|29463-7,urn:local|pulse&max=1");
        assert_eq!(lastn(&server, &code).await, ["p2", "w3"]);
        assert!(lastn(&server, "patient=nobody&code=x").await.is_empty());
        let body = json!({"resourceType": "Parameters", "parameter": [
            {"name": "patient", "valueString": "a"}, {"name": "category", "valueCode": "vital-signs"},
            {"name": "max", "valuePositiveInt": 1}]});
        let posted = server.post("/Observation/$lastn", body.to_string()).await.json();
        assert_eq!(posted["entry"].as_array().unwrap().len(), 3, "{posted}");
    });
}

#[test]
fn what_r4_demands_must_be_given() {
    test(|server| async move {
        for (query, code) in [
            ("code=x", "required"),
            ("patient=a", "required"),
            ("patient=a&code=", "required"),
            ("patient=a&code=x&max=0", "invalid"),
            ("patient=a&code=x&max=many", "invalid"),
            ("patient=a&code:nonsense=x", "not-supported"),
        ] {
            let answer = server.get(&format!("/Observation/$lastn?{query}")).await;
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (400, code), "{query}");
        }
        assert_eq!(server.get("/Patient/$lastn?patient=a&code=x").await.status, 404);
    });
}

#[test]
fn what_says_how_to_show_is_heard_or_told_of() {
    test(|server| async move {
        observation(&server, "a", &[(LOINC, "1")], json!({})).await;
        observation(&server, "b", &[(LOINC, "2")], json!({})).await;
        let query = "/Observation/$lastn?patient=a&category=vital-signs";
        let counted = server.get(&format!("{query}&_summary=count")).await.json();
        assert_eq!((&counted["total"], counted.get("entry")), (&json!(2), None), "{counted}");
        let cut = server.get(&format!("{query}&_elements=status")).await.json();
        assert_eq!(cut["entry"][0]["resource"]["category"], Value::Null);
        for name in ["_count=1", "_sort=date", "_include=Observation:subject"] {
            let told = server.get(&format!("{query}&{name}")).await;
            let name = name.split('=').next().unwrap();
            assert!(told.text().contains(&format!("parameter {name}, which is left out")), "{}", told.text());
            assert_eq!(told.json()["total"], 2);
            let strict = [("Prefer", "handling=strict")];
            assert_eq!(server.send("GET", &format!("{query}&{name}=1"), &strict, "").await.status, 400);
        }
        let everything = server.get("/Patient/a/$everything?_summary=count").await;
        assert_eq!(everything.status, 400, "{}", everything.text());
    });
}
