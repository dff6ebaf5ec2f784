//! Conditions of entries: those that mean the same are the same, however they are written; deletes of several.

use serde_json::{Value, json};

use crate::bundle_rules::{request, run, with};
use crate::support::{Answer, Server, test};

const NAME: &str = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e1";

fn patient(value: &str) -> Value {
    json!({"resourceType": "Patient", "identifier": [{"system": "urn:b", "value": value}], "active": true,
        "name": [{"family": "Osler"}], "birthDate": "1970-01-01"})
}

fn flag(subject: &str) -> Value {
    json!({"resourceType": "Flag", "status": "active", "code": {"text": "x"}, "subject": {"reference": subject}})
}

fn created(resource: Value, criteria: &str) -> Value {
    let kind = resource["resourceType"].as_str().unwrap().to_owned();
    let mut entry = with(resource, "POST", &kind);
    entry["request"]["ifNoneExist"] = json!(criteria);
    entry
}

/// The subject of the flags: `Patient/a`, under a name.
fn subject() -> Value {
    let mut subject = patient("x");
    subject["id"] = json!("a");
    let mut entry = with(subject, "PUT", "Patient/a");
    entry["fullUrl"] = json!(NAME);
    entry
}

fn refusal(answer: &Answer) -> (u16, String, Value) {
    (answer.status.as_u16(), answer.outcome(), answer.json()["issue"][0]["expression"][0].clone())
}

fn status(answer: &Answer, index: usize) -> String {
    answer.json()["entry"][index]["response"]["status"].as_str().unwrap_or_default().to_owned()
}

/// Criteria that are bound to match the same.
const SAME: [(&str, &str); 6] = [
    ("identifier=urn:b|x&active=true", "active=true&identifier=urn%3Ab%7Cx"),
    ("identifier=urn:b|x", "Patient?identifier=urn:b|x&_format=json"),
    ("family=Osler&birthdate=1970-01-01", "birthdate=eq1970-01-01&family=osler"),
    ("family=Osler&active=true", "active=true&active=true&family=%4Fsler"),
    ("identifier=urn:b|x,urn:b|y", "identifier=urn:b|y,urn:b|x"),
    ("identifier=urn:b|x", "identifier=urn:b|x,urn:b|x"),
];

#[test]
fn two_creates_on_one_condition_are_refused_however_it_is_written() {
    test(|server| async move {
        for (one, other) in SAME {
            let entries = json!([created(patient("x"), one), created(patient("x"), other)]);
            let told = refusal(&run(&server, "transaction", entries).await);
            let expected = (400, "duplicate".to_owned(), json!("Bundle.entry[1].request.ifNoneExist"));
            assert_eq!(told, expected, "{one} {other}");
        }
        let other_criteria = json!([
            created(patient("x"), "identifier=urn:b|x"),
            created(patient("y"), "identifier=urn:b|y"),
            created(patient("z"), "identifier=urn:b|x,urn:b|y"),
        ]);
        assert_eq!(server.events().await, 0, "nothing was written");
        assert_eq!(run(&server, "transaction", other_criteria).await.status, 200);
    });
}

#[test]
fn an_update_that_makes_what_another_entry_makes_is_refused_however_it_is_written() {
    test(|server| async move {
        for (one, other) in SAME {
            let other = other.trim_start_matches("Patient?");
            let put = |criteria: &str| with(patient("x"), "PUT", &format!("Patient?{criteria}"));
            for entries in [json!([put(one), put(other)]), json!([created(patient("x"), one), put(other)])] {
                let told = refusal(&run(&server, "transaction", entries).await);
                let expected = (400, "duplicate".to_owned(), json!("Bundle.entry[1].request.url"));
                assert_eq!(told, expected, "{one} {other}");
            }
        }
        assert_eq!(server.events().await, 0, "nothing was written");
    });
}

