//! `$validate`, and the profiles that resources are checked against when they are written.

use anamnesis::api::{ApiOptions, Checked, ValidationOptions};
use serde_json::{Value, json};

use crate::support::{Answer, Server, Setup, test, test_with};

const PROFILE: &str = "http://example.org/StructureDefinition/named-patient";

/// A profile on Patient that asks for a name, and for more where `also` says so.
fn named_patient(version: &str, also: &[Value]) -> Value {
    let mut elements = vec![json!({
        "id": "Patient.name", "path": "Patient.name", "min": 1,
        "constraint": [{"key": "np-1", "severity": "error", "human": "needs a family name", "expression": "family.exists()"}]
    })];
    elements.extend_from_slice(also);
    json!({
        "resourceType": "StructureDefinition", "id": "named-patient", "url": PROFILE, "version": version,
        "name": "NamedPatient", "status": "active", "kind": "resource", "abstract": false, "type": "Patient",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient", "derivation": "constraint",
        "differential": {"element": elements}
    })
}

/// Severity, code and place of each issue, with the constraint's key behind it.
fn told(answer: &Answer) -> Vec<String> {
    let line = |issue: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = text(&issue["details"]["coding"][0]["code"]);
        let parts = [text(&issue["severity"]), text(&issue["code"]), text(&issue["expression"][0]), key];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    };
    answer.json()["issue"].as_array().unwrap().iter().map(line).collect()
}

async fn validated(server: &Server, path: &str, body: &Value) -> Vec<String> {
    let answer = server.post(path, body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["resourceType"], "OperationOutcome");
    told(&answer)
}

fn patient(name: Option<&Value>) -> Value {
    let mut patient = json!({
        "resourceType": "Patient", "meta": {"profile": [PROFILE]},
        "text": {"status": "empty", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">-</div>"}
    });
    if let Some(name) = name {
        patient["name"] = json!([name]);
    }
    patient
}

#[test]
fn validate_answers_200_whatever_is_wrong() {
    test(|server| async move {
        let good = json!({"resourceType": "Patient", "text": patient(None)["text"]});
        assert_eq!(validated(&server, "/Patient/$validate", &good).await, ["information informational"]);
        let bad = json!({"resourceType": "Patient", "birthDate": "2024-02-30", "nonsense": 1});
        assert_eq!(
            validated(&server, "/$validate", &bad).await,
            [
                "error value Patient.birthDate",
                "error structure Patient.nonsense",
                "warning invariant Patient dom-6",
            ]
        );
        assert_eq!(
            validated(&server, "/Observation/$validate", &good).await[0],
            "error invalid resourceType"
        );
        let wrapped = json!({"resourceType": "Parameters", "parameter": [
            {"name": "resource", "resource": bad}, {"name": "mode", "valueCode": "update"}]});
        assert_eq!(validated(&server, "/Patient/$validate", &wrapped).await[0], "error required id");
        let created = json!({"resourceType": "Patient", "id": "a", "text": good["text"]});
        assert_eq!(
            validated(&server, "/Patient/$validate?mode=create", &created).await,
            ["information informational id"]
        );
        assert_eq!(server.events().await, 0, "nothing is stored");
        assert_eq!(server.post("/Patient/$validate", "{").await.status, 400);
        assert_eq!(server.post("/Patient/$validate?mode=guess", good.to_string()).await.status, 400);
        assert_eq!(server.get("/Patient/$validate").await.status, 400);
    });
}

#[test]
fn what_is_stored_can_be_validated_and_asked_for_its_deletion() {
    test(|server| async move {
        let stored = json!({"resourceType": "Patient", "id": "a"});
        assert_eq!(server.put("/Patient/a", stored.to_string()).await.status, 201);
        let answer = server.get("/Patient/a/$validate").await;
        assert_eq!(
            (answer.status.as_u16(), told(&answer)),
            (200, vec!["warning invariant Patient dom-6".to_owned()])
        );
        let deletion = server.get("/Patient/a/$validate?mode=delete").await;
        assert_eq!(told(&deletion), ["information informational"]);
        assert_eq!(told(&server.get("/Patient/b/$validate?mode=delete").await), ["error not-found"]);
        assert_eq!(server.get("/Patient/b/$validate").await.status, 404);
        let other = json!({"resourceType": "Patient", "id": "b", "text": patient(None)["text"]});
        assert_eq!(validated(&server, "/Patient/a/$validate", &other).await, ["error invalid id"]);
        server.delete("/Patient/a").await;
        assert_eq!(server.get("/Patient/a/$validate").await.status, 410);
        assert_eq!(
            told(&server.get("/Patient/a/$validate?mode=delete").await),
            ["information informational"]
        );
        // Of what was erased nothing is told, not even that it was there.
        server.delete("/Patient/a?hardDelete=true").await;
        assert_eq!(told(&server.get("/Patient/a/$validate?mode=delete").await), ["error not-found"]);
    });
}

