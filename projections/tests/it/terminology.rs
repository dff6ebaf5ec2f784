//! Stored terminology: nothing of what was erased is left, and what is built again is the same.

use anamnesis_events::{Erases, Operation, ResourceKey};
use anamnesis_fhir::json::{Document, Limits};
use anamnesis_fhir::terminology::{ExpansionRequest, ValueSet};
use anamnesis_projections::terminology::{Places, TerminologyIndex};
use anamnesis_projections::{RunnerOptions, State, Supervisor};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::supervisor::{PATIENCE, is_alone, until};
use crate::world::World;

/// In no code and display but those of one fragment.
const MARKER: &str = "Quxxzymborski";
const ERASE: (Operation, Erases) = (Operation::Delete, Erases::Earlier);
const PURGE: (Operation, Erases) = (Operation::Purge, Erases::Earlier);
const REPLACE: (Operation, Erases) = (Operation::Update, Erases::Previous);

fn fragment(id: &str, codes: &[&str]) -> Value {
    let concept = |code: &&str| {
        json!({"code": code, "display": format!("Display of {code}"),
            "property": [{"code": "parent", "valueCode": codes[0]}]})
    };
    let concepts: Vec<Value> = codes.iter().map(concept).collect();
    json!({"resourceType": "CodeSystem", "id": id, "url": "urn:c", "version": "1", "status": "active",
        "content": "fragment", "concept": concepts})
}

fn key(id: &str) -> ResourceKey {
    ResourceKey::new("CodeSystem", id)
}

