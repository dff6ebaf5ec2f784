//! Pages that stay the same while resources are written.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anamnesis_events::{Clock, LogOptions};
use anamnesis_projections::RunnerOptions;
use anamnesis_projections::search::{SearchLimits, SearchPage};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{TimeDelta, Utc};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::world::World;

/// How often the property is tried, each time with other resources and other writes.
const CASES: usize = 2 * QUERIES.len();
/// Pages of one search: a search that goes on beyond that does not end.
const PAGES_MAX: usize = 500;

const QUERIES: [&str; 15] = [
    "Observation?code=x",
    "Observation?_sort=_lastUpdated",
    "Observation?code=x&_sort=date",
    "Observation?code=x&_sort=-date,_id",
    "Observation?_sort=-date",
    "Observation?_sort=date",
    "Observation?_sort=value-string,-date",
    "Observation?code:not=y&_sort=-date",
    "Observation?date=ge2020-01-03&_sort=_id",
    "Observation?date=lt2020-01-02,ge2020-01-04&_sort=date",
    "Observation?combo-code=x&_lastUpdated=gt2020",
    "Observation?_lastUpdated=gt2020&_sort=-date",
    "Observation?value-string=ab&_sort=-date",
    "Observation?code:text=second",
    "Observation?code:text=first,ab&_sort=date",
];

#[derive(Debug, Clone)]
struct Put {
    id: u8,
    /// Zero is no date.
    day: u8,
    code: bool,
    text: u8,
}

#[derive(Debug, Clone)]
enum Operation {
    Put(Put),
    Delete(u8),
}

fn puts() -> impl Strategy<Value = Put> {
    (0..40u8, 0..9u8, any::<bool>(), 0..4u8).prop_map(|(id, day, code, text)| Put { id, day, code, text })
}

fn operations() -> impl Strategy<Value = Operation> {
    prop_oneof![3 => puts().prop_map(Operation::Put), 1 => (0..40u8).prop_map(Operation::Delete)]
}

async fn write(world: &World, operation: &Operation) {
    match operation {
        Operation::Put(put) => {
            let mut resource = json!({"resourceType": "Observation", "id": format!("{}", put.id), "status": "final",
                "code": {"coding": [{"code": if put.code { "x" } else { "y" }}],
                    "text": if put.code { "The first" } else { "The second" }}});
            if put.day > 0 {
                resource["effectiveDateTime"] = json!(format!("2020-01-{:02}", put.day));
            }
            if put.text > 0 {
                resource["valueString"] = json!("abc"[..usize::from(put.text)]);
                // A label that nothing else may have.
                resource["code"]["coding"][0]["display"] = json!(format!("abc{}", put.id));
            }
            world.put([resource]).await;
        }
        Operation::Delete(id) => {
            world.delete("Observation", &id.to_string()).await;
        }
    }
}

fn ids(page: &SearchPage) -> Vec<String> {
    page.matches.iter().map(|found| format!("{}@{}", found.id, found.position)).collect()
}

#[tokio::test]
async fn pages_show_what_was_there_at_the_first_one() {
    let mut world = World::new().await;
    let mut random = TestRunner::deterministic();
    for case in 0..CASES {
        let first: Vec<Put> =
            proptest::collection::vec(puts(), 5..40).new_tree(&mut random).unwrap().current();
        for put in first {
            write(&world, &Operation::Put(put)).await;
        }
        let query = QUERIES[case % QUERIES.len()];
        // Gathered and sorted, and walked along in order: the same answers.
        let few = SearchLimits {
            gathered_max: 3,
            tried_max: 2,
            joined_max: 3,
            labels_max: 2,
            ..SearchLimits::default()
        };
        let limits = if case < QUERIES.len() { few } else { SearchLimits::default() };
        world.index = world.index.clone().with_limits(limits);
        let size = (1..6usize).new_tree(&mut random).unwrap().current();
        let joint = if query.contains('?') { '&' } else { '?' };
        let expected = ids(&world.search(&format!("{query}{joint}_count=1000")).await);

        let paged = format!("{query}{joint}_count={size}");
        let mut page = world.search(&paged).await;
        let mut pages = vec![ids(&page)];
        while let Some(next) = page.next.clone() {
            assert!(pages.len() < PAGES_MAX, "{paged} does not end");
            let writes =
                proptest::collection::vec(operations(), 0..4).new_tree(&mut random).unwrap().current();
            for operation in &writes {
                write(&world, operation).await;
            }
            page = world.search(&format!("{paged}&ct={next}")).await;
            assert_eq!(page.issues, []);
            pages.push(ids(&page));
        }
        assert_eq!(pages.concat(), expected, "case {case}: {paged}");

        let mut back = vec![ids(&page)];
        while let Some(previous) = page.previous.clone() {
            assert!(back.len() < PAGES_MAX, "{paged} does not end backwards");
            write(&world, &operations().new_tree(&mut random).unwrap().current()).await;
            page = world.search(&format!("{paged}&ct={previous}")).await;
            back.push(ids(&page));
        }
        back.reverse();
        assert_eq!(back.concat(), expected, "case {case}, backwards: {paged}");
    }
}

