//! Searches of somebody who may see some of the resources: of the others nothing can be found, nor inferred.

use std::collections::BTreeMap;
use std::sync::Arc;

use anamnesis_events::Position;
use anamnesis_projections::search::{
    ExplainOptions, Handling, INCLUDES_COUNT_MAX, ParseOptions, Restriction, SearchLimits, Subject, Visible,
    Wanted, explained,
};
use serde_json::{Value, json};

use crate::rows_read::rows_read;
use crate::world::{World, expect};

fn refer(reference: &str) -> Value {
    json!({"reference": reference})
}

fn coded(code: &str) -> Value {
    json!({"coding": [{"system": "http://c", "code": code}]})
}

fn observation(id: &str, patient: &str, code: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": coded(code),
        "subject": refer(&format!("Patient/{patient}")), "performer": [refer("Practitioner/d")]})
}

fn with(mut resource: Value, name: &str, value: Value) -> Value {
    resource[name] = value;
    resource
}

/// Two patients with one doctor, and what is of one of them, of both and of none.
fn intertwined() -> Vec<Value> {
    let patient = |id: &str, family: &str| {
        json!({"resourceType": "Patient", "id": id, "name": [{"family": family}], "birthDate": "1970-01-01",
            "generalPractitioner": [refer("Practitioner/d")], "managingOrganization": refer("Organization/h")})
    };
    vec![
        json!({"resourceType": "Organization", "id": "h", "name": "House"}),
        json!({"resourceType": "Practitioner", "id": "d", "name": [{"family": "Doc"}]}),
        with(patient("a", "Ash"), "link", json!([{"other": refer("Patient/b"), "type": "seealso"}])),
        with(patient("b", "Birch"), "link", json!([{"other": refer("Patient/a"), "type": "seealso"}])),
        with(observation("a1", "a", "x"), "hasMember", json!([refer("Observation/b1")])),
        observation("a2", "a", "y"),
        with(observation("b1", "b", "x"), "hasMember", json!([refer("Observation/a1")])),
        observation("b2", "b", "z"),
        // Of b, told by a: in both compartments.
        with(observation("ba", "b", "w"), "performer", json!([refer("Patient/a")])),
        json!({"resourceType": "Condition", "id": "ca", "code": coded("c1"), "subject": refer("Patient/a"),
            "evidence": [{"detail": [refer("Observation/b1")]}]}),
        json!({"resourceType": "Condition", "id": "cb", "code": coded("c2"), "subject": refer("Patient/b"),
            "evidence": [{"detail": [refer("Observation/a1")]}]}),
        json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true,
            "member": [{"entity": refer("Patient/a")}, {"entity": refer("Patient/b")}]}),
        json!({"resourceType": "List", "id": "lb", "status": "current", "mode": "working", "subject": refer("Patient/b"),
            "entry": [{"item": refer("Observation/a1")}, {"item": refer("Observation/b1")}]}),
        json!({"resourceType": "List", "id": "la", "status": "current", "mode": "working", "subject": refer("Patient/a"),
            "entry": [{"item": refer("Observation/a1")}, {"item": refer("Observation/b1")}]}),
        json!({"resourceType": "Provenance", "id": "pb", "recorded": "2024-01-01T00:00:00Z",
            "target": [refer("Observation/a1"), refer("Observation/b1")], "agent": [{"who": refer("Practitioner/d")}]}),
        json!({"resourceType": "MedicationRequest", "id": "mb", "status": "active", "intent": "order",
            "subject": refer("Patient/b"), "contained": [{"resourceType": "Medication", "id": "m", "code": coded("drug")}],
            "medicationReference": refer("#m")}),
        json!({"resourceType": "MedicationRequest", "id": "ma", "status": "active", "intent": "order",
            "subject": refer("Patient/a"), "contained": [{"resourceType": "Medication", "id": "m", "code": coded("pill")}],
            "medicationReference": refer("#m")}),
        // Names what another one contains.
        json!({"resourceType": "MedicationRequest", "id": "mc", "status": "active", "intent": "order",
            "subject": refer("Patient/a"), "medicationReference": refer("MedicationRequest/mb#m")}),
    ]
}

