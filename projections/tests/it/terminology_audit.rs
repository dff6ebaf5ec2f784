//! The tables of terminology against the log: clean ones pass, and whatever is wrong is found and named.

use anamnesis_events::audit::Fault;
use anamnesis_events::{Erases, Operation, ResourceKey};
use anamnesis_projections::terminology::{Audited, TerminologyIndex, audit};
use anamnesis_projections::{ProjectionError, RunnerOptions, Supervisor};
use serde_json::{Value, json};

use crate::supervisor::PATIENCE;
use crate::world::World;

fn fragment(id: &str, codes: &[&str]) -> Value {
    let concept = |code: &&str| {
        json!({"code": code, "display": format!("Word of {code}, word"), "property": [
            {"code": "parent", "valueCode": "top"}, {"code": "weight", "valueDecimal": 1.5}]})
    };
    let concepts: Vec<Value> = codes.iter().map(concept).collect();
    json!({"resourceType": "CodeSystem", "id": id, "url": "urn:c", "version": "1", "status": "active",
        "content": "fragment", "count": 9, "concept": concepts})
}

async fn start(world: &World) -> Supervisor {
    TerminologyIndex::start(&world.database, &world.log, RunnerOptions::default()).await.unwrap().0
}

/// Positions 1 to 9: the fragments `a`, `b`, `c`, a map, a value set, one without an address; `b` again; `c` deleted.
async fn history(world: &World, supervisor: &Supervisor) {
    world.put([fragment("a", &["x", "y"]), fragment("b", &["old"]), fragment("c", &["gone"])]).await;
    world
        .put([
            json!({"resourceType": "ConceptMap", "id": "m", "url": "urn:m", "status": "active",
                "sourceUri": "urn:s", "targetUri": "urn:t"}),
            json!({"resourceType": "ValueSet", "id": "v", "url": "urn:v", "status": "active"}),
            json!({"resourceType": "ValueSet", "id": "w", "status": "active"}),
            json!({"resourceType": "Basic", "id": "z"}),
            fragment("b", &["z", "zz"]),
        ])
        .await;
    world.delete("CodeSystem", "c").await;
    settle(world, supervisor).await;
}

async fn settle(world: &World, supervisor: &Supervisor) {
    supervisor.active().wait_for(world.log.head().await.unwrap(), PATIENCE).await.unwrap();
}

async fn check(world: &World) -> Audited {
    audit(&world.database, &world.log, &mut |_| {}).await.unwrap()
}