#[test]
fn profiles_of_r4_are_known_and_others_once_they_are_stored() {
    test(|server| async move {
        let rate = json!({"resourceType": "Observation", "status": "final", "code": {"text": "a"}});
        let path = "/Observation/$validate?profile=http://hl7.org/fhir/StructureDefinition/heartrate";
        let issues = validated(&server, path, &rate).await;
        assert!(issues.contains(&"error required Observation.subject".to_owned()), "{issues:?}");
        assert!(issues.contains(&"error invariant Observation vs-2".to_owned()), "{issues:?}");

        // Unknown: a warning where it is declared, an error where it is asked for.
        let unnamed = patient(None);
        let declared = "warning not-found Patient.meta.profile[0]";
        assert_eq!(validated(&server, "/Patient/$validate", &unnamed).await, [declared]);
        let asked = format!("/Patient/$validate?profile={PROFILE}");
        let plain = json!({"resourceType": "Patient", "text": unnamed["text"]});
        assert_eq!(validated(&server, &asked, &plain).await, ["error not-found Patient"]);

        // Written, changed, deleted: each counts from the next request on.
        let stored =
            server.put("/StructureDefinition/named-patient", named_patient("1", &[]).to_string()).await;
        assert_eq!(stored.status, 201, "{}", stored.text());
        assert_eq!(validated(&server, "/Patient/$validate", &unnamed).await, ["error required Patient.name"]);
        let given = patient(Some(&json!({"given": ["A"]})));
        assert_eq!(
            validated(&server, "/Patient/$validate", &given).await,
            ["error invariant Patient.name[0] np-1"]
        );
        let gender = json!({"id": "Patient.gender", "path": "Patient.gender", "min": 1});
        let changed = named_patient("2", &[gender]).to_string();
        assert_eq!(server.put("/StructureDefinition/named-patient", changed).await.status, 200);
        assert_eq!(
            validated(&server, "/Patient/$validate", &unnamed).await,
            ["error required Patient.name", "error required Patient.gender"]
        );
        let of_version = |version: &str| {
            let mut patient = unnamed.clone();
            patient["meta"]["profile"] = json!([format!("{PROFILE}|{version}")]);
            patient
        };
        assert_eq!(validated(&server, "/Patient/$validate", &of_version("2")).await.len(), 2);
        assert_eq!(validated(&server, "/Patient/$validate", &of_version("1")).await, [declared]);
        server.delete("/StructureDefinition/named-patient").await;
        assert_eq!(validated(&server, "/Patient/$validate", &unnamed).await, [declared]);
    });
}

fn checking(checked: Checked, unknown_profile_is_error: bool) -> Setup {
    let validation = ValidationOptions { checked, unknown_profile_is_error };
    Setup { api: ApiOptions { validation, ..ApiOptions::default() }, ..Setup::default() }
}

async fn write(server: &Server, header: Option<&str>, body: &Value) -> Answer {
    let mut headers = vec![("content-type", "application/fhir+json")];
    headers.extend(header.map(|value| ("x-ms-profile-validation", value)));
    let path = if body["resourceType"] == "Bundle" { "" } else { "/Patient" };
    server.send("POST", path, &headers, body.to_string()).await
}

fn bundle(kind: &str) -> Value {
    json!({"resourceType": "Bundle", "type": kind, "entry": [
        {"resource": patient(None), "request": {"method": "POST", "url": "Patient"}}]})
}