async fn connect(world: &World) -> Client {
    let (client, connection) = tokio_postgres::connect(&world.url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn settle(world: &World, supervisor: &Supervisor) {
    supervisor.active().wait_for(world.log.head().await.unwrap(), PATIENCE).await.unwrap();
}

/// All rows of a version as texts.
async fn rows(client: &Client, version: i32) -> Vec<String> {
    let mut all = Vec::new();
    for table in ["definition", "concept", "edge"] {
        let select = format!("SELECT t::text FROM anamnesis.terminology_v{version}_{table} AS t ORDER BY 1");
        all.extend(
            client
                .query(&select, &[])
                .await
                .unwrap()
                .iter()
                .map(|row| format!("{table} {}", row.get::<_, String>(0))),
        );
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_erased_while_it_is_parked_leaves_nothing_behind() {
    let world = World::new().await;
    let (supervisor, index) =
        TerminologyIndex::start(&world.database, &world.log, RunnerOptions::default()).await.unwrap();
    let client = connect(&world).await;
    for id in ["erased", "purged", "kept"] {
        let word = if id == "kept" { "word" } else { MARKER };
        world.put([fragment(id, &["root", &format!("{word}-{id}")])]).await;
        settle(&world, &supervisor).await;
        world.put_broken("CodeSystem", id).await;
    }
    world.put([fragment("replaced", &["root", MARKER])]).await;
    settle(&world, &supervisor).await;
    assert_eq!(rows(&client, 1).await.iter().filter(|row| row.contains(MARKER)).count(), 6);
    world.erase(key("erased"), ERASE, "").await;
    world.erase(key("purged"), PURGE, "").await;
    world.erase(key("replaced"), REPLACE, "{").await;
    settle(&world, &supervisor).await;
    let left = rows(&client, 1).await;
    assert!(!left.iter().any(|row| row.contains(MARKER)), "{left:#?}");
    assert!(left.iter().any(|row| row.contains("word-kept")), "what was not erased is there");
    let Places { resources, codes, .. } =
        index.places("urn:c", None, &["word-kept".to_owned()]).await.unwrap();
    assert_eq!((resources.len(), codes.len()), (1, 1));
    assert_eq!(supervisor.active().now().unwrap().parked().of("CodeSystem").unwrap().resources, 4);
    supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_built_again_is_the_same_also_after_erasures() {
    let world = World::new().await;
    let (supervisor, index) =
        TerminologyIndex::start(&world.database, &world.log, RunnerOptions::default()).await.unwrap();
    let client = connect(&world).await;
    for id in ["a", "b", "c", "d"] {
        world.put([fragment(id, &["root", MARKER, id]), fragment(id, &["root", id])]).await;
    }
    world.erase(key("a"), ERASE, "").await;
    world.erase(key("b"), PURGE, "").await;
    let again = fragment("c", &["root", "c", "new"]).to_string();
    world.erase(key("c"), REPLACE, &again).await;
    world.put([json!({"resourceType": "ValueSet", "id": "v", "url": "urn:v", "status": "active"})]).await;
    settle(&world, &supervisor).await;
    let live = rows(&client, 1).await;
    assert!(live.len() > 10 && !live.iter().any(|row| row.contains(MARKER)), "{live:#?}");
    assert_eq!(supervisor.rebuild(false).await.unwrap(), (2, true));
    let is_there = |status: &[anamnesis_projections::VersionStatus]| {
        status.iter().any(|one| one.version.number == 2 && one.version.state == State::Active)
    };
    until(&supervisor, is_there).await;
    assert_eq!(rows(&client, 2).await, live);
    // Questions go on being answered, by the version that has taken over.
    world.put([fragment("e", &["root", "e"])]).await;
    let places = index.places("urn:c", None, &["e".to_owned(), "a".to_owned()]).await.unwrap();
    assert_eq!((places.resources.len(), places.codes.len(), places.concepts), (4, 1, 9));
    until(&supervisor, is_alone(2)).await;
    supervisor.stop().await;
}

/// Concepts of a large system: a tree in which number n lies below n / 10; every one is an item, every fifth is red.
fn large(total: usize) -> Vec<Value> {
    let concept = |number: usize| {
        let colour = if number.is_multiple_of(5) { "red" } else { "blue" };
        let mut concept =
            json!({"code": format!("n{number:05}"), "display": format!("Item {colour} {number}")});
        if number > 0 {
            concept["property"] = json!([{"code": "parent", "valueCode": format!("n{:05}", number / 10)}]);
        }
        concept
    };
    let fragment = |first: usize| {
        let concepts: Vec<Value> = (first..(first + 5_000).min(total)).map(concept).collect();
        json!({"resourceType": "CodeSystem", "id": format!("big-{first}"), "url": "urn:big", "status": "active",
            "content": "fragment", "count": total, "concept": concepts})
    };
    (0..total).step_by(5_000).map(fragment).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_more_codes_than_are_counted_are_whole_and_in_order() {
    const TOTAL: usize = 21_000;
    let world = World::new().await;
    let (supervisor, index) =
        TerminologyIndex::start(&world.database, &world.log, RunnerOptions::default()).await.unwrap();
    world.put(large(TOTAL)).await;
    settle(&world, &supervisor).await;
    let expand = async |filters: Value, text: Option<&str>, (offset, count): (usize, Option<usize>)| {
        let set = json!({"resourceType": "ValueSet", "url": "urn:s", "status": "active",
            "compose": {"include": [{"system": "urn:big", "filter": filters}]}});
        let document = Document::parse(set.to_string(), &Limits::default()).unwrap();
        let set = ValueSet::read(document.root());
        let filter = text.map(str::to_owned);
        let request = ExpansionRequest { filter, offset, count, ..ExpansionRequest::default() };
        let found = index.ask(move |engine| engine.expand(&set, &request)).await.unwrap();
        found.map(|found| (found.total, found.contains.into_iter().map(|row| row.code).collect::<Vec<_>>()))
    };
    let codes = |numbers: &[usize]| numbers.iter().map(|number| format!("n{number:05}")).collect::<Vec<_>>();
    let of = |op: &str, code: &str| json!([{"property": "concept", "op": op, "value": code}]);
    let everything = json!([]);

    // More match than are counted before the first page: the pages are whole all the same.
    assert_eq!(expand(everything.clone(), Some("ite"), (0, Some(3))).await, Ok((None, codes(&[0, 1, 2]))));
    let last = expand(everything.clone(), Some("item"), (TOTAL - 2, Some(5))).await;
    assert_eq!(last, Ok((Some(TOTAL), codes(&[TOTAL - 2, TOTAL - 1]))));
    let red = expand(everything.clone(), Some("red it"), (1, Some(2))).await;
    assert_eq!(red, Ok((Some(TOTAL / 5), codes(&[5, 10]))));
    assert_eq!(expand(everything.clone(), Some("green"), (0, Some(2))).await, Ok((Some(0), vec![])));
    let far = expand(everything.clone(), None, (TOTAL - 1, Some(5))).await;
    assert_eq!(far, Ok((Some(TOTAL), codes(&[TOTAL - 1]))));

    // A branch of more codes than one expansion has.
    assert!(expand(of("is-a", "n00000"), None, (0, None)).await.is_err());
    let page = expand(of("is-a", "n00000"), None, (TOTAL - 3, Some(2))).await;
    assert_eq!(page, Ok((Some(TOTAL), codes(&[TOTAL - 3, TOTAL - 2]))));
    let below = expand(of("descendent-of", "n00000"), None, (0, Some(2))).await;
    assert_eq!(below, Ok((Some(TOTAL - 1), codes(&[1, 2]))));
    let red = expand(of("is-a", "n00001"), Some("red"), (0, Some(3))).await;
    let all = (0..TOTAL).filter(|number| number.is_multiple_of(5) && number.to_string().starts_with('1'));
    assert_eq!(red, Ok((Some(all.count()), codes(&[10, 15, 100]))));
    assert_eq!(expand(of("is-a", "n20999"), None, (0, Some(3))).await, Ok((Some(1), codes(&[20_999]))));
    // Frequent words in a branch are counted.
    let begin = expand(of("descendent-of", "n00000"), Some("item"), (0, Some(2))).await;
    assert_eq!(begin, Ok((Some(TOTAL - 1), codes(&[1, 2]))));
    let end = expand(of("is-a", "n00000"), Some("item"), (TOTAL - 1, Some(2))).await;
    assert_eq!(end, Ok((Some(TOTAL), codes(&[TOTAL - 1]))));
    assert_eq!(
        expand(of("is-a", "n00012"), Some("item"), (1, Some(2))).await,
        Ok((Some(1111), codes(&[120, 121])))
    );

    // Pages one behind the other are everything, each code once.
    for (filters, text) in
        [(everything.clone(), None), (everything.clone(), Some("item")), (of("is-a", "n00000"), None)]
    {
        let mut all = Vec::new();
        for offset in (0..=TOTAL).step_by(3_000) {
            all.extend(expand(filters.clone(), text, (offset, Some(3_000))).await.unwrap().1);
        }
        assert_eq!(all, codes(&(0..TOTAL).collect::<Vec<_>>()), "{filters} {text:?}");
    }
    // What is kept of a branch is that of before the next write.
    world
        .put([json!({"resourceType": "CodeSystem", "id": "more", "url": "urn:big", "status": "active",
        "content": "fragment", "concept": [{"code": "n99999", "display": "Item", "property":
            [{"code": "parent", "valueCode": "n20999"}]}, {"code": "n00003"}]})])
        .await;
    // One code is there twice: it counts once.
    let all = expand(everything.clone(), None, (2, Some(3))).await;
    assert_eq!(all, Ok((Some(TOTAL + 1), codes(&[2, 3, 4]))));
    let all = expand(everything, None, (TOTAL, Some(3))).await;
    assert_eq!(all, Ok((Some(TOTAL + 1), codes(&[99_999]))));
    let more = expand(of("is-a", "n20999"), None, (0, Some(3))).await;
    assert_eq!(more, Ok((Some(2), codes(&[20_999, 99_999]))));
    supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lag_is_that_behind_the_last_event_of_terminology() {
    let world = World::new().await;
    let (supervisor, _index) =
        TerminologyIndex::start(&world.database, &world.log, RunnerOptions::default()).await.unwrap();
    let set = |id: &str| json!({"resourceType": "ValueSet", "id": id, "url": "urn:v", "status": "active"});
    let patient = json!({"resourceType": "Patient", "id": "p"});
    let first = world.put([set("a")]).await;
    supervisor.active().wait_for(first, PATIENCE).await.unwrap();
    let end = world.put([patient.clone(), patient.clone(), patient.clone()]).await;
    let status = supervisor.status().await.unwrap();
    assert_eq!((status[0].version.reached, status[0].lag, supervisor.head()), (first, 0, first));
    // What nobody takes up any more is told to the operator and to the metrics alike.
    supervisor.stop().await;
    let last = world.put([set("b"), patient]).await;
    let status = supervisor.status().await.unwrap();
    let lag = last.get() - 1 - first.get();
    assert_eq!((status[0].lag, supervisor.head().get()), (lag, last.get() - 1));
    assert_eq!(lag, end.get() + 1 - first.get());
}