/// What an app that one patient has let in may see of all types.
fn of_patient(id: &str, types: &[&str]) -> Arc<Restriction> {
    let mut restriction = Restriction::default();
    for name in types {
        restriction.allow(name, Visible::within("Patient", id));
    }
    restriction.allow("Practitioner", Visible::all());
    restriction.allow("Organization", Visible::all());
    Arc::new(restriction)
}

const TYPES: [&str; 8] =
    ["Patient", "Observation", "Condition", "Group", "List", "Provenance", "MedicationRequest", "Medication"];

async fn world() -> World {
    let mut world = World::new().await;
    world.put(intertwined()).await;
    world.restriction = Some(of_patient("a", &TYPES));
    world
}

#[tokio::test]
async fn what_is_hidden_is_neither_found_nor_inferred() {
    let world = world().await;
    let table = [
        ("Patient", "a"),
        ("Patient?name=birch", ""),
        ("Patient?_id=b", ""),
        ("Patient?_id:not=a", ""),
        ("Patient?name:missing=true", ""),
        ("Patient/b/*", "a ba g"),
        ("Patient/b/Observation", "ba"),
        ("Patient/a/*", "a a1 a2 ba ca g la ma mc"),
        ("Practitioner/d/*?_type=Observation", "a1 a2"),
        ("Observation", "a1 a2 ba"),
        ("Observation?code=z", ""),
        ("Observation?code:not=x", "a2 ba"),
        ("?_lastUpdated=gt2000", "a a1 a2 ba ca d g h la ma mc"),
        ("?_type=Patient,Practitioner", "a d"),
        // Chains lead through what can be seen alone.
        ("Observation?subject:Patient.name=birch", ""),
        ("Observation?subject:Patient.name=ash", "a1 a2"),
        ("Observation?performer:Practitioner.name=doc", "a1 a2"),
        ("Observation?has-member:Observation.code=x", ""),
        ("Observation?subject:Patient.birthdate=1970", "a1 a2"),
        ("Patient?link:Patient.name=birch", ""),
        ("Group?member:Patient.name=birch", ""),
        ("Group?member:Patient.name=ash", "g"),
        ("Condition?evidence-detail:Observation.code=x", ""),
        // Of a practitioner nothing tells whom else he treats.
        ("Practitioner?_has:Observation:performer:code=z", ""),
        ("Practitioner?_has:Observation:performer:code=y", "d"),
        ("Practitioner?_has:Patient:general-practitioner:name=birch", ""),
        ("Practitioner?_has:Patient:general-practitioner:_has:Observation:subject:code=z", ""),
        ("Organization?_has:Patient:organization:name=birch", ""),
        ("Patient?_has:Observation:subject:code=x", "a"),
        ("Patient?_has:Observation:patient:code=z", ""),
        ("Observation?_has:Condition:evidence-detail:code=c2", ""),
        ("Observation?_has:Observation:has-member:code=x", ""),
        ("Observation?_filter=subject.name eq birch", ""),
        ("Observation?_filter=subject.name eq \"birch\" or code eq y", "a2"),
        ("Observation?_filter=not (subject:Patient.name eq ash)", "ba"),
        ("Practitioner?_filter=_has:Observation:performer:code eq z", ""),
        // Lists that cannot be seen hold nothing.
        ("Observation?_list=lb", ""),
        ("Observation?_list=la", "a1"),
        // What is referred to by what cannot be seen is not referred to.
        ("Observation?_not-referenced=Condition:*", "a1 a2 ba"),
        ("Observation?_not-referenced=*:*", "a2 ba"),
        ("Patient?_not-referenced=Patient:link", "a"),
        // What others contain is in the compartments of those.
        ("Medication?_contained=true", "ma"),
        ("Medication?_contained=both&code=drug", ""),
        ("MedicationRequest?medication.code=pill", "ma"),
        ("MedicationRequest?medication.code=drug", ""),
        ("MedicationRequest?medication:Medication.code=drug", ""),
        // Types that were not allowed.
        ("Encounter", ""),
        ("Location", ""),
    ];
    expect(&world, &table).await;
}

