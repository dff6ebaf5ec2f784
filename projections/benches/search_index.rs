//! Measures the search index over real Postgres: writing it, its size on disk, and searching it.
//!
//! `cargo bench -p anamnesis-projections --bench search_index -- [RESOURCES] [words]` (100,000 if not given; `words`: an index
//! with the words of texts). Prints medians.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement fails by panicking")]

use std::io::{Seek, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anamnesis_engines::testing::postgres;
use anamnesis_events::{Draft, Erases, Group, Log, LogOptions, Operation, ResourceKey, Version};
use anamnesis_projections::search::{
    CustomParameters, Handling, ParseOptions, Scope, SearchIndex, SearchProjection,
};
use anamnesis_projections::{Database, DatabaseOptions, Runner, RunnerOptions};
use chrono::{TimeZone, Utc};
use serde_json::json;
use tokio::task::JoinSet;

const PATIENTS: usize = 1000;
const CODES: usize = 60;
const ROUNDS: usize = 5;
const CLIENTS: usize = 8;
const SEARCH_FOR: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() {
    let count = std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(100_000);
    let has_words = std::env::args().any(|text| text == "words");
    let parameters = CustomParameters::none().with_full_text(has_words).unwrap();
    println!("fsync: {:.0} a second", fsync_rate());
    let url = postgres().await.fresh_database().await;
    let log = Log::open(&url, "default", LogOptions::default()).await.unwrap();
    fill(&log, count).await;
    let database = Database::new(&url, &DatabaseOptions::default()).unwrap();
    let mut rates = Vec::new();
    let mut runner = None;
    for _ in 0..ROUNDS {
        forget(&url).await;
        let started = Instant::now();
        let written = start(&database, &log, &parameters).await;
        written.progress().wait_for(log.head().await.unwrap(), PATIENCE).await.unwrap();
        rates.push(count as f64 / started.elapsed().as_secs_f64());
        written.stop().await;
        runner = Some(written);
    }
    println!("index writing, from the log: {:.0} resources a second", median(&mut rates));
    sizes(&url, count).await;
    let progress = runner.unwrap().progress();
    let index = SearchIndex::new(database, log.number(), progress);
    let of_words = WORDS.into_iter().filter(|_| has_words);
    for (name, query) in QUERIES.into_iter().chain(of_words) {
        let mut rates = Vec::new();
        let mut tails = Vec::new();
        for _ in 0..ROUNDS {
            let mut times = search(&index, query).await;
            times.sort_unstable();
            rates.push(times.len() as f64 / SEARCH_FOR.as_secs_f64());
            tails.push(times[times.len() * 99 / 100].as_secs_f64() * 1000.0);
        }
        println!(
            "search, {CLIENTS} clients, {name}: {:.0} a second, p99 {:.1} ms",
            median(&mut rates),
            median(&mut tails)
        );
    }
    log.close().await;
}

type Query = fn(usize) -> Vec<(&'static str, String)>;

const QUERIES: [(&str, Query); 12] = [
    ("patient, code, sorted by date", |n| vec![patient(n), code(n / 7), BY_DATE(), FIFTY()]),
    ("patient, sorted by date", |n| vec![patient(n), BY_DATE(), FIFTY()]),
    ("code, sorted by date", |n| vec![code(n), BY_DATE(), FIFTY()]),
    ("code, newest first", |n| vec![code(n), FIFTY()]),
    ("code, half of the dates, sorted by date", |n| {
        vec![code(n), ("date", "ge2022-01-15".to_owned()), BY_DATE(), FIFTY()]
    }),
    ("status, sorted by date (walks)", |_| vec![("status", "final".to_owned()), BY_DATE(), FIFTY()]),
    ("not a code, sorted by date (walks)", |n| vec![("code:not", code(n).1), BY_DATE(), FIFTY()]),
    ("a day", |n| vec![("date", day(n)), FIFTY()]),
    ("a number in a unit", |n| {
        let value = format!("ge{}|http://unitsofmeasure.org|g/L", (n % 99) as f64 / 100.0);
        vec![("value-quantity", value), FIFTY()]
    }),
    ("updated since ever, newest first", |_| vec![("_lastUpdated", "gt2020".to_owned()), FIFTY()]),
    ("updated never", |_| vec![("_lastUpdated", "lt2020".to_owned()), FIFTY()]),
    ("newest 50", |_| vec![FIFTY()]),
];

/// Of an index with the words of texts.
const WORDS: [(&str, Query); 2] = [
    ("words that all have (walks)", |_| vec![("_content", "usual NOT unusual".to_owned()), FIFTY()]),
    ("words that all have, of a patient", |n| {
        vec![("_content", "measurement blood".to_owned()), patient(n), FIFTY()]
    }),
];

type Parameter = fn() -> (&'static str, String);
const BY_DATE: Parameter = || ("_sort", "-date".to_owned());
const FIFTY: Parameter = || ("_count", "50".to_owned());

fn patient(n: usize) -> (&'static str, String) {
    ("patient", format!("{}", n % PATIENTS))
}

fn code(n: usize) -> (&'static str, String) {
    ("code", format!("http://loinc.org|{}-1", 1000 + n % CODES))
}

fn day(n: usize) -> String {
    let date = Utc.with_ymd_and_hms(2020, 1, 1, 0, 0, 0).unwrap() + chrono::Duration::days((n % 1500) as i64);
    date.format("%Y-%m-%d").to_string()
}

async fn search(index: &SearchIndex, query: Query) -> Vec<Duration> {
    let until = Instant::now() + SEARCH_FOR;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let index = index.clone();
        clients.spawn(async move {
            let options = ParseOptions {
                handling: Handling::Strict,
                ..ParseOptions::at(Utc.with_ymd_and_hms(2024, 6, 1, 0, 0, 0).unwrap())
            };
            let scope = Scope::Type("Observation".to_owned());
            let mut times = Vec::new();
            let mut n = client * 7919;
            while Instant::now() < until {
                n += 104_729;
                let parameters: Vec<_> =
                    query(n).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                let started = Instant::now();
                let (query, _) = index.parse(&scope, &parameters, &options).unwrap();
                index.search(&query).await.unwrap();
                times.push(started.elapsed());
            }
            times
        });
    }
    clients.join_all().await.concat()
}

async fn start(database: &Database, log: &Log, parameters: &CustomParameters) -> Runner {
    let projection = SearchProjection::new(parameters, log.number(), 1);
    let options = RunnerOptions::default();
    Runner::start(database.clone(), projection, log.clone(), log.number(), options).await.unwrap()
}

async fn fill(log: &Log, count: usize) {
    let mut groups = JoinSet::new();
    for first in (0..count).step_by(500) {
        let drafts = (first..count.min(first + 500)).map(draft).collect();
        let log = log.clone();
        groups.spawn(async move { log.append(Group { drafts, ..Group::default() }).await.unwrap() });
        if groups.len() > 8 {
            groups.join_next().await.unwrap().unwrap();
        }
    }
    groups.join_all().await;
}

fn draft(n: usize) -> Draft {
    // Spread as real writes are: the n-th resource belongs to any patient.
    let spread = n.wrapping_mul(2_654_435_761);
    let (patient, kind) = (spread % PATIENTS, (spread / PATIENTS) % CODES);
    let id = format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        spread as u32,
        n & 0xffff,
        n % 4096,
        n % 4095,
        spread
    );
    let (day, hour) = (spread / 31 % 1500, n % 24);
    let date = Utc.with_ymd_and_hms(2020, 1, 1, 0, 0, 0).unwrap() + chrono::Duration::days(day as i64);
    let time = format!("{}T{hour:02}:{:02}:{:02}+02:00", date.format("%Y-%m-%d"), n % 60, spread % 60);
    let resource = json!({
        "resourceType": "Observation", "id": id,
        "meta": {"versionId": "1", "lastUpdated": "2024-01-01T00:00:00.000000Z",
            "profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"]},
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
            "code": "laboratory", "display": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": format!("{}-1", 1000 + kind),
            "display": "A measurement with a name of the usual length [Mass/volume] in Blood"}],
            "text": "A measurement with a name of the usual length"},
        "subject": {"reference": format!("Patient/{patient}")},
        "encounter": {"reference": format!("Encounter/e-{}", n / 10)},
        "effectiveDateTime": time, "issued": time,
        "valueQuantity": {"value": (spread % 1000) as f64 / 10.0, "unit": "mg/dL",
            "system": "http://unitsofmeasure.org", "code": "mg/dL"}
    });
    Draft {
        key: ResourceKey::new("Observation", id),
        operation: Operation::Create,
        erases: Erases::Nothing,
        version: Version::NONE.next(),
        home: format!("Patient/{patient}"),
        touches: Vec::new(),
        payload: resource.to_string().into_bytes(),
        stamp_at: None,
        identifiers: Vec::new(),
        require_no_identifier: Vec::new(),
        agent: Arc::from("bench"),
        source: None,
    }
}

