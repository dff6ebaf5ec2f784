//! Queries tested in memory: the same answers as those of the index.

use anamnesis_events::{Event, Position};
use anamnesis_projections::RunnerOptions;
use anamnesis_projections::search::Subject;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::world::World;

const RESOURCES: usize = 120;
const QUERIES: usize = 250;
/// Queries that find nothing show little.
const FOUND_MIN: usize = QUERIES / 4;

fn words() -> impl Strategy<Value = &'static str> {
    select(vec!["Ada", "ada lovelace", "Élan", "elan", "O'Neil", "x", "Xerxes", "\u{10ffff}", "a"])
}

fn dates() -> impl Strategy<Value = &'static str> {
    select(vec!["2019", "2020-01", "2020-01-02", "2020-01-02T10:00:00Z", "2020-01-03", "2021-06-30"])
}

pub(crate) fn patients() -> impl Strategy<Value = Value> {
    (prop::option::of(words()), prop::option::of(dates()), any::<bool>()).prop_map(|(name, born, active)| {
        let div = format!("<div xmlns='http://www.w3.org/1999/xhtml'>{} born</div>", born.unwrap_or("never"));
        let mut patient = json!({"resourceType": "Patient", "active": active, "text": {"status": "generated", "div": div},
            "identifier": [{"system": "http://a", "value": if active { "1" } else { "2" }}]});
        if let Some(name) = name {
            patient["name"] = json!([{"family": name}, {"given": [name, "Zoe"]}]);
        }
        if let Some(born) = born {
            patient["birthDate"] = json!(&born[..born.len().min(10)]);
        }
        patient
    })
}

pub(crate) fn observations() -> impl Strategy<Value = Value> {
    let values = (0..6u8, -3i32..120, prop::option::of(dates()), prop::option::of(dates()), words());
    values.prop_map(|(patient, number, from, until, text)| {
        let mut observation = json!({"resourceType": "Observation", "status": "final",
            "subject": {"reference": format!("Patient/{patient}")},
            "code": {"coding": [{"system": "http://a", "code": if number % 2 == 0 { "x" } else { "y" }}], "text": text},
            "note": [{"text": text}]});
        if number > 0 {
            observation["valueQuantity"] =
                json!({"value": number, "system": "http://unitsofmeasure.org", "code": "mg"});
        } else {
            observation["valueString"] = json!(text);
        }
        match (from, until) {
            (Some(from), Some(until)) if from < until => {
                observation["effectivePeriod"] = json!({"start": from, "end": until});
            }
            (Some(from), _) => observation["effectiveDateTime"] = json!(from),
            (None, Some(until)) => observation["effectivePeriod"] = json!({"end": until}),
            (None, None) => {}
        }
        observation
    })
}

/// Words of the narrative or of the resource.
fn sayings() -> impl Strategy<Value = String> {
    let word =
        || select(vec!["ada", "LOVELACE", "elan", "oneil", "zoe", "born", "2020", "never", "mg", "final"]);
    let codes = select(vec!["_text", "_content"]);
    (codes, word(), word(), word(), 0..4).prop_map(|(code, one, two, three, form)| match form {
        0 => format!("{code}={one}"),
        1 => format!("{code}={one} {two} OR {three}"),
        2 => format!("{code}={one},NOT ({two} and {three})"),
        _ => format!("{code}=({one} or {two}) NOT {three}"),
    })
}