#[tokio::test]
async fn joins_that_are_tested_row_by_row_lead_through_what_can_be_seen() {
    let mut world = world().await;
    world.index =
        world.index.with_limits(SearchLimits { joined_max: 0, gathered_max: 0, ..Default::default() });
    let table = [
        ("Observation?subject:Patient.name=birch", ""),
        ("Observation?subject:Patient.name=ash", "a1 a2"),
        ("Practitioner?_has:Observation:performer:code=z", ""),
        ("Practitioner?_has:Observation:performer:code=y", "d"),
        ("Observation?_list=lb", ""),
        ("Observation?_not-referenced=*:*", "a2 ba"),
        ("MedicationRequest?medication.code=drug", ""),
    ];
    expect(&world, &table).await;
}

#[tokio::test]
async fn counts_are_of_what_can_be_seen() {
    let world = world().await;
    for (query, total) in [
        ("Observation?_total=accurate", 3),
        ("Observation?_total=estimate", 3),
        ("Observation?_summary=count", 3),
        ("Observation?code=z&_summary=count", 0),
        ("Practitioner?_has:Observation:performer:code=z&_summary=count", 0),
        ("Medication?_contained=true&_total=accurate", 1),
        ("?_type=Patient,Observation&_total=estimate", 4),
    ] {
        assert_eq!(world.search(query).await.total, Some(total), "{query}");
    }
    // Also where there are more than an estimate counts.
    let few = SearchLimits { counted_max: 1, ..SearchLimits::default() };
    let index = world.index.clone().with_limits(few);
    let (query, _) = world.query("Observation?_total=estimate").unwrap();
    assert_eq!(index.search(&query).await.unwrap().total, Some(3));
}

#[tokio::test]
async fn pages_belong_to_who_began_them() {
    let mut world = world().await;
    let next = world.search("Observation?_count=1&_sort=_id").await.next.unwrap();
    let further = format!("Observation?_count=1&_sort=_id&ct={next}");
    assert_eq!(world.ids(&further).await, ["a2"]);
    for other in [None, Some(of_patient("b", &TYPES)), Some(of_patient("a", &TYPES[..2]))] {
        world.restriction = other;
        assert!(world.query(&further).is_err());
    }
}

/// The ids of what the includes of a query draw in.
async fn drawn(world: &World, url: &str) -> String {
    world.settle().await;
    let (query, issues) = world.query(url).unwrap();
    assert_eq!(issues, [], "{url}");
    let page = world.index.search(&query).await.unwrap();
    let mut seen =
        page.matches.iter().map(|one| anamnesis_events::ResourceKey::new(one.resource_type, one.id.as_str()));
    let mut seen = seen.by_ref().collect();
    let mut all = Vec::new();
    let mut is_match = true;
    let mut newest: Vec<Position> = page.matches.iter().map(|one| one.position).collect();
    for _ in 0..4 {
        let mut wanted = Wanted::default();
        for event in world.log.fetch(&newest).await.unwrap() {
            let followed = anamnesis_projections::search::Followed {
                resource_type: &event.key.resource_type,
                key: &event.key,
                body: &event.payload,
            };
            world.index.want(&mut wanted, &query, is_match, &followed);
        }
        let drawn =
            world.index.draw(&query, &wanted, page.as_of, &mut seen, INCLUDES_COUNT_MAX).await.unwrap();
        newest = drawn.matches.iter().map(|one| one.position).collect();
        all.extend(drawn.matches.into_iter().map(|one| one.id));
        is_match = false;
    }
    all.sort();
    all.join(" ")
}

