//! Reference parameters and compartments.

use serde_json::json;

use crate::world::{World, expect};

#[tokio::test]
async fn references_are_found_by_their_target() {
    let world = World::new().await;
    let observation = |id: &str, subject: serde_json::Value| json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"}, "subject": subject});
    world
        .put([
            json!({"resourceType": "Patient", "id": "1"}),
            observation("a", json!({"reference": "Patient/1"})),
            observation("b", json!({"reference": "Patient/1/_history/2"})),
            observation("c", json!({"reference": "Group/1"})),
            observation("d", json!({"reference": "http://far.org/Patient/1"})),
            observation("e", json!({"identifier": {"system": "urn:mrn", "value": "77"}})),
            observation("f", json!({"reference": "#contained"})),
            json!({"resourceType": "Encounter", "id": "1", "status": "finished", "class": {"code": "AMB"},
                "subject": {"reference": "Patient/1"}}),
            json!({"resourceType": "Organization", "id": "1", "name": "x"}),
        ])
        .await;
    expect(
        &world,
        &[
            ("Observation?subject=Patient/1", "a b"),
            ("Observation?subject=1", "a b c"),
            ("Observation?patient=1", "a b"),
            ("Observation?patient=Patient/1", "a b"),
            ("Observation?subject:Patient=1", "a b"),
            ("Observation?subject:Group=1", "c"),
            ("Observation?subject=Patient/1/_history/7", "a b"),
            ("Observation?subject=http://far.org/Patient/1", "d"),
            ("Observation?subject=http://here.org/fhir/Patient/1", "a b"),
            ("Observation?subject:identifier=urn:mrn|77", "e"),
            ("Observation?subject:identifier=77", "e"),
            ("Observation?subject:identifier=urn:mrn|78", ""),
            ("Observation?subject=Patient/1,Group/1", "a b c"),
            ("Observation?subject:missing=true", ""),
            ("Patient/1/Observation?status=final", "a b"),
            ("Patient/1/Observation?status=amended", ""),
            ("Patient/2/Observation", ""),
            ("Patient/1/Organization", ""),
            ("Patient/1/Encounter", "1"),
        ],
    )
    .await;
    let mut all: Vec<String> = world
        .search("Patient/1/*")
        .await
        .matches
        .iter()
        .map(|found| format!("{}/{}", found.resource_type, found.id))
        .collect();
    all.sort();
    assert_eq!(all, ["Encounter/1", "Observation/a", "Observation/b", "Patient/1"]);
    expect(&world, &[("Patient/1/*?_type=Observation,Organization", "a b")]).await;
}
