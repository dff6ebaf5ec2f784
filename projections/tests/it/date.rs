//! Date parameters: every prefix against every precision, and sorting.

use anamnesis_projections::search::{DateEquals, ParseOptions};
use serde_json::json;

use crate::world::{World, expect};

fn procedure(id: &str, start: Option<&str>, end: Option<&str>) -> serde_json::Value {
    let mut period = json!({});
    if let Some(start) = start {
        period["start"] = json!(start);
    }
    if let Some(end) = end {
        period["end"] = json!(end);
    }
    json!({"resourceType": "Procedure", "id": id, "status": "completed", "subject": {"reference": "Patient/1"},
        "performedPeriod": period})
}

fn at(id: &str, time: &str) -> serde_json::Value {
    json!({"resourceType": "Procedure", "id": id, "status": "completed", "subject": {"reference": "Patient/1"},
        "performedDateTime": time})
}

async fn world() -> World {
    let world = World::new().await;
    world
        .put([
            at("year", "2013"),
            at("month", "2013-01"),
            at("day", "2013-01-14"),
            at("noon", "2013-01-14T12:00:00Z"),
            at("east", "2013-01-15T00:30:00+01:00"),
            at("next", "2013-01-15T00:00:00Z"),
            procedure("span", Some("2013-01-10"), Some("2013-01-20")),
            procedure("since", Some("2013-01-14"), None),
            procedure("until", None, Some("2013-01-13")),
            json!({"resourceType": "Procedure", "id": "none", "status": "completed",
                "subject": {"reference": "Patient/1"}}),
        ])
        .await;
    world
}

#[tokio::test]
async fn every_prefix_meets_every_precision() {
    let world = world().await;
    expect(
        &world,
        &[
            ("Procedure?date=2013", "day east month next noon span year"),
            ("Procedure?date=2013-01", "day east month next noon span"),
            ("Procedure?date=2013-01-14", "day east noon"),
            ("Procedure?date=eq2013-01-14", "day east noon"),
            ("Procedure?date=2013-01-14T12:00", "noon"),
            ("Procedure?date=2013-01-14T12:00Z", "noon"),
            ("Procedure?date=2013-01-14T12:00:00Z", "noon"),
            ("Procedure?date=2013-01-14T23:30:00Z", "east"),
            ("Procedure?date=2013-01-15T00:30:00+01:00", "east"),
            ("Procedure?date=2013-01-15T00:30:00 01:00", "east"),
            ("Procedure?date=ne2013-01-14", "month next since span until year"),
            ("Procedure?date=ne2013", "since until"),
            ("Procedure?date=gt2013-01-14", "month next since span year"),
            ("Procedure?date=lt2013-01-14", "month span until year"),
            ("Procedure?date=ge2013-01-14", "day east month next noon since span year"),
            ("Procedure?date=le2013-01-14", "day east month noon span until year"),
            ("Procedure?date=sa2013-01-14", "next"),
            ("Procedure?date=eb2013-01-14", "until"),
            ("Procedure?date=sa2013-01-13", "day east next noon since"),
            ("Procedure?date=gt2013", "since"),
            ("Procedure?date=lt2013", "until"),
            ("Procedure?date=ge2013", "day east month next noon since span year"),
            ("Procedure?date=le2013", "day east month next noon span until year"),
            ("Procedure?date=gt2013-01-14T12:00:00Z", "day east month next since span year"),
            ("Procedure?date=lt2013-01-14T12:00:00Z", "day month since span until year"),
            ("Procedure?date=eb2013-01-14T12:00:00Z", "until"),
            ("Procedure?date=sa2013-01-14T12:00:00Z", "east next"),
            ("Procedure?date=ge2013-01-15T00:00:00Z", "month next since span year"),
            // A tenth of the time to June 2024 is 377 days: from 2013-01-19 on.
            ("Procedure?date=ap2014-02", "month since span year"),
            ("Procedure?date=ap2024-05-31", "since"),
            ("Procedure?date=ge2013-01-14&date=lt2013-01-15", "day east month noon since span year"),
            ("Procedure?date=2013-01-14,2013-01-15", "day east next noon"),
            ("Procedure?date:missing=true", "none"),
            ("Procedure?date:missing=false&_id=none,day", "day"),
            ("Procedure?patient=1&date=2013-01-14", "day east noon"),
        ],
    )
    .await;
}

#[tokio::test]
async fn dates_sort_by_their_beginning_and_missing_ones_last() {
    let world = world().await;
    let ascending = ["until", "year", "month", "span", "day", "since", "noon", "east", "next", "none"];
    assert_eq!(world.ids("Procedure?_sort=date").await, ascending);
    assert_eq!(world.ids("Procedure?_sort=date&patient=1").await, ascending);
    let descending = ["next", "east", "noon", "since", "day", "span", "month", "year", "until", "none"];
    assert_eq!(world.ids("Procedure?_sort=-date").await, descending);
    assert_eq!(world.ids("Procedure?_sort=-date&patient=1").await, descending);
    assert_eq!(world.ids("Procedure?_sort=-date&patient=1&_count=3").await, descending[..3]);
}

