//! Chains and `_has`, planned from the inside and from the outside.

use anamnesis_projections::search::{SearchIndex, SearchLimits};
use serde_json::{Value, json};

use crate::world::World;

fn reference(to: &str) -> Value {
    json!({ "reference": to })
}

async fn fill(world: &World) {
    for (id, name, part_of) in
        [("ward", "Ward", "hospital"), ("hospital", "Hospital", "trust"), ("trust", "Trust", "")]
    {
        let mut organization = json!({"resourceType": "Organization", "id": id, "name": name});
        if !part_of.is_empty() {
            organization["partOf"] = reference(&format!("Organization/{part_of}"));
        }
        world.put([organization]).await;
    }
    for (id, family, gender, organization) in
        [("a", "Adams", "male", "ward"), ("b", "Brown", "female", "ward"), ("c", "Clark", "male", "trust")]
    {
        world.put([patient(id, family, gender, organization)]).await;
    }
    world.put([json!({"resourceType": "Group", "id": "a", "type": "person", "actual": true, "code": {"text": "x"}})]).await;
    // The Group has the id of a Patient.
    for (id, subject, code) in [
        ("1", "Patient/a", "x"),
        ("2", "Patient/a", "y"),
        ("3", "Patient/b", "x"),
        ("4", "Patient/c", "y"),
        ("5", "Group/a", "x"),
        ("7", "Device/d", "z"),
        ("6", "Patient/nobody", "x"),
    ] {
        world.put([observation(id, subject, code)]).await;
    }
    world
        .put([
            json!({"resourceType": "Questionnaire", "id": "q", "url": "http://q.org/q", "version": "1",
                "status": "active", "title": "Pain"}),
            json!({"resourceType": "QuestionnaireResponse", "id": "r", "status": "completed",
                "questionnaire": "http://q.org/q|1", "subject": {"reference": "Patient/a"}}),
            json!({"resourceType": "QuestionnaireResponse", "id": "s", "status": "in-progress",
                "questionnaire": "http://q.org/q|2", "subject": {"reference": "Patient/b"}}),
            json!({"resourceType": "QuestionnaireResponse", "id": "u", "status": "in-progress",
                "questionnaire": "http://q.org/q"}),
            json!({"resourceType": "Provenance", "id": "p", "recorded": "2024-01-01T00:00:00Z",
                "target": [{"reference": "Observation/1"}, {"reference": "Patient/b"}],
                "agent": [{"who": {"reference": "Organization/ward"}}]}),
        ])
        .await;
}

fn patient(id: &str, family: &str, gender: &str, organization: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": family}], "gender": gender,
        "managingOrganization": reference(&format!("Organization/{organization}"))})
}

fn observation(id: &str, subject: &str, code: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"coding": [{"code": code}]},
        "subject": reference(subject)})
}

/// The same index under limits that make it plan from the outside.
fn from_outside(world: &World) -> SearchIndex {
    let limits = SearchLimits { joined_max: 0, ..SearchLimits::default() };
    world.index.clone().with_limits(limits)
}

const QUERIES: [(&str, &str); 33] = [
    ("Patient?_has:Observation:subject:code=x", "a b"),
    ("Observation?subject:Patient.name=adams", "1 2"),
    ("Observation?subject.name=adams", "1 2"),
    ("Observation?patient.name=adams,brown", "1 2 3"),
    ("Observation?patient.name:exact=Adams&code=x", "1"),
    ("Observation?patient.name:contains=row", "3"),
    ("Observation?patient.gender=male&patient.family=clark", "4"),
    ("Observation?patient.gender:not=male", "3"),
    ("Observation?patient.birthdate:missing=true&code=y", "2 4"),
    ("Observation?patient._id=a", "1 2"),
    ("Observation?subject._id=a", "1 2 5"),
    ("Observation?subject:Group._id=a", "5"),
    ("Observation?patient.organization.name=ward", "1 2 3"),
    ("Observation?patient.organization.partof.name=hospital", "1 2 3"),
    ("Observation?patient.organization.partof.partof.name=trust", "1 2 3"),
    ("Observation?patient.organization.partof=hospital", "1 2 3"),
    ("Observation?patient.name=nobody", ""),
    ("Observation?patient._lastUpdated=gt2000&code=y", "2 4"),
    ("Patient?_has:Observation:patient:code=x", "a b"),
    ("Patient?_has:Observation:patient:code=x&_has:Observation:patient:code=y", "a"),
    ("Patient?_has:Observation:patient:code:not=x", "a c"),
    ("Patient?_has:Observation:subject:_id=4,6", "c"),
    ("Patient?_has:Observation:patient:_has:Provenance:target:agent=Organization/ward", "a"),
    ("Organization?_has:Patient:organization:_has:Observation:patient:code=y", "trust ward"),
    ("Organization?_has:Patient:organization:gender=female", "ward"),
    ("Observation?patient._has:QuestionnaireResponse:patient:status=completed", "1 2"),
    // A version in an address leads to that version, an address without one to each.
    ("QuestionnaireResponse?questionnaire.title=pain", "r u"),
    ("QuestionnaireResponse?questionnaire=http://q.org/q", "r s u"),
    ("QuestionnaireResponse?questionnaire=http://q.org/q|2", "s"),
    ("Questionnaire?_has:QuestionnaireResponse:questionnaire:patient.name=adams", "q"),
    ("Questionnaire?_has:QuestionnaireResponse:questionnaire:patient.name=brown", ""),
    ("Provenance?target.patient.name=adams", "p"),
    ("?_type=Patient,Group&_has:Observation:subject:code=x", "a a b"),
];