#[tokio::test]
async fn the_first_page_has_no_previous_and_the_last_no_next() {
    let world = World::new().await;
    for id in 0..5 {
        write(&world, &Operation::Put(Put { id, day: 1, code: true, text: 0 })).await;
    }
    let first = world.search("Observation?_count=2&_total=accurate").await;
    assert_eq!((first.previous.clone(), first.total), (None, Some(5)));
    write(&world, &Operation::Put(Put { id: 9, day: 1, code: true, text: 0 })).await;
    let second =
        world.search(&format!("Observation?_count=2&_total=accurate&ct={}", first.next.unwrap())).await;
    assert_eq!(second.total, Some(5), "the total is that of the first page");
    let third = world.search(&format!("Observation?_count=2&ct={}", second.next.unwrap())).await;
    assert_eq!((third.matches.len(), third.next.clone()), (1, None));
    let again = world.search(&format!("Observation?_count=2&ct={}", third.previous.unwrap())).await;
    assert_eq!(again.matches, second.matches);
    let begin = world.search(&format!("Observation?_count=2&ct={}", again.previous.unwrap())).await;
    assert_eq!((begin.matches, begin.previous), (first.matches, None));
}

#[tokio::test]
async fn a_page_token_is_of_no_use_for_another_query() {
    let world = World::new().await;
    for id in 0..3 {
        write(&world, &Operation::Put(Put { id, day: 1, code: true, text: 0 })).await;
    }
    let next = world.search("Observation?_count=1&code=x").await.next.unwrap();
    assert!(world.query(&format!("Observation?_count=2&code=x&ct={next}")).is_ok());
    assert!(world.query(&format!("Observation?_count=1&code=y&ct={next}")).is_err());
    assert!(world.query(&format!("Observation?_count=1&code=x&_sort=date&ct={next}")).is_err());
}

#[tokio::test]
async fn a_page_token_that_was_edited_is_refused() {
    let world = World::new().await;
    for id in 0..3 {
        write(&world, &Operation::Put(Put { id, day: 1, code: true, text: 0 })).await;
    }
    for sort in ["", "&_sort=date", "&_sort=_id"] {
        let next = world.search(&format!("Observation?_count=1{sort}")).await.next.unwrap();
        let ask = |token: &[u8]| {
            world.query(&format!("Observation?_count=1{sort}&ct={}", URL_SAFE_NO_PAD.encode(token)))
        };
        let token = URL_SAFE_NO_PAD.decode(next).unwrap();
        assert!(ask(&token).is_ok());
        // Form, direction, fingerprint, position, total and seq; then the keys.
        let (head, keys) = token.split_at(34);
        for edited in [b"i12345678".as_slice(), b"t\0\0\0\x01a", b"t\0\0\0\x01\0"] {
            assert!(ask(&[head, keys, edited].concat()).is_err(), "another key, {sort}");
            let fits = (sort == "&_sort=date" && edited.starts_with(b"i"))
                || (sort == "&_sort=_id" && edited.ends_with(b"a"));
            assert_eq!(ask(&[head, edited].concat()).is_ok(), fits, "{edited:?} {sort}");
        }
        assert_eq!(ask(head).is_ok(), sort.is_empty(), "no key, {sort}");
    }
}

#[tokio::test]
async fn superseded_rows_are_kept_for_a_while_and_then_dropped() {
    let late = Arc::new(AtomicI64::new(0));
    let offset = late.clone();
    let clock: Clock = Arc::new(move || Utc::now() + TimeDelta::minutes(offset.load(Ordering::SeqCst)));
    let log = LogOptions { clock, ..LogOptions::default() };
    let world = World::with_log(log, RunnerOptions::default()).await;
    let put = |id: u8, day: u8| Operation::Put(Put { id, day, code: true, text: 3 });
    for id in 0..4 {
        write(&world, &put(id, id + 1)).await;
    }
    let query = "Observation?_sort=date&_count=2";
    let next = world.search(query).await.next.unwrap();
    let second = format!("{query}&ct={next}");
    let ids = async || {
        let page = world.search(&second).await;
        let ids: Vec<String> = page.matches.iter().map(|found| found.id.clone()).collect();
        (ids.join(" "), page.issues.len())
    };
    assert_eq!(ids().await, ("2 3".to_owned(), 0));
    write(&world, &put(2, 8)).await;
    late.store(9, Ordering::SeqCst);
    write(&world, &Operation::Delete(3)).await;
    assert_eq!(ids().await, ("2 3".to_owned(), 0));
    late.store(11, Ordering::SeqCst);
    write(&world, &put(9, 9)).await;
    // What was changed first is gone, and the page says that something may be missing.
    assert_eq!(ids().await, ("3".to_owned(), 1));
    // A search that begins now is whole again.
    let next = world.search(query).await.next.unwrap();
    assert_eq!(world.search(&format!("{query}&ct={next}")).await.issues, []);
}
