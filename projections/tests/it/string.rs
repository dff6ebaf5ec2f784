//! String parameters.

use serde_json::json;

use crate::world::{World, expect};

#[tokio::test]
async fn texts_are_found_by_their_beginning() {
    let world = World::new().await;
    let patient = |id: &str, family: &str, given: &[&str]| json!({"resourceType": "Patient", "id": id, "name": [{"family": family, "given": given}]});
    world
        .put([
            patient("a", "Müller", &["Anna", "María"]),
            patient("b", "MULLER-Schmidt", &["Bob"]),
            patient("c", "van  der Berg", &["Müller"]),
            patient("d", "O'Neil, Jr.", &[]),
            json!({"resourceType": "Patient", "id": "e", "address": [{"line": ["1 Main St"], "city": "Springfield"}]}),
        ])
        .await;
    expect(
        &world,
        &[
            ("Patient?family=mul", "a b"),
            ("Patient?family=Mül", "a b"),
            ("Patient?family=muller", "a b"),
            ("Patient?family=ller", ""),
            ("Patient?family:contains=LLER", "a b"),
            ("Patient?family:exact=Müller", "a"),
            ("Patient?family:exact=müller", ""),
            ("Patient?name=muller", "a b c"),
            ("Patient?given=mar", "a"),
            ("Patient?given=ann,bob", "a b"),
            ("Patient?given=ann&given=mar", "a"),
            ("Patient?given=ann&given=bob", ""),
            ("Patient?family=van der b", "c"),
            (r"Patient?family=o'neil\, j", "d"),
            ("Patient?family=oneil", "d"),
            ("Patient?family=O’Neil", "d"),
            ("Patient?family=mullersch", "b"),
            ("Patient?family=Muller-s", "b"),
            ("Patient?family:contains=neil jr", "d"),
            ("Patient?family:missing=true", "e"),
            ("Patient?name:missing=false", "a b c d"),
            ("Patient?address=springf", "e"),
            ("Patient?address-city=1 main", ""),
            ("Patient?address=1 main", "e"),
            ("Patient?family=mul&_id=b", "b"),
        ],
    )
    .await;
}

/// A text may be longer than an entry of an index.
#[tokio::test]
async fn long_texts_are_searched_to_their_ends() {
    let world = World::new().await;
    let set = |id: &str, before: usize, needle: &str| {
        let description = format!("{}{needle} end", "x".repeat(before));
        json!({"resourceType": "ValueSet", "id": id, "status": "active", "description": description})
    };
    let needle = "n".repeat(200);
    let made: Vec<_> = (0..8).map(|at| set(&format!("at{at}"), 90 + at * 95, "hepatitis")).collect();
    world.put(made).await;
    world.put((0..5).map(|at| set(&format!("wide{at}"), 150 + at * 70, &needle))).await;
    expect(
        &world,
        &[
            ("ValueSet?description:contains=Hepatitis", "at0 at1 at2 at3 at4 at5 at6 at7"),
            ("ValueSet?description:contains=hepatitis end", "at0 at1 at2 at3 at4 at5 at6 at7"),
            (&format!("ValueSet?description:contains={needle}"), "wide0 wide1 wide2 wide3 wide4"),
            (&format!("ValueSet?description={needle}"), ""),
            ("ValueSet?description=hepatitis", ""),
            ("ValueSet?_filter=description co hepatitis&_id=at7", "at7"),
        ],
    )
    .await;
}

#[tokio::test]
async fn texts_sort_without_regard_to_case() {
    let world = World::new().await;
    let patient = |id: &str, families: &[&str]| {
        let names: Vec<_> = families.iter().map(|family| json!({"family": family})).collect();
        json!({"resourceType": "Patient", "id": id, "name": names})
    };
    let nameless = |id: &str| json!({"resourceType": "Patient", "id": id, "gender": "male"});
    world
        .put([
            patient("b", &["bravo"]),
            nameless("n1"),
            patient("a", &["Alpha"]),
            patient("az", &["zulu", "alpaca"]),
            nameless("n2"),
        ])
        .await;
    // Of several values the lowest counts upwards, the highest downwards; without a value last, both ways.
    assert_eq!(world.ids("Patient?_sort=family").await, ["az", "a", "b", "n1", "n2"]);
    assert_eq!(world.ids("Patient?_sort=-family").await, ["az", "b", "a", "n2", "n1"]);
    assert_eq!(world.ids("Patient?_sort=-family,-_lastUpdated&name=a").await, ["az", "a"]);
    assert_eq!(world.ids("Patient?_sort=_id").await, ["a", "az", "b", "n1", "n2"]);
    assert_eq!(world.ids("Patient?_sort=_lastUpdated").await, ["b", "n1", "a", "az", "n2"]);
    assert_eq!(world.ids("Patient").await, ["n2", "az", "a", "n1", "b"]);
}