#[test]
fn profiles_are_checked_on_write_where_setting_or_header_says_so() {
    test_with(checking(Checked::Base, false), |server| async move {
        let definition = named_patient("1", &[]).to_string();
        assert_eq!(server.put("/StructureDefinition/named-patient", definition).await.status, 201);
        let unnamed = patient(None);
        assert_eq!(write(&server, None, &unnamed).await.status, 201);
        let refused = write(&server, Some("true"), &unnamed).await;
        assert_eq!(
            (refused.status.as_u16(), told(&refused)),
            (400, vec!["error required Patient.name".to_owned()])
        );
        let mut odd = unnamed.clone();
        odd["foo"] = json!(1);
        let refused = write(&server, Some("true"), &odd).await;
        let mut all = told(&refused);
        all.sort();
        assert_eq!(
            all,
            ["error required Patient.name", "error structure Patient.foo"],
            "faults of both at once"
        );
        assert_eq!(told(&write(&server, None, &odd).await), ["error structure Patient.foo"]);
        assert_eq!(write(&server, Some("perhaps"), &unnamed).await.status, 400);
        let named = patient(Some(&json!({"family": "A"})));
        assert_eq!(write(&server, Some("true"), &named).await.status, 201);
        let before = server.events().await;
        let refused = write(&server, Some("true"), &bundle("transaction")).await;
        assert_eq!(refused.status, 400);
        assert_eq!(told(&refused), ["error required Bundle.entry[0].resource.name"]);
        assert_eq!(server.events().await, before, "a transaction is written whole or not at all");
        let batch = write(&server, Some("true"), &bundle("batch")).await;
        assert_eq!(batch.json()["entry"][0]["response"]["status"].as_str().unwrap().get(..3), Some("400"));
        assert_eq!(write(&server, None, &bundle("transaction")).await.status, 200);
    });
    test_with(checking(Checked::Profiles, true), |server| async move {
        let unnamed = patient(None);
        let unknown = write(&server, None, &unnamed).await;
        assert_eq!(told(&unknown), ["error not-found Patient.meta.profile[0]"]);
        assert_eq!(write(&server, Some("false"), &unnamed).await.status, 201);
    });
}

#[test]
fn without_validation_what_the_log_can_hold_is_taken() {
    test_with(checking(Checked::Off, false), |server| async move {
        let odd = json!({"resourceType": "Patient", "nonsense": [1, {"a": null}], "name": "A", "gender": 7});
        let taken = write(&server, None, &odd).await;
        assert_eq!(taken.status, 201, "{}", taken.text());
        let read = server.get(&format!("/Patient/{}", taken.json()["id"].as_str().unwrap())).await;
        assert_eq!(read.json()["nonsense"], odd["nonsense"]);
        for bad in
            [json!({"resourceType": "Patient", "meta": 1}), json!({"resourceType": "Patient", "id": 1})]
        {
            assert_eq!(write(&server, None, &bad).await.status, 400, "{bad}");
        }
        let mut wrong = bundle("transaction");
        wrong["entry"][0]["resource"]["meta"] = json!([]);
        assert_eq!(write(&server, None, &wrong).await.status, 400);
        assert_eq!(server.get("/Patient?gender=male").await.status, 200, "the index goes on");
    });
}

#[test]
fn bindings_ask_stored_value_sets() {
    test_with(Setup { terminology: true, ..Setup::default() }, |server| async move {
        let set = json!({
            "resourceType": "ValueSet", "id": "wards", "url": "http://example.org/ValueSet/wards", "status": "active",
            "compose": {"include": [{"system": "http://example.org/wards", "concept": [{"code": "north"}]}]}
        });
        let bound = json!({
            "id": "Patient.maritalStatus", "path": "Patient.maritalStatus",
            "binding": {"strength": "required", "valueSet": "http://example.org/ValueSet/wards"}
        });
        let definition = named_patient("1", &[bound]).to_string();
        assert_eq!(server.put("/StructureDefinition/named-patient", definition).await.status, 201);
        let ward = |code: &str| {
            let mut patient = patient(Some(&json!({"family": "A"})));
            patient["maritalStatus"] =
                json!({"coding": [{"system": "http://example.org/wards", "code": code}]});
            patient
        };
        let path = "/Patient/$validate";
        let unknown = "warning not-supported Patient.maritalStatus";
        assert_eq!(validated(&server, path, &ward("north")).await, [unknown]);
        assert_eq!(server.put("/ValueSet/wards", set.to_string()).await.status, 201);
        assert_eq!(validated(&server, path, &ward("north")).await, ["information informational"]);
        assert_eq!(
            validated(&server, path, &ward("south")).await,
            ["error code-invalid Patient.maritalStatus"]
        );
    });
}

#[test]
fn a_profile_that_was_erased_is_forgotten_and_one_that_was_purged_of_its_history_stays() {
    test(|server| async move {
        let (path, unnamed) = ("/StructureDefinition/named-patient", patient(None));
        for version in ["1", "2"] {
            let stored = server.put(path, named_patient(version, &[]).to_string()).await;
            assert!(stored.status.is_success(), "{}", stored.text());
        }
        let checked = "error required Patient.name";
        assert_eq!(validated(&server, "/Patient/$validate", &unnamed).await, [checked]);
        assert_eq!(server.delete(&format!("{path}/$purge-history")).await.status, 204);
        assert_eq!(validated(&server, "/Patient/$validate", &unnamed).await, [checked]);
        assert_eq!(server.delete(&format!("{path}?hardDelete=true")).await.status, 204);
        let unknown = "warning not-found Patient.meta.profile[0]";
        assert_eq!(validated(&server, "/Patient/$validate", &unnamed).await, [unknown]);
    });
}

