//! Texts of codes and references: `:text`, and the table that they stand in.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anamnesis_events::{Clock, Erases, LogOptions, Operation, ResourceKey};
use anamnesis_projections::RunnerOptions;
use anamnesis_projections::search::{Handling, SearchLimits};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::world::{World, expect};

fn observation(id: &str, code: &Value) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": code})
}

fn said(id: &str, text: &str) -> Value {
    observation(id, &json!({"text": text}))
}

/// Deletes a resource and what it was before.
async fn erase(world: &World, id: &str) {
    let key = ResourceKey::new("Observation", id);
    world.erase(key, (Operation::Delete, Erases::Earlier), "").await;
}

/// Takes away what a resource was before.
async fn purge(world: &World, id: &str) {
    let key = ResourceKey::new("Observation", id);
    world.erase(key, (Operation::Purge, Erases::Earlier), "").await;
}

/// Writes a resource that keeps no versions.
async fn replace(world: &World, resource: &Value) {
    let key = ResourceKey::new("Observation", resource["id"].as_str().unwrap());
    world.erase(key, (Operation::Update, Erases::Previous), &resource.to_string()).await;
}

/// What a statement counts.
async fn count(world: &World, statement: &str) -> i64 {
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let row = client.query_one(statement, &[]).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
    row.get(0)
}

/// Labels that are counted for more or fewer rows than have their token, and words without a label.
async fn miscounted(world: &World) -> i64 {
    count(
        world,
        "SELECT (SELECT count(*) FROM anamnesis.search_v1_label AS l WHERE l.uses <> (
                 SELECT count(*) FROM (SELECT tokens FROM anamnesis.search_v1_resource UNION ALL
                     SELECT tokens FROM anamnesis.search_v1_superseded) AS r WHERE l.token = ANY (r.tokens)))
             + (SELECT count(*) FROM anamnesis.search_v1_label AS l WHERE l.uses < 1)
             + (SELECT count(*) FROM anamnesis.search_v1_label_word AS w
                 WHERE NOT EXISTS (SELECT FROM anamnesis.search_v1_label AS l WHERE l.token = w.token))",
    )
    .await
}

/// Labels and words of labels that have this in them.
async fn kept(world: &World, text: &str) -> i64 {
    let in_table = |table: &str| {
        format!("(SELECT count(*) FROM anamnesis.search_v1_{table} WHERE strpos(text, '{text}') > 0)")
    };
    count(world, &format!("SELECT {} + {}", in_table("label"), in_table("label_word"))).await
}

#[tokio::test]
async fn codes_and_references_are_found_by_their_texts() {
    let world = World::new().await;
    let patient = json!({"resourceType": "Patient", "id": "p", "identifier": [
        {"value": "1", "type": {"text": "Medical Record Number"}}],
        "generalPractitioner": [{"reference": "Practitioner/1", "display": "Dr. Zoë O’Neil"}],
        "managingOrganization": {"display": "St. Mary's, North-West"}});
    world
        .put([
            observation("a", &json!({"text": "Severe headache"})),
            observation("b", &json!({"coding": [{"code": "1", "display": "Head circumference"}, {"code": "2", "display": "Kopfumfang"}]})),
            observation("c", &json!({"text": "Größe", "coding": [{"code": "1", "display": "Body height"}]})),
            observation("d", &json!({"coding": [{"code": "severe"}]})),
            json!({"resourceType": "Observation", "id": "e", "status": "final", "code": {"text": "x"},
                "subject": {"reference": "Patient/p", "display": "Peter Chalmers"},
                "component": [{"code": {"text": "Systolic (seated)"}}],
                "category": [{"coding": [{"display": "++"}]}], "valueCodeableConcept": {"text": "a, b"}}),
            patient,
        ])
        .await;
    expect(
        &world,
        &[
            ("Observation?code:text=Severe headache", "a"),
            ("Observation?code:text=severe  HEAD", "a"),
            ("Observation?code:text=headache", "a"),
            ("Observation?code:text=head", "a b"),
            // The beginning of a word, not any piece of it.
            ("Observation?code:text=ache", ""),
            ("Observation?code:text=severe circumference", ""),
            ("Observation?code:text=headache,body", "a c"),
            ("Observation?code:text=kopf", "b"),
            ("Observation?code:text=grosse", "c"),
            ("Observation?code:text=Body-height", "c"),
            // A code is no text.
            ("Observation?code:text=severe", "a"),
            ("Observation?code:text=head&code:text=umfang", ""),
            ("Observation?code:text=head&code=1", "b"),
            ("Observation?combo-code:text=systolic seat", "e"),
            ("Observation?component-code:text=seated", "e"),
            ("Observation?code:text=seated", ""),
            ("Observation?category:text=++", "e"),
            (r"Observation?value-concept:text=a\, b", "e"),
            ("Observation?subject:text=peter", "e"),
            ("Observation?patient:text=chalm", "e"),
            ("Observation?subject:text=patient", ""),
            ("Patient?identifier:text=record", "p"),
            ("Patient?identifier:text=1", ""),
            ("Patient?general-practitioner:text=oneil", "p"),
            ("Patient?general-practitioner:text=zoe", "p"),
            ("Patient?organization:text=north west", "p"),
            ("Patient?organization:text=marys", "p"),
            ("Observation?subject.organization:text=mary", "e"),
            ("Patient?_has:Observation:subject:component-code:text=sys", "p"),
            ("Patient?_has:Observation:subject:code:text=severe", ""),
        ],
    )
    .await;
    assert_eq!(miscounted(&world).await, 0);
}

