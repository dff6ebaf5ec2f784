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

/// The least token of a row is the resource's own, and turned it is in each row that refers to the resource: by whatever
/// parameter, by none, or by its canonical address.
#[tokio::test]
async fn rows_are_joined_by_their_tokens() {
    let world = World::new().await;
    let elsewhere = json!({"url": "http://example.org/x", "valueReference": {"reference": "Group/g"}});
    world
        .put([
            json!({"resourceType": "Patient", "id": "1"}),
            json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true}),
            json!({"resourceType": "Questionnaire", "id": "q", "status": "active", "url": "http://example.org/q", "version": "2"}),
            json!({"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "AMB"},
                "subject": {"reference": "Patient/1/_history/3"}, "extension": [elsewhere],
                "contained": [{"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/1"}}],
                "diagnosis": [{"condition": {"reference": "#c"}}, {"condition": {"reference": "http://far.org/Condition/1"}}]}),
            json!({"resourceType": "QuestionnaireResponse", "id": "r", "status": "completed",
                "questionnaire": "http://example.org/q|2", "source": {"reference": "Patient/1"}}),
            json!({"resourceType": "QuestionnaireResponse", "id": "s", "status": "completed", "questionnaire": "Questionnaire/q"}),
            json!({"resourceType": "Bundle", "id": "b", "type": "collection", "entry": [{"resource":
                {"resourceType": "Condition", "subject": {"reference": "Patient/1"}}}]}),
        ])
        .await;
    world.settle().await;
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let joined = "SELECT DISTINCT one.id || ' ' || other.id AS pair FROM anamnesis.search_v1_resource AS one,
            unnest(one.tokens) AS t (own), anamnesis.search_v1_resource AS other
        WHERE t.own < -4611686018427387904 AND other.tokens @> ARRAY[t.own # -2305843009213693952] ORDER BY pair";
    let pairs = client.query(joined, &[]).await.unwrap();
    let pairs: Vec<String> = pairs.iter().map(|row| row.get(0)).collect();
    assert_eq!(pairs, ["1 e", "1 r", "g e", "q r", "q s"]);
    let targets = "SELECT id, count(*) FROM anamnesis.search_v1_resource, unnest(tokens) AS t
        WHERE t >= 4611686018427387904 GROUP BY id ORDER BY id";
    let targets = client.query(targets, &[]).await.unwrap();
    let targets: Vec<(String, i64)> = targets.iter().map(|row| (row.get(0), row.get(1))).collect();
    // What `#c` leads to is one of them.
    assert_eq!(targets, [("e".to_owned(), 3), ("r".to_owned(), 2), ("s".to_owned(), 1)]);
    drop(client);
    driver.await.unwrap().unwrap();
}
