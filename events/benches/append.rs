//! How fast the log records: single writers and groups, next to the flush rate of the disk.
//!
//! `cargo bench -p anamnesis-events --bench append [-- --database <url>] [--seconds <n>]`
//!
//! Without an address it runs the Postgres of the tests, which is durable as the real one. Figures are
//! medians of several rounds. A figure means little without the flush rate of its machine beside it: a
//! commit waits for at least one flush.

use std::error::Error;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anamnesis_events::{
    Draft, Erases, Group, Log, LogOptions, Operation, Position, ResourceKey, STAMP_PLACEHOLDER, Version,
};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

const ROUNDS: usize = 3;

struct Workload {
    name: &'static str,
    writers: usize,
    group: usize,
}

const WORKLOADS: [Workload; 5] = [
    Workload { name: "1 writer, single events", writers: 1, group: 1 },
    Workload { name: "32 writers, single events", writers: 32, group: 1 },
    Workload { name: "64 writers, single events", writers: 64, group: 1 },
    Workload { name: "1 writer, groups of 100", writers: 1, group: 100 },
    Workload { name: "8 writers, groups of 100", writers: 8, group: 100 },
];

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (mut database, mut seconds) = (None, 3.0);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--database" => database = arguments.next(),
            "--seconds" => seconds = arguments.next().ok_or("seconds?")?.parse()?,
            _ => {}
        }
    }
    let database = match database {
        Some(database) => database,
        None => anamnesis_engines::testing::postgres().await.fresh_database().await,
    };
    println!("fdatasync of 8 KiB: {:.0}/s", flushes_per_second()?);
    let log = Log::open(&database, "bench", LogOptions::default()).await?;
    for workload in &WORKLOADS {
        let mut rounds = vec![];
        for round in 0..ROUNDS {
            rounds.push(measure((&log, &database), workload, round, Duration::from_secs_f64(seconds)).await?);
        }
        rounds.sort_by(|left, right| left.events_per_second.total_cmp(&right.events_per_second));
        if let Some(median) = rounds.get(ROUNDS / 2) {
            println!("{:<28} {median}", workload.name);
        }
    }
    read_back(&log).await?;
    log.close().await;
    print_sizes(&database).await
}

struct Measured {
    events_per_second: f64,
    /// How many transactions share a flush: the size of the batches that formed.
    events_per_commit: f64,
    /// Processor time of this process and of Postgres.
    cpu_microseconds: f64,
    p50: Duration,
    p99: Duration,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Measured { events_per_second, events_per_commit, cpu_microseconds, p50, p99 } = self;
        write!(
            formatter,
            "{events_per_second:>8.0} events/s   {events_per_commit:>4.0} a commit   {cpu_microseconds:>5.0} µs CPU each   p50 {p50:>9.1?}   p99 {p99:>9.1?}"
        )
    }
}

async fn measure(
    (log, database): (&Log, &str),
    workload: &Workload,
    round: usize,
    time: Duration,
) -> Result<Measured, Box<dyn Error>> {
    let before = log.head().await?;
    let (started, cpu) = (Instant::now(), cpu_seconds(database)?);
    let mut writers = JoinSet::new();
    for writer in 0..workload.writers {
        let (log, group) = (log.clone(), workload.group);
        let seed = (round * 1_000 + writer) as u64 ^ started.elapsed().as_nanos() as u64;
        writers.spawn(async move {
            let mut dice = Dice(seed);
            let mut waits = vec![];
            while started.elapsed() < time {
                let drafts = (0..group).map(|_| draft(&mut dice)).collect();
                let asked = Instant::now();
                log.append(Group { drafts, ..Group::default() }).await?;
                waits.push(asked.elapsed());
            }
            Ok::<_, anamnesis_events::AppendError>(waits)
        });
    }
    let mut waits = vec![];
    for writer in writers.join_all().await {
        waits.extend(writer?);
    }
    let events = (waits.len() * workload.group) as f64;
    let events_per_second = events / started.elapsed().as_secs_f64();
    let cpu_microseconds = (cpu_seconds(database)? - cpu) * 1e6 / events;
    waits.sort_unstable();
    let quantile = |share: usize| waits.get(waits.len() * share / 100).copied().unwrap_or_default();
    let events_per_commit = events / commits_after(database, before).await?;
    Ok(Measured {
        events_per_second,
        events_per_commit,
        cpu_microseconds,
        p50: quantile(50),
        p99: quantile(99),
    })
}

/// Small numbers that look random; the same kind of resource each time, with other values.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn uuid(&mut self) -> uuid::Uuid {
        let bits = (u128::from(self.roll()) << 64) | u128::from(self.roll());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }
}