#[tokio::test]
async fn a_text_that_asks_for_nothing_is_refused() {
    let world = World::new().await;
    for (query, reason) in [
        ("Observation?code:text=", "it has no value"),
        ("Observation?code:text=%20".replace("%20", " ").as_str(), "more than spaces"),
        ("Observation?status:text=final", "have no texts"),
        ("Patient?active:text=true", "have no texts"),
        ("Observation?date:text=x", "not supported for parameters of type date"),
        (&format!("Observation?code:text={}", "a".repeat(201)), "up to 200 characters"),
    ] {
        let issues = world.query_as(query, Handling::Strict).unwrap_err();
        assert!(issues.iter().any(|issue| issue.text.contains(reason)), "{query}: {issues:?}");
    }
}

#[tokio::test]
async fn long_texts_are_found_by_their_first_words() {
    let world = World::new().await;
    let words: Vec<String> = (100..140).map(|number| format!("w{number}")).collect();
    let long = "ab".repeat(150);
    world.put([said("a", &words.join(" ")), said("b", &long)]).await;
    expect(
        &world,
        &[
            ("Observation?code:text=w100 w101", "a"),
            ("Observation?code:text=w131", "a"),
            ("Observation?code:text=w132", ""),
            (&format!("Observation?code:text={}", &long[..200]), "b"),
        ],
    )
    .await;
}

#[tokio::test]
async fn more_labels_than_are_asked_for_at_once_give_the_same_answer() {
    let mut world = World::new().await;
    world.put((0..20).map(|id| said(&id.to_string(), &format!("text {id}")))).await;
    world.put([said("other", "nothing of the kind")]).await;
    let all = world.found("Observation?code:text=text").await;
    assert_eq!(all.split(' ').count(), 20);
    for labels_max in [0, 5, 19, 20] {
        let limits = SearchLimits { labels_max, gathered_max: 3, tried_max: 2, ..SearchLimits::default() };
        world.index = world.index.clone().with_limits(limits);
        assert_eq!(world.found("Observation?code:text=text").await, all);
        assert_eq!(world.found("Observation?code:text=text 1").await, "1 10 11 12 13 14 15 16 17 18 19");
        let page = world.search("Observation?code:text=text&_count=0").await;
        assert_eq!(page.total, Some(20));
    }
}