/// One criterion, with or without its type.
pub(crate) fn criteria() -> impl Strategy<Value = (&'static str, String)> {
    let prefix = || select(vec!["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]);
    let modifier = || select(vec!["", ":exact", ":contains"]);
    let of_patient = |text: String| ("Patient", text);
    let of_observation = |text: String| ("Observation", text);
    prop_oneof![
        (modifier(), words()).prop_map(move |(with, name)| of_patient(format!("name{with}={name}"))),
        (modifier(), words()).prop_map(move |(with, name)| of_patient(format!("given{with}={name},q"))),
        (prefix(), dates()).prop_map(move |(with, date)| of_patient(format!("birthdate={with}{date}"))),
        (sayings(), any::<bool>()).prop_map(move |(said, is_patient)| {
            if is_patient { of_patient(said) } else { of_observation(said) }
        }),
        any::<bool>().prop_map(move |active| of_patient(format!("active:not={active}"))),
        any::<bool>().prop_map(move |missing| of_patient(format!("birthdate:missing={missing}"))),
        select(vec!["http://a|1", "2", "|1", "http://a|"])
            .prop_map(move |token| of_patient(format!("identifier={token}"))),
        (prefix(), dates()).prop_map(move |(with, date)| of_observation(format!("date={with}{date}"))),
        (prefix(), -1i32..120)
            .prop_map(move |(with, number)| of_observation(format!("value-quantity={with}{number}||mg"))),
        (0..7u8).prop_map(move |id| of_observation(format!("subject=Patient/{id}"))),
        select(vec!["x", "http://a|y", "x,y", "z"])
            .prop_map(move |code| of_observation(format!("code={code}"))),
        select(vec!["x", "y", "z"]).prop_map(move |code| of_observation(format!("code:not={code}"))),
        words().prop_map(move |text| of_observation(format!("code:text={text}"))),
        (modifier(), words())
            .prop_map(move |(with, text)| of_observation(format!("value-string{with}={text}"))),
        any::<bool>().prop_map(move |missing| of_observation(format!("value-string:missing={missing}"))),
        (0..4u8).prop_map(move |id| of_observation(format!("_id={id},1{id}"))),
        select(vec!["gt2020", "lt2020", "ne2019"])
            .prop_map(move |time| of_observation(format!("_lastUpdated={time}"))),
    ]
}

#[tokio::test]
async fn a_resource_in_memory_matches_what_the_index_finds() {
    let world = World::with_words(RunnerOptions::default()).await;
    let mut random = TestRunner::deterministic();
    for id in 0..RESOURCES {
        let resources = prop_oneof![patients().boxed(), observations().boxed()];
        let mut resource = resources.new_tree(&mut random).unwrap().current();
        resource["id"] = json!((id % (RESOURCES - 20)).to_string());
        world.put([resource]).await;
    }
    world.settle().await;
    let mut found_something = 0;
    let events = world.log.read(Position::ZERO, 1000).await.unwrap();
    for case in 0..QUERIES {
        let both = (criteria(), criteria()).new_tree(&mut random).unwrap().current();
        let ((name, one), (other_name, other)) = both;
        let query =
            if name == other_name { format!("{name}?{one}&{other}") } else { format!("{name}?{one}") };
        let expected = world.found(&query).await;
        found_something += usize::from(!expected.is_empty());
        assert_eq!(in_memory(&world, &events, &query), expected, "{query}");
        if case % 10 != 0 {
            continue;
        }
        let query = format!("Patient/3/*?_lastUpdated=gt2020&_type={name}");
        assert_eq!(in_memory(&world, &events, &query), world.found(&query).await, "{query}");
    }
    assert!(found_something > FOUND_MIN, "only {found_something} of the queries found something");
}

/// What [`World::found`] answers, from the log and in memory.
pub(crate) fn in_memory(world: &World, events: &[Event], query: &str) -> String {
    let (parsed, _) = world.query(query).unwrap();
    let mut newest = std::collections::BTreeMap::new();
    for event in events {
        newest.insert(&event.key, event);
    }
    let mut ids = Vec::new();
    for (key, event) in newest {
        let (resource_type, id) = (&*key.resource_type, key.id.as_str());
        let subject = Subject { resource_type, id, payload: &event.payload, recorded_at: event.recorded_at };
        if world.index.evaluator(&parsed).unwrap().take_apart(&subject).unwrap().matches(&parsed) {
            ids.push(key.id.clone());
        }
    }
    ids.sort();
    ids.join(" ")
}
