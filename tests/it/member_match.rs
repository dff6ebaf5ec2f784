//! `Patient/$member-match`: one patient, or 422.

use serde_json::{Value, json};

use crate::support::{Server, test};

const PLAN: &str = "http://old.example/plan";

fn patient(id: &str, family: &str, birth_date: &str, number: Option<&str>) -> Value {
    let mut patient = json!({
        "resourceType": "Patient", "id": id, "birthDate": birth_date, "gender": "female",
        "name": [{"family": family, "given": ["Ann", "Zoë"]}],
    });
    if let Some(number) = number {
        let kind =
            json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MB"}]});
        patient["identifier"] = json!([{"system": "urn:mrn", "value": id}, {"type": kind, "system": "urn:ours", "value": number}]);
    }
    patient
}

fn coverage(id: &str, beneficiary: &str, number: &str) -> Value {
    json!({
        "resourceType": "Coverage", "id": id, "status": "active", "payor": [{"display": "old"}],
        "identifier": [{"system": PLAN, "value": number}], "beneficiary": {"reference": format!("Patient/{beneficiary}")},
    })
}

async fn put(server: &Server, resource: Value) {
    let path =
        format!("/{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
    assert_eq!(server.put(&path, resource.to_string()).await.status, 201);
}

async fn ask(server: &Server, member: &Value, coverage: &Value) -> (u16, Value) {
    let parameters =
        json!([{"name": "MemberPatient", "resource": member}, {"name": "OldCoverage", "resource": coverage}]);
    let body = json!({"resourceType": "Parameters", "parameter": parameters});
    let answer = server.post("/Patient/$member-match", body.to_string()).await;
    (answer.status.as_u16(), answer.json())
}

#[test]
fn the_one_member_is_named_by_our_number() {
    test(|server| async move {
        put(&server, patient("1", "Müller", "1980-01-01", Some("M-1"))).await;
        put(&server, patient("2", "Other", "1980-01-01", Some("M-2"))).await;
        put(&server, coverage("c1", "1", "A")).await;
        put(&server, coverage("c2", "2", "B")).await;
        let mut member = patient("theirs", "MÜLLER", "1980-01-01", None);
        member["name"][0]["given"] = json!(["ann"]);
        let (status, found) = ask(&server, &member, &coverage("old", "theirs", "A")).await;
        assert_eq!(status, 200, "{found}");
        let returned = &found["parameter"][0];
        assert_eq!(
            (&returned["name"], &returned["resource"]["id"]),
            (&json!("MemberPatient"), &json!("theirs"))
        );
        let identifier = returned["resource"]["identifier"].as_array().unwrap().last().unwrap();
        assert_eq!((&identifier["system"], &identifier["value"]), (&json!("urn:ours"), &json!("M-1")));
        assert_eq!(
            identifier["type"]["coding"][0],
            json!({"system": "http://hl7.davinci.org", "code": "UMB", "display": "Member Match"})
        );
        // What was sent stays, with the new identifier behind its own.
        member["identifier"] = json!([{"system": "urn:theirs", "value": "x"}]);
        let (_, found) = ask(&server, &member, &coverage("old", "theirs", "A")).await;
        let identifiers = found["parameter"][0]["resource"]["identifier"].as_array().unwrap();
        assert_eq!((identifiers.len(), &identifiers[0]["system"]), (2, &json!("urn:theirs")));
        assert_eq!(server.events().await, 4, "nothing is written");
    });
}

#[test]
fn none_and_several_and_doubtful_ones_are_422() {
    test(|server| async move {
        put(&server, patient("1", "Smith", "1980-01-01", Some("M-1"))).await;
        put(&server, patient("2", "Smith", "1980-01-01", Some("M-2"))).await;
        put(&server, patient("3", "Jones", "1980-01-01", None)).await;
        put(&server, coverage("c1", "1", "shared")).await;
        put(&server, coverage("c2", "2", "shared")).await;
        put(&server, coverage("c3", "3", "C")).await;
        put(&server, coverage("c4", "1", "D")).await;
        let smith = patient("x", "Smith", "1980-01-01", None);
        let (without_birth, mut elsewhere) =
            (json!({"resourceType": "Patient", "name": [{"family": "Smith"}]}), smith.clone());
        elsewhere["gender"] = json!("male");
        for (member, number, code) in [
            (&smith, "shared", "multiple-matches"),
            (&smith, "unknown", "not-found"),
            // Another birthday, another sex, another name: nobody of that coverage.
            (&patient("x", "Smith", "1980-01-02", None), "D", "not-found"),
            (&elsewhere, "D", "not-found"),
            (&patient("x", "Smithson", "1980-01-01", None), "D", "not-found"),
            (&without_birth, "D", "not-found"),
            // Matches, but has no member identifier.
            (&patient("x", "Jones", "1980-01-01", None), "C", "not-found"),
        ] {
            let (status, outcome) = ask(&server, member, &coverage("old", "x", number)).await;
            assert_eq!(
                (status, outcome["issue"][0]["code"].as_str()),
                (422, Some(code)),
                "{number}: {outcome}"
            );
        }
        assert_eq!(ask(&server, &smith, &coverage("old", "x", "D")).await.0, 200);
        let no_coverage = json!({"resourceType": "Patient"});
        assert_eq!(ask(&server, &smith, &no_coverage).await.0, 400);
        assert_eq!(server.get("/Patient/$member-match").await.status, 405);
    });
}