/// An Observation of about 1.3 kB, as laboratories send them, of one of a thousand patients.
fn draft(dice: &mut Dice) -> Draft {
    const TESTS: [(&str, &str, &str); 4] = [
        ("2339-0", "Glucose [Mass/volume] in Blood", "mg/dL"),
        ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL"),
        ("8867-4", "Heart rate", "/min"),
        ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL"),
    ];
    let id = dice.uuid();
    let patient =
        uuid::Uuid::from_u128(u128::from(dice.roll() % 1000) * 0x1234_5678_9ABC_DEF0_1234_5678_9ABC);
    let (encounter, performer) = (dice.uuid(), dice.roll() % 100);
    let test = TESTS.get((dice.roll() % 4) as usize).copied().unwrap_or(TESTS[0]);
    let (code, display, unit) = test;
    let value = (dice.roll() % 20_000) as f64 / 100.0;
    let (day, hour, minute) = (dice.roll() % 28 + 1, dice.roll() % 24, dice.roll() % 60);
    let time = format!("2025-{:02}-{day:02}T{hour:02}:{minute:02}:00+00:00", dice.roll() % 12 + 1);
    let before =
        format!(r#"{{"resourceType":"Observation","id":"{id}","meta":{{"versionId":"1","lastUpdated":""#);
    let stamp_at = Some(before.len());
    let payload = format!(
        r#"{before}{STAMP_PLACEHOLDER}","profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"]}},"identifier":[{{"system":"http://lab.example.org/results","value":"{id}"}}],"status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"Laboratory"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"{code}","display":"{display}"}}],"text":"{display}"}},"subject":{{"reference":"Patient/{patient}"}},"encounter":{{"reference":"Encounter/{encounter}"}},"effectiveDateTime":"{time}","issued":"{time}","performer":[{{"reference":"Practitioner/{performer}"}}],"valueQuantity":{{"value":{value},"unit":"{unit}","system":"http://unitsofmeasure.org","code":"{unit}"}},"referenceRange":[{{"low":{{"value":70,"unit":"{unit}","system":"http://unitsofmeasure.org","code":"{unit}"}},"high":{{"value":110,"unit":"{unit}","system":"http://unitsofmeasure.org","code":"{unit}"}},"text":"normal range"}}]}}"#
    );
    let home = format!("Patient/{patient}");
    Draft {
        key: ResourceKey::new("Observation", id.to_string()),
        operation: Operation::Create,
        erases: Erases::Nothing,
        version: Version::new(1),
        touches: vec![home.clone()],
        home,
        payload: payload.into_bytes(),
        stamp_at,
        identifiers: vec![],
        require_no_identifier: vec![],
        agent: Arc::from("bench"),
        source: None,
    }
}

/// How many transactions wrote the events after the position.
async fn commits_after(database: &str, position: Position) -> Result<f64, Box<dyn Error>> {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await?;
    let driver = tokio::spawn(connection);
    let statement = "SELECT count(DISTINCT xmin::text) FROM anamnesis.event WHERE seq > $1";
    let commits: i64 = client.query_one(statement, &[&i64::try_from(position.get())?]).await?.get(0);
    drop(client);
    driver.await??;
    Ok(commits as f64)
}

/// Processor time so far of this process and of the database's backends on this machine.
fn cpu_seconds(database: &str) -> Result<f64, Box<dyn Error>> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let config: tokio_postgres::Config = database.parse()?;
    let name = format!(" {} ", config.get_dbname().ok_or("the address names no database")?);
    let this = std::process::id().to_string();
    let ticks = |process: std::fs::DirEntry| {
        let read = |file| std::fs::read_to_string(process.path().join(file)).ok();
        let title = read("cmdline")?;
        let counted =
            process.file_name() == *this || (title.starts_with("postgres: ") && title.contains(&name));
        let stat = read("stat").filter(|_| counted)?;
        // User and system time are the 14th and 15th field; the second is a name in parentheses.
        let (_, rest) = stat.rsplit_once(") ")?;
        Some(rest.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>())
    };
    let processes = std::fs::read_dir("/proc")?.flatten();
    Ok(processes.filter_map(ticks).sum::<f64>() / TICKS_PER_SECOND)
}

/// How often the disk under the temporary folder makes 8 KiB durable.
fn flushes_per_second() -> Result<f64, Box<dyn Error>> {
    const FLUSHES: u32 = 300;
    let mut file = tempfile::tempfile()?;
    file.write_all(&[0; 1 << 20])?;
    file.sync_all()?;
    let started = Instant::now();
    for flush in 0..FLUSHES {
        file.seek(SeekFrom::Start(u64::from(flush % 128) * 8192))?;
        file.write_all(&[flush.to_le_bytes()[0]; 8192])?;
        file.sync_data()?;
    }
    Ok(f64::from(FLUSHES) / started.elapsed().as_secs_f64())
}

/// Reads the whole log, as a projection that is rebuilt does, and then checks its chain.
async fn read_back(log: &Log) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let (mut position, mut bytes) = (Position::ZERO, 0);
    loop {
        let page = log.read(position, 2000).await?;
        let Some(last) = page.last() else { break };
        position = last.position;
        bytes += page.iter().map(|event| event.payload.len()).sum::<usize>();
    }
    let (events, seconds) = (position.get() as f64, started.elapsed().as_secs_f64());
    println!(
        "{:<28} {:>8.0} events/s   {:.0} bytes each",
        "read back",
        events / seconds,
        bytes as f64 / events
    );
    let started = Instant::now();
    let mut verified = log.verify(Position::ZERO, 2000).await?;
    while verified.position < position {
        verified = log.verify(verified.position, 2000).await?;
    }
    println!("{:<28} {:>8.0} events/s", "verify", events / started.elapsed().as_secs_f64());
    Ok(())
}

async fn print_sizes(database: &str) -> Result<(), Box<dyn Error>> {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await?;
    let driver = tokio::spawn(connection);
    let statement = "SELECT c.relname, c.relkind = 'i', pg_relation_size(c.oid),
            (SELECT count(*) FROM anamnesis.head), (SELECT avg(length(payload))::float8 FROM anamnesis.event)
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = 'anamnesis' AND c.relkind IN ('r', 'i') AND pg_relation_size(c.oid) > 1000000
        ORDER BY 3 DESC";
    let mut sum = 0.0;
    for row in client.query(statement, &[]).await? {
        let (name, size, events): (String, i64, i64) = (row.get(0), row.get(2), row.get(3));
        let each = size as f64 / events as f64;
        println!("  {each:>6.1} bytes an event in {name}");
        sum += each;
        if name.starts_with("event_from") && !row.get::<_, bool>(1) {
            println!("  ({:.1} of them payload)", row.get::<_, f64>(4));
        }
    }
    println!("  {sum:>6.1} bytes an event in all");
    drop(client);
    driver.await??;
    Ok(())
}