#[test]
fn a_long_check_is_made_to_its_end_and_a_longer_one_is_given_up() {
    test_with(checking(Checked::Base, false), |server| async move {
        let costly = |number: usize| {
            json!({"key": format!("k-{number}"), "severity": "error", "human": "h",
                "expression": "%resource.descendants().all(%resource.descendants().count() > 0)"})
        };
        let path = "/Patient/$validate";
        let names: Vec<Value> = (0..60).map(|number| json!({"family": format!("f{number}")})).collect();
        let mut resource = patient(None);
        resource["name"] = json!(names);
        for (count, expected) in [(6, "information informational"), (500, "error too-costly Patient")] {
            let constraints: Vec<Value> = (0..count).map(costly).collect();
            let mut definition = named_patient("1", &[]);
            let root = json!({"id": "Patient", "path": "Patient", "constraint": constraints});
            definition["differential"]["element"].as_array_mut().unwrap().insert(0, root);
            let stored = server.put("/StructureDefinition/named-patient", definition.to_string()).await;
            assert!(stored.status.is_success(), "{}", stored.json());
            assert_eq!(validated(&server, path, &resource).await, [expected]);
        }
    });
}

#[test]
fn what_an_unknown_version_of_a_profile_is_told_about() {
    test_with(checking(Checked::Base, false), |server| async move {
        let definition = named_patient("1", &[]).to_string();
        assert_eq!(server.put("/StructureDefinition/named-patient", definition).await.status, 201);
        let mut resource = patient(Some(&json!({"family": "A"})));
        let declared = resource["meta"]["profile"][0].as_str().unwrap().to_owned();
        resource["meta"]["profile"][0] = json!(format!("{}|7", declared.split('|').next().unwrap()));
        let answer = server.post("/Patient/$validate", resource.to_string()).await.json();
        let text = answer["issue"][0]["diagnostics"].as_str().unwrap();
        assert!(text.contains("|7 is not known (the version 1 is)"), "{text}");
    });
}

#[test]
fn the_type_of_what_a_urn_names_is_checked() {
    test(|server| async move {
        let named = "urn:uuid:05ef1f3c-3ad8-4b6e-9b8f-1d9f3a0f6f11";
        let entry = |resource: Value, name: &str| {
            let kind = resource["resourceType"].clone();
            json!({"fullUrl": name, "resource": resource, "request": {"method": "POST", "url": kind}})
        };
        let observation = |reference: &str| {
            json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
                "subject": {"reference": reference}})
        };
        let bundle = |of: &str, reference: &str| {
            let entries = json!([
                entry(json!({"resourceType": of}), named),
                entry(observation(reference), "urn:uuid:15ef1f3c-3ad8-4b6e-9b8f-1d9f3a0f6f11")
            ]);
            json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
        };
        for reference in [named.to_owned(), named.to_uppercase().replace("URN:UUID", "urn:uuid")] {
            let wrong = server.post("", bundle("Medication", &reference).to_string()).await;
            assert_eq!(wrong.status, 400, "{}", wrong.text());
            assert_eq!(told(&wrong), ["error structure Bundle.entry[1].resource.subject"]);
            assert!(wrong.text().contains("must not point at Medication"), "{}", wrong.text());
        }
        assert_eq!(server.events().await, 0);
        assert_eq!(server.post("", bundle("Patient", named).to_string()).await.status, 200);
        let checked = validated(&server, "/Bundle/$validate", &bundle("Medication", named)).await;
        assert!(
            checked.contains(&"error structure Bundle.entry[1].resource.subject".to_owned()),
            "{checked:?}"
        );
    });
}

#[test]
fn a_bundle_that_could_not_be_carried_out_is_not_valid() {
    test(|server| async move {
        let patient = json!({"resourceType": "Patient"});
        for (entry, place) in [
            (json!({"resource": patient, "request": {"method": "PUT", "url": "Patient"}}), "request.url"),
            (json!({"request": {"method": "POST", "url": "Patient"}}), "resource"),
            (
                json!({"resource": patient, "request": {"method": "POST", "url": "Observation"}}),
                "request.url",
            ),
            (json!({"resource": patient, "request": {"method": "POST", "url": "Foo?x"}}), "request.url"),
        ] {
            let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
            let checked = validated(&server, "/Bundle/$validate", &bundle).await;
            let told = format!("Bundle.entry[0].{place}");
            assert!(
                checked.iter().any(|issue| issue.starts_with("error") && issue.ends_with(&told)),
                "{checked:?}"
            );
            assert_eq!(server.post("", bundle.to_string()).await.status, 400);
        }
    });
}