#[tokio::test]
async fn chains_find_the_same_from_the_inside_and_from_the_outside() {
    let mut world = World::new().await;
    fill(&world).await;
    let outside = from_outside(&world);
    for turn in 0..2 {
        for (query, expected) in QUERIES {
            assert_eq!(world.found(query).await, expected, "{query} ({turn})");
            for sort in ["_id", "-_lastUpdated", "_lastUpdated"] {
                assert_eq!(
                    world.found(&format!("{query}&_sort={sort}")).await,
                    expected,
                    "{query} {sort} ({turn})"
                );
            }
        }
        world.index = outside.clone();
    }
}

#[tokio::test]
async fn pages_of_a_chain_are_of_one_moment_whatever_is_written() {
    for joined_max in [10_000, 0] {
        let mut world = World::new().await;
        let limits = SearchLimits { joined_max, ..SearchLimits::default() };
        world.index = world.index.clone().with_limits(limits);
        fill(&world).await;
        for number in 10..30 {
            world
                .put([observation(
                    &number.to_string(),
                    if number % 2 == 0 { "Patient/a" } else { "Patient/b" },
                    "x",
                )])
                .await;
        }
        for (all, count) in [
            ("Observation?patient.name=adams,brown&_sort=_id", 3),
            ("Observation?patient.organization.name=ward", 3),
            ("Patient?_has:Observation:patient:code=x&_sort=_id", 1),
        ] {
            let expected = world.ids(&format!("{all}&_count=1000")).await;
            let query = format!("{all}&_count={count}");
            let mut page = world.search(&query).await;
            let mut found: Vec<String> = Vec::new();
            for step in 0.. {
                found.extend(page.matches.iter().map(|found| found.id.clone()));
                let Some(next) = page.next else { break };
                // What is joined changes, goes away and comes; and so does what is found.
                world
                    .put([patient("a", "Other", "male", "trust"), patient("c", "Adams", "male", "ward")])
                    .await;
                world
                    .put([
                        observation(&format!("new{step}"), "Patient/b", "x"),
                        observation("3", "Patient/c", "z"),
                    ])
                    .await;
                world.delete("Observation", "10").await;
                world.delete("Patient", "b").await;
                world.delete("Organization", "ward").await;
                page = world.search(&format!("{query}&ct={next}")).await;
                assert_eq!(page.issues, [], "{query}");
            }
            assert_eq!(found, expected, "{query} {joined_max}");
            fill(&world).await;
            world.put([observation("10", "Patient/a", "x")]).await;
            for step in 0..10 {
                world.delete("Observation", &format!("new{step}")).await;
            }
        }
    }
}

#[tokio::test]
async fn chains_that_lead_nowhere_are_told_apart() {
    let world = World::new().await;
    for (query, is_error) in [
        ("Observation?patient.nothing=1", false),
        ("Observation?nothing.name=1", false),
        ("Observation?code.name=1", false),
        ("Observation?patient.=1", false),
        ("Patient?_has:Nothing:patient:code=1", false),
        ("Patient?_has:Observation:code:code=1", false),
        ("Patient?_has:Observation:encounter:code=1", false),
        ("Patient?_has:Observation:patient=1", false),
        ("?patient.name=a", false),
        ("Composition?subject.subject.subject.subject._id=a", true),
        ("Observation?patient.birthdate=yesterday", true),
        ("Observation?patient.name:nonsense=a", true),
        ("Observation?subject:Medication.code=a", true),
        ("Observation?patient.organization.partof.partof.partof.name=a", true),
        (
            "Patient?_has:Observation:patient:patient._has:Observation:patient:patient.organization.name=a",
            true,
        ),
    ] {
        match world.query(query) {
            Ok((read, issues)) => {
                assert!(!is_error && issues.len() == 1 && read.applied().is_empty(), "{query}: {issues:?}");
            }
            Err(issues) => assert!(is_error, "{query}: {issues:?}"),
        }
    }
}
