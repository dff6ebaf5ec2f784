//! `Patient/$export` and `Group/{id}/$export`: what is in the compartments of patients, and nothing else.

use anamnesis::exports::ExportOptions;
use serde_json::{Value, json};

use crate::export::{ASKED, begin, export, lines, manifest, put};
use crate::support::{Server, Setup, test, test_with};

fn refer(reference: &str) -> Value {
    json!({"reference": reference})
}

fn observation(id: &str, subject: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"},
        "subject": refer(subject)})
}

fn performed(id: &str, subject: &str, performer: &str) -> Value {
    let mut observation = observation(id, subject);
    observation["performer"] = json!([refer(performer)]);
    observation
}

/// Patients a, b and c, and a deleted one, whose records touch each other.
async fn fill(server: &Server) {
    for id in ["a", "b", "c", "deleted"] {
        put(server, json!({"resourceType": "Patient", "id": id})).await;
    }
    let linked = json!([{"other": refer("Patient/a"), "type": "seealso"}]);
    put(server, json!({"resourceType": "Patient", "id": "l", "link": linked})).await;
    put(server, json!({"resourceType": "Organization", "id": "o", "name": "House"})).await;
    put(server, json!({"resourceType": "Device", "id": "d"})).await;
    put(server, observation("of-a", "Patient/a")).await;
    put(server, observation("of-b", "Patient/b")).await;
    put(server, observation("of-device", "Device/d")).await;
    put(server, observation("of-nobody", "Patient/nobody")).await;
    put(server, observation("of-deleted", "Patient/deleted")).await;
    put(server, performed("of-both", "Patient/b", "Patient/a")).await;
    put(server, performed("of-deleted-and-c", "Patient/deleted", "Patient/c")).await;
    // Taken from b to c, and from the compartments altogether.
    put(server, observation("moved", "Patient/b")).await;
    put(server, observation("moved", "Patient/c")).await;
    put(server, observation("left", "Patient/b")).await;
    put(server, observation("left", "Device/d")).await;
    put(server, performed("deleted-left", "Patient/deleted", "Patient/b")).await;
    put(server, observation("deleted-left", "Patient/deleted")).await;
    put(server, observation("gone", "Patient/a")).await;
    assert_eq!(server.delete("/Observation/gone").await.status, 204);
    assert_eq!(server.delete("/Patient/deleted").await.status, 204);
}

async fn names(server: &Server, path: &str) -> Vec<String> {
    export(server, path).await.into_keys().collect()
}

async fn group(server: &Server, id: &str, member: Value) {
    let mut group = json!({"resourceType": "Group", "id": id, "type": "person", "actual": true});
    if member != json!([]) {
        group["member"] = member;
    }
    put(server, group).await;
}

fn member(reference: &str) -> Value {
    json!({"entity": refer(reference)})
}

#[test]
fn patients_are_exported_with_their_compartments() {
    test(|server| async move {
        fill(&server).await;
        let expected = [
            "Observation/moved",
            "Observation/of-a",
            "Observation/of-b",
            "Observation/of-both",
            "Observation/of-deleted-and-c",
            "Patient/a",
            "Patient/b",
            "Patient/c",
            "Patient/l",
        ];
        assert_eq!(names(&server, "/Patient/$export").await, expected);
        assert_eq!(names(&server, "/Patient/$export?_type=Patient").await, expected[5..]);
    });
}

#[test]
fn a_group_is_exported_with_the_compartments_of_its_members() {
    let exports = ExportOptions { step_positions: 1, ..ExportOptions::default() };
    test_with(Setup { exports, ..Setup::default() }, |server| async move {
        fill(&server).await;
        group(&server, "inner", json!([member("Patient/c"), member("Group/ward")])).await;
        let inactive = json!({"entity": refer("Patient/b"), "inactive": true});
        let ended = json!({"entity": refer("Patient/b"), "period": {"end": "2020-01-01"}});
        let members = json!([
            member("Patient/a"),
            member("Group/inner"),
            member("Device/d"),
            inactive,
            ended,
            member("Patient/deleted"),
            member("Patient/nobody"),
            member("https://elsewhere.example/fhir/Patient/b")
        ]);
        group(&server, "ward", members).await;
        let expected = [
            "Group/inner",
            "Group/ward",
            "Observation/moved",
            "Observation/of-a",
            "Observation/of-both",
            "Observation/of-deleted-and-c",
            "Patient/a",
            "Patient/c",
        ];
        assert_eq!(names(&server, "/Group/ward/$export").await, expected);
        assert_eq!(names(&server, "/Group/ward/$export?_type=Patient").await, ["Patient/a", "Patient/c"]);
        // What is in the compartments of several members comes once.
        group(&server, "all", json!([member("Patient/b"), member("Patient/a")])).await;
        let found = names(&server, "/Group/all/$export?_type=Observation").await;
        assert_eq!(found, ["Observation/of-a", "Observation/of-b", "Observation/of-both"]);
        // The members of then, and their records.
        let status = begin(&server, "/Group/all/$export?_type=Patient,Observation", &[]).await;
        group(&server, "all", json!([member("Patient/c")])).await;
        put(&server, observation("of-a", "Patient/c")).await;
        let manifest = manifest(&server, &status, &[]).await;
        let found: Vec<String> = lines(&server, &manifest, &[]).await.into_keys().collect();
        let expected =
            ["Observation/of-a", "Observation/of-b", "Observation/of-both", "Patient/a", "Patient/b"];
        assert_eq!(found, expected);
        let time = manifest["transactionTime"].as_str().unwrap();
        let since = names(&server, &format!("/Group/all/$export?_since={time}")).await;
        assert_eq!(since, ["Group/all", "Observation/of-a"]);
    });
}

#[test]
fn a_group_whose_members_cannot_be_told_is_refused() {
    test(|server| async move {
        group(&server, "broken", json!([member("Group/none")])).await;
        group(&server, "gone", json!([])).await;
        group(&server, "empty", json!([])).await;
        assert_eq!(server.delete("/Group/gone").await.status, 204);
        let described = json!({"resourceType": "Group", "id": "d", "type": "person", "actual": false});
        put(&server, described).await;
        for (id, status) in [("none", 404), ("gone", 410), ("broken", 422), ("d", 422)] {
            let answer = server.send("GET", &format!("/Group/{id}/$export"), &ASKED, "").await;
            assert_eq!(answer.status, status, "{id}: {}", answer.text());
        }
        assert!(names(&server, "/Group/empty/$export").await.is_empty());
    });
}