async fn tamper(world: &World, statements: &str) {
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    client.batch_execute(statements).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clean_tables_pass_also_with_what_is_parked_and_erased() {
    let world = World::new().await;
    let absent = audit(&world.database, &world.log, &mut |_| {}).await.unwrap_err();
    assert!(matches!(absent, ProjectionError::Unknown { .. }), "{absent}");
    let supervisor = start(&world).await;
    let empty = check(&world).await;
    assert_eq!((empty.resources, empty.faults.kept().len()), (0, 0));
    history(&world, &supervisor).await;
    let clean = check(&world).await;
    assert_eq!(clean.faults.kept(), []);
    assert_eq!((clean.resources, clean.concepts, clean.edges, clean.parked.len()), (4, 4, 4, 0));
    assert_eq!(clean.reached, world.log.head().await.unwrap());
    assert_eq!(check(&world).await.digest, clean.digest);
    assert_ne!(clean.digest, empty.digest);

    world.put_broken("CodeSystem", "a").await;
    world.put([fragment("a", &["later"])]).await;
    let erase = (Operation::Delete, Erases::Earlier);
    world.erase(ResourceKey::new("CodeSystem", "b"), erase, "").await;
    settle(&world, &supervisor).await;
    let after = check(&world).await;
    assert_eq!(after.faults.kept(), []);
    assert_eq!((after.resources, after.concepts, after.parked.len()), (3, 2, 2));
    supervisor.stop().await;
}

const VALUES: &str = "the table of definitions has other values";
const CONCEPTS: &str = "the table of concepts has other rows";
const EDGES: &str = "the table of edges has other rows";
const NEWEST: &str = "not its resource's newest";

/// What somebody does to the tables, the position at which that is told, and how.
const CASES: [(&str, u64, &str); 22] = [
    ("DELETE FROM {definition} WHERE seq = 5", 5, "the tables do not have the resource"),
    ("DELETE FROM {definition} WHERE seq = 1", 1, "the tables have concepts of it, but not the resource"),
    ("UPDATE {definition} SET url = 'urn:other' WHERE seq = 4", 4, VALUES),
    ("UPDATE {definition} SET id = 'other' WHERE seq = 1", 1, VALUES),
    ("UPDATE {definition} SET version = NULL WHERE seq = 1", 1, VALUES),
    ("UPDATE {definition} SET declared = 8 WHERE seq = 1", 1, VALUES),
    ("UPDATE {definition} SET concepts = 3 WHERE seq = 8", 8, VALUES),
    ("UPDATE {definition} SET source = 'urn:t' WHERE seq = 4", 4, VALUES),
    ("DELETE FROM {concept} WHERE code = 'x'", 1, CONCEPTS),
    ("INSERT INTO {concept} SELECT * FROM {concept} WHERE code = 'x'", 1, CONCEPTS),
    ("UPDATE {concept} SET code = 'xx' WHERE code = 'x'", 1, CONCEPTS),
    ("UPDATE {concept} SET body = replace(body, '1.5', '1.6') WHERE code = 'zz'", 8, CONCEPTS),
    ("UPDATE {concept} SET words = words || '''more'''::tsvector WHERE code = 'y'", 1, CONCEPTS),
    ("UPDATE {concept} SET system = 1 WHERE code = 'y'", 1, "under another code system"),
    ("UPDATE {edge} SET parent = 'y' WHERE child = 'x'", 1, EDGES),
    ("DELETE FROM {edge} WHERE child = 'z'", 8, EDGES),
    ("UPDATE {edge} SET system = 1 WHERE child = 'z'", 8, "under another code system"),
    ("INSERT INTO {edge} SELECT system, parent, child, log, 3 FROM {edge} WHERE child = 'z'", 3, NEWEST),
    ("UPDATE {concept} SET seq = 2 WHERE seq = 8", 2, NEWEST),
    (
        "INSERT INTO {edge} SELECT system, parent, child, log, 7 FROM {edge} WHERE child = 'z'",
        7,
        "rows of what gives none",
    ),
    (
        "INSERT INTO {edge} SELECT system, parent, child, log, 999 FROM {edge} WHERE child = 'z'",
        999,
        "whose event is not there",
    ),
    (
        "UPDATE anamnesis.projection_checkpoint SET seq = 99 WHERE name = 'terminology'",
        99,
        "but the log ends at 9",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_tables_is_found_and_named() {
    let world = World::new().await;
    let supervisor = start(&world).await;
    history(&world, &supervisor).await;
    supervisor.stop().await;
    let tables = ["definition", "concept", "edge"].map(|name| format!("anamnesis.terminology_v1_{name}"));
    let keep = tables.each_ref().map(|table| format!("CREATE TABLE {table}_kept AS TABLE {table};"));
    let again = tables
        .each_ref()
        .map(|table| format!("TRUNCATE {table}; INSERT INTO {table} SELECT * FROM {table}_kept;"));
    tamper(&world, &keep.concat()).await;
    for (statement, position, expected) in CASES {
        let [definition, concept, edge] = &tables;
        let statement = statement
            .replace("{definition}", definition)
            .replace("{concept}", concept)
            .replace("{edge}", edge);
        tamper(&world, &statement).await;
        let found: Vec<String> = check(&world).await.faults.kept().iter().map(Fault::to_string).collect();
        let is_named =
            |fault: &String| fault.starts_with(&format!("position {position}: ")) && fault.contains(expected);
        assert!(found.iter().any(is_named), "{statement}: {found:#?}");
        tamper(&world, &again.concat()).await;
        tamper(
            &world,
            "UPDATE anamnesis.projection_checkpoint SET seq = 9 WHERE name = 'terminology' AND seq = 99",
        )
        .await;
        assert_eq!(check(&world).await.faults.kept(), [], "after {statement}");
    }
}