#[tokio::test]
async fn a_label_that_has_no_resource_any_more_is_still_on_pages_of_before() {
    let world = World::new().await;
    world.put((0..4).map(|id| said(&id.to_string(), &format!("old {id}")))).await;
    let first = world.search("Observation?code:text=old&_count=2").await;
    world.put((0..4).map(|id| said(&id.to_string(), "new"))).await;
    assert_eq!(world.found("Observation?code:text=old").await, "");
    let second =
        world.search(&format!("Observation?code:text=old&_count=2&ct={}", first.next.unwrap())).await;
    let ids = |page: &anamnesis_projections::search::SearchPage| -> Vec<String> {
        page.matches.iter().map(|found| found.id.clone()).collect()
    };
    assert_eq!((first.matches.len(), ids(&second)), (2, vec!["1".to_owned(), "0".to_owned()]));
    assert_eq!(miscounted(&world).await, 0);
}

#[tokio::test]
async fn labels_go_with_the_last_row_that_has_them() {
    let late = Arc::new(AtomicI64::new(0));
    let offset = late.clone();
    let clock: Clock = Arc::new(move || Utc::now() + TimeDelta::minutes(offset.load(Ordering::SeqCst)));
    let log = LogOptions { clock, ..LogOptions::default() };
    let world = World::with_log(log, RunnerOptions::default()).await;
    world
        .put([said("a", "changed once"), said("b", "deleted once"), said("c", "shared"), said("d", "shared")])
        .await;
    world.settle().await;
    world.put([said("a", "what stays"), said("c", "what stays")]).await;
    world.delete("Observation", "b").await;
    world.settle().await;
    assert!(kept(&world, "once").await > 0, "pages may still need them");
    late.store(11, Ordering::SeqCst);
    world.put([said("e", "new")]).await;
    world.settle().await;
    assert_eq!((kept(&world, "once").await, miscounted(&world).await), (0, 0));
    assert!(kept(&world, "shared").await > 0 && kept(&world, "stays").await > 0);
    expect(&world, &[("Observation?code:text=shared", "d"), ("Observation?code:text=stays", "a c")]).await;
}

#[tokio::test]
async fn nothing_of_what_was_erased_stays_readable() {
    // One event a batch, and all in one.
    for batch_events_max in [1, 1000] {
        let options = RunnerOptions { batch_events_max, ..RunnerOptions::default() };
        let world = World::with(options).await;
        world.put([said("a", "secret one"), said("a", "secret two"), said("b", "secret two")]).await;
        erase(&world, "a").await;
        world.settle().await;
        assert_eq!(kept(&world, "secret one").await, 0);
        assert!(kept(&world, "secret two").await > 0, "b has it");
        world.put([said("b", "plain")]).await;
        purge(&world, "b").await;
        world.settle().await;
        assert_eq!(kept(&world, "secret").await, 0);
        world.put([said("c", "secret three")]).await;
        world.settle().await;
        replace(&world, &said("c", "plain")).await;
        world.settle().await;
        assert_eq!((kept(&world, "secret").await, miscounted(&world).await), (0, 0));
        expect(&world, &[("Observation?code:text=plain", "b c"), ("Observation?code:text=secret", "")]).await;
    }
}

#[tokio::test]
async fn a_parked_resource_that_is_erased_leaves_no_label() {
    let world = World::new().await;
    world.put([said("a", "secret")]).await;
    world.settle().await;
    world.put_broken("Observation", "a").await;
    erase(&world, "a").await;
    world.settle().await;
    assert_eq!((kept(&world, "secret").await, miscounted(&world).await), (0, 0));
}

#[tokio::test]
async fn labels_are_counted_right_whatever_is_written() {
    let world = World::new().await;
    for turn in 0..60_u32 {
        let id = (turn * 7 % 5).to_string();
        match turn % 9 {
            3 => _ = world.delete("Observation", &id).await,
            6 => _ = erase(&world, &id).await,
            7 => _ = replace(&world, &said(&id, "in its place")).await,
            _ => {
                let resource = said(&id, &format!("text {}", turn % 4));
                world.bundle([resource.clone(), said("x", &format!("other {turn}")), resource]).await;
            }
        }
        if turn % 10 == 0 {
            world.settle().await;
        }
    }
    world.settle().await;
    assert_eq!(miscounted(&world).await, 0);
    assert!(kept(&world, "text").await > 0);
}