async fn forget(url: &str) {
    execute(
        url,
        "DROP TABLE IF EXISTS anamnesis.search_v1_resource, anamnesis.search_v1_superseded,
        anamnesis.search_v1_span, anamnesis.search_v1_text, anamnesis.projection_checkpoint; CHECKPOINT",
    )
    .await;
}

async fn execute(url: &str, statements: &str) -> Vec<tokio_postgres::SimpleQueryMessage> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let answer = client.simple_query(statements).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
    answer
}

async fn sizes(url: &str, count: usize) {
    let answer = execute(
        url,
        "SELECT c.relname, pg_relation_size(c.oid) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE n.nspname = 'anamnesis' AND c.relname LIKE 'search_v1%' AND pg_relation_size(c.oid) > 100000 ORDER BY 1",
    )
    .await;
    let mut total = 0.0;
    for message in answer {
        if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
            let bytes = row.get(1).unwrap().parse::<f64>().unwrap() / count as f64;
            total += bytes;
            println!("  {}: {bytes:.0} bytes a resource", row.get(0).unwrap());
        }
    }
    println!("index on disk: {total:.0} bytes a resource");
}

fn fsync_rate() -> f64 {
    let mut file = std::fs::File::create(std::env::temp_dir().join("anamnesis-fsync")).unwrap();
    let started = Instant::now();
    let mut writes = 0;
    while started.elapsed() < Duration::from_secs(1) {
        file.rewind().unwrap();
        file.write_all(&[0; 8192]).unwrap();
        file.sync_data().unwrap();
        writes += 1;
    }
    f64::from(writes) / started.elapsed().as_secs_f64()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
