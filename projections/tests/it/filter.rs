//! `_filter`

use anamnesis_projections::search::Severity;
use serde_json::json;

use crate::world::{World, expect};

async fn filled() -> World {
    let world = World::new().await;
    let patient = |id: &str, family: &str, given: &str, born: &str| {
        json!({"resourceType": "Patient", "id": id, "gender": "female", "birthDate": born,
            "name": [{"family": family, "given": [given]}], "managingOrganization": {"reference": "Organization/o"}})
    };
    let observation = |id: &str, patient: &str, code: &str, value: f64| {
        json!({"resourceType": "Observation", "id": id, "status": "final", "effectiveDateTime": "2020-02",
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "subject": {"reference": format!("Patient/{patient}")},
            "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "kg"}})
    };
    world
        .put([
            json!({"resourceType": "Organization", "id": "o", "name": "Ward, north|1"}),
            patient("a", "O'Neil", "Peter", "1970-01-01"),
            patient("b", "Oneill", "Petra", "1980-01-01"),
            json!({"resourceType": "Patient", "id": "c", "birthDate": "1990", "name": [{"given": ["Peter", "Pan"]}]}),
            observation("1", "a", "x", 50.0),
            observation("2", "b", "x", 70.0),
            observation("3", "b", "y", 90.0),
        ])
        .await;
    world
}

#[tokio::test]
async fn filters_find_what_their_operators_say() {
    let world = filled().await;
    expect(
        &world,
        &[
            ("Patient?_sort=_id&_filter=given eq peter", "a c"),
            ("Patient?_sort=_id&_filter=given eq \"PÉTER\"", "a c"),
            ("Patient?_sort=_id&_filter=given eq pet", ""),
            ("Patient?_sort=_id&_filter=given sw pet", "a b c"),
            ("Patient?_sort=_id&_filter=name co etr", "b"),
            ("Patient?_sort=_id&_filter=family eq oneil", "a"),
            ("Patient?_sort=_id&_filter=birthdate ge 1980", "b c"),
            ("Patient?_sort=_id&_filter=birthdate po 1990-06", "c"),
            ("Patient?_sort=_id&_filter=birthdate eq 1990-06", ""),
            ("Patient?_sort=_id&_filter=gender pr true", "a b"),
            ("Patient?_sort=_id&_filter=gender pr false", "c"),
            ("Patient?_sort=_id&_filter=organization re Organization/o", "a b"),
            ("Patient?_sort=_id&_filter=organization.name eq \"ward, north|1\"", "a b"),
            ("Patient?_sort=_id&_filter=organization.name eq ward", ""),
            ("Patient?_sort=_id&_filter=_has:Observation:patient:code eq loinc|y", "b"),
            ("Patient?_sort=_id&_filter=given eq a,b", ""),
            ("Observation?_sort=_id&_filter=code eq http://loinc.org|x and value-quantity gt 60", "2"),
            ("Observation?_sort=_id&_filter=value-quantity ne 70", "1 3"),
            ("Observation?_sort=_id&_filter=subject:Patient.family eq oneil", "1"),
            ("?_sort=_id&_filter=_id eq a or _id eq 1", "1 a"),
        ],
    )
    .await;
}

#[tokio::test]
async fn filters_are_joined_by_and_or_and_not() {
    let world = filled().await;
    expect(
        &world,
        &[
            ("Patient?_sort=_id&_filter=given eq peter and gender eq female", "a"),
            ("Patient?_sort=_id&_filter=given eq petra or birthdate gt 1985", "b c"),
            ("Patient?_sort=_id&_filter=not (gender eq female)", "c"),
            ("Patient?_sort=_id&_filter=not (not (gender eq female))", "a b"),
            ("Patient?_sort=_id&_filter=not (given eq peter and gender eq female)", "b c"),
            ("Patient?_sort=_id&_filter=not (given eq petra or gender pr false)", "a"),
            ("Patient?_sort=_id&_filter=_id eq a or _id eq b and given eq petra", "b"),
            ("Patient?_sort=_id&_filter=_id eq a or (_id eq b and given eq petra)", "a b"),
            ("Patient?_sort=_id&_filter=_id eq c or not (_has:Observation:patient:code eq y)", "a c"),
            ("Patient?_sort=_id&_filter=organization.name sw ward and not (birthdate lt 1975)", "b"),
            ("Patient?_sort=_id&_filter=gender eq female&birthdate=1970-01-01", "a"),
            ("Patient?_sort=-birthdate&_filter=given sw pet or given eq nobody", "a b c"),
        ],
    )
    .await;
    let page =
        world.search("Patient?_filter=given eq peter or given eq petra&_count=1&_total=accurate").await;
    assert_eq!((page.matches.len(), page.total), (1, Some(3)));
}

#[tokio::test]
async fn what_a_filter_cannot_answer_is_an_error_that_names_the_operator() {
    let world = World::new().await;
    for (query, named) in [
        ("Patient?_filter=name ew x", "ew"),
        ("Patient?_filter=gender ne male", "ne"),
        ("Patient?_filter=name gt x", "gt"),
        ("Patient?_filter=gender pr maybe", "pr"),
        // A comma makes no list, and no id has one.
        ("Patient?_filter=_id eq secretvalue,b", "eq"),
        ("Patient?_filter=nonsense eq secretvalue", "eq"),
        ("Patient?_filter=gender:not eq secretvalue", "eq"),
        ("Patient?_filter=gender eq x and name secretvalue x", "(no operator)"),
        ("Patient?_filter=birthdate eq secretvalue", "eq"),
        ("Patient?_filter=a.b.c.d.e.f.g eq secretvalue", "eq"),
        ("Patient?_filter=(gender eq secretvalue", "wanted"),
        ("?_filter=name eq secretvalue", "eq"),
    ] {
        let issues = world.query(query).unwrap_err();
        let [issue] = issues.as_slice() else { panic!("{query}: {issues:?}") };
        assert_eq!(issue.severity, Severity::Error, "{query}");
        assert!(issue.text.contains(named), "{query}: {}", issue.text);
        assert!(!issue.text.contains("secretvalue"), "{}", issue.text);
    }
    let long = format!("Patient?_filter={} eq x", "a".repeat(10_000));
    assert!(world.query(&long).unwrap_err()[0].text.len() < 300, "what is shown again is short");
}
