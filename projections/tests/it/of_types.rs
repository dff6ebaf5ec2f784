//! The events of some types alone, out of a log that is written to.

use anamnesis_events::{Feed, Position};
use anamnesis_projections::{OfTypes, Source};
use serde_json::{Value, json};

use crate::world::World;

/// Types in a bundle: each is asked for by a statement of its own.
const TYPES: &[&str] = &["CodeSystem", "ConceptMap", "ValueSet"];
const BUNDLES: u64 = 150;
const READERS: usize = 8;

fn bundle(number: u64) -> Vec<Value> {
    // Another one in between, which nobody asks for.
    let types = ["CodeSystem", "Patient", "ConceptMap", "ValueSet"];
    let resource = |name: &&str| json!({"resourceType": name, "id": number.to_string()});
    types.iter().map(resource).collect()
}

/// The positions that a reader is given, up to the last one.
async fn read(source: &OfTypes, last: Position) -> Vec<u64> {
    let mut feed = source.feed(Position::ZERO);
    let mut given: Vec<u64> = Vec::new();
    while given.last().is_none_or(|position| *position < last.get()) {
        let events = feed.next(64).await.unwrap();
        assert!(events.iter().all(|event| TYPES.contains(&&*event.key.resource_type)));
        given.extend(events.iter().map(|event| event.position.get()));
    }
    given
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_that_is_committed_between_two_statements_is_passed_over() {
    let world = World::new().await;
    let source = OfTypes::new(&world.log, TYPES);
    let last = Position::new(BUNDLES * 4);
    let writing = async {
        for number in 0..BUNDLES {
            world.bundle(bundle(number)).await;
        }
    };
    let reading = futures::future::join_all((0..READERS).map(|_| read(&source, last)));
    let ((), given) = tokio::join!(writing, reading);
    let expected: Vec<u64> = (1..=last.get()).filter(|position| position % 4 != 2).collect();
    for one in given {
        assert_eq!(one, expected);
    }
}