#[tokio::test]
async fn includes_draw_in_what_can_be_seen() {
    let world = world().await;
    for (query, expected) in [
        ("Observation?_include=*", "a d"),
        ("Observation?_include=Observation:has-member", ""),
        ("Observation?_revinclude=*:*", "la"),
        ("Practitioner?_revinclude=*:*", "a a1 a2"),
        (
            "Practitioner?_revinclude=Observation:performer&_revinclude:iterate=Condition:evidence-detail",
            "a1 a2",
        ),
        ("Patient?_include=Patient:link", ""),
        ("Group?_include=Group:member", "a"),
        ("Group?_include=*&_include:iterate=*", "a d h"),
        ("Patient?_include=Patient:general-practitioner&_revinclude:iterate=*:*", "a1 a2 ba ca d g la ma mc"),
        ("List?_include=List:item", "a1"),
        ("Provenance", ""),
    ] {
        assert_eq!(drawn(&world, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn versions_are_seen_each_by_itself() {
    let mut world = world().await;
    world.settle().await;
    let first = world.search("Observation?_sort=_id&_count=1").await;
    // What was a's is b's now, and the other way round.
    world.put([observation("a2", "b", "y"), observation("b2", "a", "z")]).await;
    assert_eq!(world.found("Observation").await, "a1 b2 ba");
    // As of then it is as it was, for who could see it then.
    let rest = format!("Observation?_sort=_id&_count=9&ct={}", first.next.unwrap());
    let then = world.query(&rest).unwrap().0;
    let ids: Vec<String> =
        world.index.search(&then).await.unwrap().matches.into_iter().map(|one| one.id).collect();
    assert_eq!(ids, ["a2", "ba"]);
    world.restriction = Some(of_patient("b", &TYPES));
    assert_eq!(world.found("Observation").await, "a2 b1 ba");
}

#[tokio::test]
async fn criteria_narrow_what_can_be_seen() {
    let mut world = world().await;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut restriction = Restriction::default();
    let own = Visible::within("Patient", "a");
    restriction.allow("Observation", Visible { criteria: vec![pair("code", "x")], ..own.clone() });
    restriction.allow("Observation", Visible { criteria: vec![pair("code", "http://c|w")], ..own.clone() });
    restriction.allow("Condition", Visible { criteria: vec![pair("code", "c1,c2")], within: None });
    // What no parameter is known for lets nothing be seen.
    restriction.allow("Group", Visible { criteria: vec![pair("nonsense", "1")], ..own.clone() });
    restriction.allow("Patient", own);
    world.restriction = Some(Arc::new(restriction));
    let table = [
        ("Observation", "a1 ba"),
        ("Observation?code:not=x", "ba"),
        ("Condition", "ca cb"),
        ("Condition?evidence-detail:Observation.code=x", "cb"),
        ("Patient?_has:Observation:subject:code=y", ""),
        ("Patient?_has:Observation:subject:code=x", "a"),
        ("Group", ""),
        ("?_lastUpdated=gt2000", "a a1 ba ca cb"),
    ];
    expect(&world, &table).await;
}

/// One body tells by itself what the index tells of its row.
#[tokio::test]
async fn sight_of_a_body_is_that_of_its_row() {
    let mut world = world().await;
    world.settle().await;
    let events = world.log.read(Position::ZERO, 1000).await.unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut by_criteria = Restriction::default();
    let code = Visible { criteria: vec![pair("code", "x,c2"), pair("patient", "b")], within: None };
    by_criteria.allow("Observation", code.clone());
    by_criteria.allow("Condition", code);
    for restriction in [of_patient("a", &TYPES), of_patient("b", &TYPES[1..3]), Arc::new(by_criteria)] {
        world.restriction = Some(restriction.clone());
        let sight = world.index.sight(restriction.clone(), ParseOptions::at(chrono::Utc::now()));
        let mut admitted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for event in &events {
            let (resource_type, id) = (&*event.key.resource_type, event.key.id.as_str());
            let subject =
                Subject { resource_type, id, payload: &event.payload, recorded_at: event.recorded_at };
            let of_type = admitted.entry(resource_type).or_default();
            if sight.admits(&subject) {
                of_type.push(id);
            }
        }
        for (name, mut ids) in admitted {
            ids.sort_unstable();
            assert_eq!(world.found(name).await, ids.join(" "), "{name} {restriction:?}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_taken_apart_cannot_be_seen() {
    let world = World::new().await;
    let sight = world.index.sight(of_patient("a", &TYPES), ParseOptions::at(chrono::Utc::now()));
    for payload in ["", "nonsense", "{}", r#"{"resourceType":"Patient","subject":{"reference":"Patient/a"}}"#]
    {
        let recorded_at = chrono::Utc::now();
        let subject =
            |id| Subject { resource_type: "Observation", id, payload: payload.as_bytes(), recorded_at };
        assert!(!sight.admits(&subject("a")), "{payload}");
    }
    assert!(world.query_as("Observation", Handling::Strict).is_ok());
}

#[tokio::test]
async fn a_restricted_search_reads_what_is_its_own() {
    const PATIENTS: usize = 200;
    let mut world = World::new().await;
    let patients = (0..PATIENTS).map(|number| {
        json!({"resourceType": "Patient", "id": format!("p{number}"), "generalPractitioner": [refer("Practitioner/d")]})
    });
    let observations = (0..PATIENTS * 10).map(|number| {
        observation(&format!("o{number}"), &format!("p{}", number % PATIENTS), &format!("c{}", number % 7))
    });
    let all: Vec<Value> = patients.chain(observations).collect();
    world.put([json!({"resourceType": "Practitioner", "id": "d", "name": [{"family": "Doc"}]})]).await;
    for chunk in all.chunks(500) {
        world.bundle(chunk.iter().cloned()).await;
    }
    world.settle().await;
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let many = "ANALYZE; UPDATE pg_class SET reltuples = 1000000 WHERE relname LIKE 'search_v1_resource%'";
    client.batch_execute(many).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
    world.restriction = Some(of_patient("p3", &TYPES));
    let limits = SearchLimits { gathered_max: 200, tried_max: 100, ..SearchLimits::default() };
    world.index = world.index.clone().with_limits(limits);
    for (url, found, read_max) in [
        ("Observation?_count=50", 10, 12),
        ("Observation?_count=50&_sort=-date", 10, 12),
        ("Observation?code=c1&_count=50", 1, 12),
        ("Observation?code:not=c1&_count=50", 9, 12),
        ("Observation?_total=accurate&_count=50", 10, 24),
        ("Observation?_total=estimate&_count=50", 10, 24),
        ("Patient?_count=50", 1, 4),
        ("Observation?performer:Practitioner.name=doc&_count=50", 10, 30),
        ("Practitioner?_has:Observation:performer:code=c1&_count=50", 1, 30),
        ("Patient?_has:Observation:patient:code=c1&_count=50", 1, 30),
        ("Observation?_list=l1&_count=50", 0, 30),
        ("Observation?_not-referenced=*:*&_count=50", 10, 60),
        ("?_lastUpdated=gt2000&_count=50", 12, 60),
        ("?_type=Observation,Practitioner&_count=50", 11, 60),
    ] {
        let (query, issues) = world.query(url).unwrap();
        assert_eq!(issues, [], "{url}");
        let options = ExplainOptions { analyze: true, values: false };
        let (page, explained) = explained(options, world.index.search(&query)).await;
        let read = rows_read(&explained);
        assert_eq!(page.unwrap().matches.len(), found, "{url}");
        assert!(read <= read_max, "{url}: {read} rows read");
    }
}
