//! Shapes of queries that once read far more rows than their results need: how many rows each reads.

use anamnesis_projections::search::{ExplainOptions, SearchLimits, explained};
use serde_json::{Value, json};

use crate::rows_read::rows_read;
use crate::world::World;

const PATIENTS: usize = 300;
/// Conditions of each patient: together more than are gathered of a reverse join at first.
const CONDITIONS: usize = 4;
const OBSERVATIONS: usize = 1500;
/// Resources of one transaction bundle.
const CHUNK: usize = 500;
const LOINC: &str = "http://loinc.org";

fn coded(code: usize) -> Value {
    json!({"coding": [{"system": LOINC, "code": format!("c{code}")}]})
}

fn quantity(value: usize, unit: &str) -> Value {
    json!({"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit})
}

fn subject(number: usize) -> Value {
    json!({"reference": format!("Patient/p{}", number % PATIENTS)})
}

/// One of thirty Observations has the code `c0`; half of all are of March 2024; three have a component of 200.
fn observation(number: usize) -> Value {
    let (year, month) =
        if number.is_multiple_of(2) { (2024, 3) } else { (2000 + number % 20, 1 + number % 12) };
    let pressure = if number.is_multiple_of(500) { 200 } else { 100 + number % 40 };
    json!({"resourceType": "Observation", "id": format!("o{number}"), "status": "final", "code": coded(number % 30),
        "subject": subject(number), "effectiveDateTime": format!("{year}-{month:02}-07"),
        "valueQuantity": quantity(number % 10, "mg"),
        "component": [{"code": coded(99), "valueQuantity": quantity(pressure, "mm[Hg]")}]})
}

async fn fill(world: &World) {
    let patients = (0..PATIENTS).map(|number| json!({"resourceType": "Patient", "id": format!("p{number}")}));
    let conditions = (0..PATIENTS * CONDITIONS).map(|number| {
        json!({"resourceType": "Condition", "id": format!("c{number}"), "code": coded(1), "subject": subject(number)})
    });
    let all: Vec<Value> = patients.chain(conditions).chain((0..OBSERVATIONS).map(observation)).collect();
    for chunk in all.chunks(CHUNK) {
        world.bundle(chunk.iter().cloned()).await;
    }
    world.settle().await;
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    // Postgres plans as for a million of them.
    let many = "ANALYZE; UPDATE pg_class SET reltuples = 1000000 WHERE relname LIKE 'search_v1_resource%'";
    client.batch_execute(many).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
}

/// How many a search finds, and how many rows it reads.
async fn asked(world: &World, url: &str) -> (usize, u64) {
    let (query, issues) = world.query(url).unwrap();
    assert_eq!(issues, [], "{url}");
    let options = ExplainOptions { analyze: true, values: false };
    let (page, explained) = explained(options, world.index.search(&query)).await;
    (page.unwrap().matches.len(), rows_read(&explained))
}

#[tokio::test]
async fn few_among_many_are_found_without_reading_the_many() {
    let mut world = World::new().await;
    fill(&world).await;
    // As many times too few as the store is too small.
    let limits = SearchLimits { gathered_max: 200, tried_max: 100, ..SearchLimits::default() };
    world.index = world.index.clone().with_limits(limits);
    for (url, found, read_max) in [
        // More are of the month than are gathered; of the code there are few.
        ("Observation?code=c0&date=2024-03&_count=50", 50, 120),
        ("Observation?code=c0&date=2024-03&_sort=-date&_count=50", 50, 120),
        // Of the code there are some, and of the month, but none of both; and none with the value.
        ("Observation?code=c1&date=2024-03&_count=50", 0, 10),
        ("Observation?code=c0&value-quantity=gt5&_count=50", 0, 10),
        // Joined resources are of one moment, which nearly all resources were written before.
        ("Observation?patient._id=p1&_count=50", 5, 30),
        // Of a code and its value, what has the code and roughly the value.
        ("Observation?component-code-value-quantity=c99$gt150&_count=50", 3, 10),
        ("Observation?component-code-value-quantity=http://loinc.org|c99$gt150&_count=50", 3, 10),
        ("Observation?component-code-value-quantity=c99$gt150||mm[Hg]&_count=50", 3, 10),
        (
            "Observation?component-code-value-quantity=c99$gt150|http://unitsofmeasure.org|mm[Hg]&_count=50",
            3,
            10,
        ),
        ("Observation?combo-code-value-quantity=c99$lt20&_count=50", 0, 10),
        // The string is not the text of a concept: whether there is a concept is asked of the fifty that have the code.
        ("Observation?code-value-string=c0$anna&_count=50", 0, 60),
        // What nobody has is looked for once and not for each patient.
        ("Patient?_has:Observation:patient:code-value-quantity=c0$gt9&_count=20", 0, 100),
        ("Patient?_has:Observation:patient:component-code-value-quantity=c99$gt150&_count=20", 3, 30),
    ] {
        let (count, read) = asked(&world, url).await;
        assert_eq!(count, found, "{url}");
        assert!(read <= read_max, "{url}: {read} rows read");
    }
}

#[tokio::test]
async fn a_page_of_what_many_have_is_full_soon() {
    let world = World::new().await;
    fill(&world).await;
    let url = "Patient?_has:Condition:patient:code=c1&_count=20";
    let (count, first) = asked(&world, url).await;
    assert_eq!(count, 20);
    assert!(first <= 1200, "{first} rows read");
    // It is known then that there are many.
    let (_, again) = asked(&world, url).await;
    assert!(again <= 200, "{again} rows read");
    // All the same every patient is on one page, and counted.
    let mut pages = (0, url.to_owned());
    let mut ids = Vec::new();
    loop {
        let page = world.search(&pages.1).await;
        ids.extend(page.matches.into_iter().map(|found| found.id));
        pages.0 += 1;
        let Some(next) = page.next else { break };
        pages.1 = format!("{url}&ct={next}");
    }
    assert_eq!((pages.0, ids.len()), (PATIENTS.div_ceil(20), PATIENTS));
    let total = world.search(&format!("{url}&_total=accurate")).await.total;
    assert_eq!(total, Some(PATIENTS as u64));
}