#[test]
fn a_name_and_the_resource_that_it_stands_for_are_one_criterion() {
    test(|server| async move {
        for other in ["subject=Patient/a", "subject:Patient=a", "patient=a", "patient=Patient/a"] {
            let by_name = created(flag(NAME), &format!("subject={NAME}"));
            let entries = json!([subject(), by_name, created(flag("Patient/a"), other)]);
            let told = refusal(&run(&server, "transaction", entries).await);
            let expected = (400, "duplicate".to_owned(), json!("Bundle.entry[2].request.ifNoneExist"));
            assert_eq!(told, expected, "{other}");
        }
        let own = format!("subject={}/Patient/a", server.base);
        let twice = json!([created(flag("Patient/a"), &own), created(flag("Patient/a"), "patient=a")]);
        assert_eq!(run(&server, "transaction", twice).await.status, 400);
        assert_eq!(server.events().await, 0, "nothing was written");
    });
}

#[test]
fn a_reference_leads_to_what_is_made_on_its_condition_however_it_is_written() {
    test(|server| async move {
        // The resource that is made does not match: by its own condition alone the reference finds it.
        let made = created(json!({"resourceType": "Patient"}), "birthdate=1999-01-01&family=Nobody");
        let reference = flag("Patient?family=nobody&birthdate=eq1999-01-01");
        let answer = run(&server, "transaction", json!([made, with(reference, "POST", "Flag")])).await;
        let json = answer.json();
        let id = json["entry"][0]["resource"]["id"].as_str().unwrap_or_default();
        assert_eq!(
            json["entry"][1]["resource"]["subject"]["reference"],
            format!("Patient/{id}"),
            "{}",
            answer.text()
        );
    });
}

/// What two references say in two ways is found by both, whichever the resource says.
#[test]
fn references_by_name_and_by_resource_find_what_says_either() {
    test(|server| async move {
        let of = |criteria: &str| {
            json!({"resourceType": "Basic", "code": {"text": "x"},
            "subject": {"reference": format!("Flag?{criteria}")}})
        };
        let by_name = with(of(&format!("subject={NAME}")), "POST", "Basic");
        let by_id = with(of("subject=Patient/a"), "POST", "Basic");
        for said in [NAME, "Patient/a"] {
            let entries = json!([subject(), with(flag(said), "POST", "Flag"), by_name, by_id]);
            let answer = run(&server, "transaction", entries).await;
            assert_eq!(answer.status, 200, "{said}: {}", answer.text());
            let json = answer.json();
            let id = json["entry"][1]["resource"]["id"].as_str().unwrap();
            for index in [2, 3] {
                let subject = &json["entry"][index]["resource"]["subject"]["reference"];
                assert_eq!(*subject, format!("Flag/{id}"), "{said} {index}");
            }
            server.delete(&format!("/Flag/{id}")).await;
        }
    });
}

async fn patients(server: &Server, count: usize) {
    for _ in 0..count {
        server.post("/Patient", patient("x").to_string()).await;
    }
}

#[test]
fn a_delete_of_several_in_a_batch_is_as_alone() {
    test(|server| async move {
        patients(&server, 3).await;
        let criteria = "Patient?identifier=urn:b|x";
        let delete = |count: &str| request("DELETE", &format!("{criteria}{count}"));
        let events = server.events().await;
        let refused = json!([
            delete(""),
            delete("&_count=0"),
            delete("&_count=101"),
            delete("&_count=x"),
            delete("&_count=1&_count=2"),
            delete("&_coun=2"),
        ]);
        let answer = run(&server, "batch", refused).await;
        let told: Vec<_> = (0..6).map(|index| status(&answer, index)).collect();
        assert_eq!(told, ["412", "400", "400", "400", "400", "400"], "{}", answer.text());
        for count in ["&_count=2", "&%5Fcount=2", "&_count=2&_count=3", "&_count=", "&_count=1"] {
            let answer = run(&server, "transaction", json!([delete(count)])).await;
            let expected = (400, "not-supported".to_owned(), json!("Bundle.entry[0].request.url"));
            assert_eq!(refusal(&answer), expected, "{count}");
        }
        assert_eq!(server.events().await, events, "nothing was deleted");

        let answer = run(&server, "batch", json!([delete("&_count=2"), delete("&_count=100")])).await;
        for (index, count) in ["2", "1"].into_iter().enumerate() {
            assert_eq!(status(&answer, index), "204", "{}", answer.text());
            let told = &answer.json()["entry"][index]["response"]["outcome"]["issue"][0];
            assert_eq!(told["diagnostics"], format!("Resources that were deleted: {count}."), "{told}");
            assert_eq!(told["severity"], "information");
        }
        assert_eq!(server.events().await, events + 3);
    });
}
