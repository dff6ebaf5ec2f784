//! Members of groups: found by search, and told with the groups in them.

use anamnesis::clock;
use anamnesis::group::{GroupError, Standing, members};
use anamnesis_events::ResourceKey;
use serde_json::{Value, json};

use crate::support::{Server, test};

async fn group(server: &Server, id: &str, members: Value) {
    let body =
        json!({"resourceType": "Group", "id": id, "type": "person", "actual": true, "member": members});
    let answer = server.put(&format!("/Group/{id}"), body.to_string()).await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

fn member(reference: &str) -> Value {
    json!({"entity": {"reference": reference}})
}

async fn names(server: &Server, id: &str) -> Result<Vec<String>, GroupError> {
    let key = ResourceKey::new("Group", id);
    let bases = [server.base.clone()];
    let found = members(&Standing::Now(server.compartments.reads()), &key, clock::now(), &bases).await?;
    Ok(found.iter().map(ToString::to_string).collect())
}

#[test]
fn members_of_groups_in_groups_come_once() {
    test(|server| async move {
        let own = format!("{}/Patient/c", server.base);
        group(&server, "inner", json!([member("Patient/b"), member(&own), member("Group/outer")])).await;
        let ended = json!({"entity": {"reference": "Patient/ended"}, "period": {"end": "2020-01-01"}});
        let to_come = json!({"entity": {"reference": "Patient/later"}, "period": {"start": "2999"}});
        let inactive = json!({"entity": {"reference": "Group/nobody"}, "inactive": true});
        let current =
            json!({"entity": {"reference": "Patient/d"}, "period": {"start": "2020"}, "inactive": false});
        let elsewhere = member("https://other.example/fhir/Patient/e");
        let all = json!([
            member("Patient/a"),
            member("Patient/b"),
            member("Practitioner/p"),
            member("Group/inner"),
            ended,
            to_come,
            inactive,
            current,
            elsewhere
        ]);
        group(&server, "outer", all).await;
        let expected = ["Patient/a", "Patient/b", "Patient/c", "Patient/d", "Practitioner/p"];
        assert_eq!(names(&server, "outer").await.unwrap(), expected);
        assert_eq!(names(&server, "inner").await.unwrap(), expected, "a circle ends");
        let found = server.get("/Group?member=Patient/b&_sort=_id").await.json();
        let ids: Vec<_> =
            found["entry"].as_array().unwrap().iter().map(|one| one["resource"]["id"].clone()).collect();
        assert_eq!(ids, ["inner", "outer"]);
    });
}

#[test]
fn members_that_cannot_be_told_are_an_error() {
    test(|server| async move {
        assert!(matches!(names(&server, "none").await, Err(GroupError::NotFound)));
        group(&server, "broken", json!([member("Group/none")])).await;
        assert!(matches!(names(&server, "broken").await, Err(GroupError::Missing(key)) if key.id == "none"));
        group(&server, "gone", json!([member("Patient/a")])).await;
        server.delete("/Group/gone").await;
        assert!(matches!(names(&server, "gone").await, Err(GroupError::NotFound)));
        let described = json!({"resourceType": "Group", "id": "d", "type": "person", "actual": false});
        server.put("/Group/d", described.to_string()).await;
        assert!(matches!(names(&server, "d").await, Err(GroupError::Descriptive)));
    });
}