#[tokio::test]
async fn of_several_dates_the_outer_one_sorts() {
    let world = World::new().await;
    let goal = |id: &str, dates: &[&str]| {
        let targets: Vec<_> = dates.iter().map(|date| json!({"dueDate": date})).collect();
        json!({"resourceType": "Goal", "id": id, "lifecycleStatus": "active", "description": {"text": "x"},
            "subject": {"reference": "Patient/1"}, "target": targets})
    };
    world
        .put([
            goal("a", &["2020-01-01", "2020-01-09"]),
            goal("b", &["2020-01-02", "2020-01-05", "2020-01-05"]),
            goal("c", &["2020-01-03"]),
        ])
        .await;
    for filter in ["", "&patient=1"] {
        assert_eq!(world.ids(&format!("Goal?_sort=target-date{filter}")).await, ["a", "b", "c"]);
        assert_eq!(world.ids(&format!("Goal?_sort=-target-date{filter}")).await, ["a", "b", "c"]);
    }
    expect(&world, &[("Goal?target-date=2020-01-05", "b"), ("Goal?target-date=gt2020-01-08", "a")]).await;
}

/// Only the outer limits of a Timing count (R4 search.html#date).
#[tokio::test]
async fn a_timing_is_one_span() {
    let world = World::new().await;
    let request = |id: &str, timing: serde_json::Value| {
        json!({"resourceType": "ServiceRequest", "id": id, "status": "active", "intent": "order",
            "subject": {"reference": "Patient/1"}, "occurrenceTiming": timing})
    };
    world
        .put([
            request("events", json!({"event": ["2014-01-05", "2013-01-05"]})),
            request("one", json!({"event": ["2013-06-01"]})),
            request(
                "bounds",
                json!({"event": ["2013-02-01"], "repeat": {"boundsPeriod": {"start": "2012-05"}}}),
            ),
            request("none", json!({"repeat": {"frequency": 1}})),
        ])
        .await;
    expect(
        &world,
        &[
            ("ServiceRequest?occurrence=2013", "one"),
            ("ServiceRequest?occurrence=sa2013-02", "one"),
            ("ServiceRequest?occurrence=eb2014", "one"),
            ("ServiceRequest?occurrence=ge2013&occurrence=lt2015", "bounds events one"),
            ("ServiceRequest?occurrence=gt2015", "bounds"),
            ("ServiceRequest?occurrence=lt2013", "bounds"),
            ("ServiceRequest?occurrence:missing=true", "none"),
        ],
    )
    .await;
    assert_eq!(world.ids("ServiceRequest?_sort=occurrence").await, ["bounds", "events", "one", "none"]);
}

#[tokio::test]
async fn last_updated_is_the_time_of_recording() {
    let world = World::new().await;
    let position = world.put([json!({"resourceType": "Patient", "id": "a"})]).await;
    let event = world.log.fetch(&[position]).await.unwrap().remove(0);
    let time = event.recorded_at.format("%Y-%m-%dT%H:%M:%S%.6fZ");
    expect(
        &world,
        &[
            (&format!("Patient?_lastUpdated={time}"), "a"),
            (&format!("Patient?_lastUpdated=ge{time}"), "a"),
            (&format!("Patient?_lastUpdated=gt{time}"), ""),
            (&format!("Patient?_lastUpdated=lt{time}"), ""),
            (&format!("Patient?_lastUpdated=ne{time}"), ""),
            (&format!("Patient?_lastUpdated=sa{time},eq{time}"), "a"),
            (&format!("Patient?_lastUpdated=eb{time}"), ""),
            ("Patient?_lastUpdated=gt2020&_sort=birthdate", "a"),
            ("?_lastUpdated=gt2020", "a"),
            ("Patient?_lastUpdated=gt2020", "a"),
            ("Patient?_lastUpdated=lt2020", ""),
        ],
    )
    .await;
}

/// The setting that gives what Azure Health Data Services gives.
#[tokio::test]
async fn dates_are_equal_where_they_overlap_if_so_set() {
    let mut world = world().await;
    world.options = Some(|options| ParseOptions { date_equals: DateEquals::Overlaps, ..options });
    expect(
        &world,
        &[
            ("Procedure?date=2013-01-14", "day east month noon since span year"),
            ("Procedure?date=ne2013-01-14", "next until"),
            ("Procedure?date=2013-01-13", "month span until year"),
            ("Procedure?date=ge2013-01-15", "month next since span year"),
            ("Procedure?date=le2013-01-13", "month span until year"),
            ("Procedure?date=gt2013-01-15", "month since span year"),
            ("Procedure?_lastUpdated=ge2020&date=sa2013-01-14", "next"),
        ],
    )
    .await;
}
