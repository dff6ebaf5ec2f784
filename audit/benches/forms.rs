//! Which form the audit log should be stored in: what a record costs to write, alone and in groups, and to find.
//!
//! `cargo bench -p anamnesis-audit --bench forms [-- --records <n>]`
//!
//! `rows`: a row for each record, its tokens under GIN. `columns`: a row for each record, with an index on each of what is
//! looked for. `blocks`: what the crate does. Each group is one commit. Processor time is that of this process and of the
//! Postgres process that serves it.

use std::error::Error;
use std::fs::{File, read_to_string};
use std::io::{Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use anamnesis_audit::{
    Action, Agent, AuditLog, AuditOptions, Criterion, Entity, Kind, Outcome, Record, Search,
};
use chrono::Utc;
use tokio_postgres::{Client, NoTls};

const GROUPS: [usize; 4] = [1, 8, 64, 256];
const SECONDS: f64 = 2.0;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut records = 2_000_000;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--records" {
            records = arguments.next().ok_or("records?")?.parse()?;
        }
    }
    println!("fdatasync of 8 KiB: {:.0}/s", flushes_per_second()?);
    let database = anamnesis_engines::testing::postgres().await.fresh_database().await;
    let (client, connection) = tokio_postgres::connect(&database, NoTls).await?;
    tokio::spawn(connection);
    client
        .batch_execute(
            "CREATE TABLE one_row (seq bigint PRIMARY KEY, at timestamptz, hash bytea, tokens bigint[], body bytea);
             CREATE INDEX ON one_row USING gin (tokens) WITH (gin_pending_list_limit = 1024);
             CREATE TABLE columns (seq bigint PRIMARY KEY, at timestamptz, hash bytea, agent bigint, entity bigint,
                patient bigint, address bigint, outcome smallint, body bytea);
             CREATE INDEX ON columns (agent, seq); CREATE INDEX ON columns (entity, seq);
             CREATE INDEX ON columns (patient, seq); CREATE INDEX ON columns (address, seq);",
        )
        .await?;
    let mut dice = Dice(7);
    let mut seq = 0_i64;
    for group in GROUPS {
        rows(&client, &mut dice, group, &mut seq, true).await?;
        rows(&client, &mut dice, group, &mut seq, false).await?;
        let options = AuditOptions { queue_bytes_max: 256 << 20, ..AuditOptions::default() };
        let log = AuditLog::open(&database, &format!("bench-{group}"), options).await?;
        blocks(&log, &database, &mut dice, group).await?;
        log.close().await;
    }
    let log = AuditLog::open(&database, "search", AuditOptions::default()).await?;
    let begun = Instant::now();
    let mut written = 0;
    while written < records {
        // As a busy server does: groups of some dozens.
        let group = 16 + (dice.next() % 64) as usize;
        log.append((0..group).map(|_| record(&mut dice)).collect()).await?;
        written += group;
    }
    println!("{written} records written in {:.0} s", begun.elapsed().as_secs_f64());
    client.batch_execute("ANALYZE").await?;
    let size = "SELECT sum(pg_table_size(c.oid))::bigint, sum(pg_indexes_size(c.oid))::bigint FROM pg_class c
        JOIN anamnesis.audit_log l ON c.relname LIKE 'audit_block_' || l.log || '_%' AND l.workspace = 'search'
        WHERE c.relkind = 'r'";
    let row = client.query_one(size, &[]).await?;
    let (table, indexes): (i64, i64) = (row.get(0), row.get(1));
    println!(
        "{} bytes a record in the table, {} in indexes",
        table / written as i64,
        indexes / written as i64
    );
    searches(&log).await?;
    let begun = Instant::now();
    let verified = log.verify(None, &[], u64::MAX).await?;
    assert!(verified.is_whole, "{verified:?}");
    println!("verified in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

async fn searches(log: &AuditLog) -> Result<(), Box<dyn Error>> {
    let patient = || Criterion::Patient(vec!["Patient/77".into()]);
    let agent = || Criterion::Agent(vec!["agent-3".into()]);
    let refused = || Criterion::Outcome(vec![Outcome::Minor]);
    let middle = log.get(anamnesis_audit::Number::new(log.head().await?.number.get() / 2)).await?;
    let middle = middle.ok_or("no record in the middle")?.recorded_at;
    for (name, criteria, until) in [
        ("newest", vec![], None),
        ("by date", vec![], Some(middle)),
        ("by agent (one in 50)", vec![agent()], None),
        ("by patient (one in 20000)", vec![patient()], None),
        ("by patient and date", vec![patient()], Some(middle)),
        ("by entity", vec![Criterion::Entity(vec!["Observation/1234".into()])], None),
        ("by outcome (one in 100)", vec![refused()], None),
        ("by address", vec![Criterion::Address(vec!["10.0.0.9".into()])], None),
        ("by action (deletes, one in 1000)", vec![Criterion::Action(vec![Action::D])], None),
        ("by agent and outcome", vec![agent(), refused()], None),
        ("by patient and agent (none)", vec![patient(), Criterion::Agent(vec!["nobody".into()])], None),
        (
            "by agent, deletes, refused (none)",
            vec![agent(), refused(), Criterion::Action(vec![Action::D])],
            None,
        ),
        ("by name, not there", vec![Criterion::AgentName(vec!["zz".into()])], None),
    ] {
        let search = Search { criteria, until, limit: 50, ..Search::default() };
        let begun = Instant::now();
        let page = log.search(&search).await?;
        let more = if page.next.is_some() { "and more" } else { "and no more" };
        println!("{name:<36} {:>8.1} ms, {} {more}", begun.elapsed().as_secs_f64() * 1e3, page.records.len());
    }
    Ok(())
}

async fn blocks(log: &AuditLog, database: &str, dice: &mut Dice, group: usize) -> Result<(), Box<dyn Error>> {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await?;
    tokio::spawn(connection);
    log.append(vec![record(dice)]).await?;
    let statement = "SELECT pid FROM pg_stat_activity WHERE application_name = 'anamnesis-audit'
        AND datname = current_database() AND query LIKE '%audit_block%' ORDER BY state_change DESC LIMIT 1";
    let pid: i32 = client.query_one(statement, &[]).await?.get(0);
    let made: Vec<Vec<Record>> =
        (0..20_000 / group + 200).map(|_| (0..group).map(|_| record(dice)).collect()).collect();
    let measured = Measured::begin(pid)?;
    let (mut count, mut commits) = (0, 0);
    for records in made {
        count += records.len();
        commits += 1;
        log.append(records).await?;
        if measured.begun.elapsed().as_secs_f64() > SECONDS {
            break;
        }
    }
    measured.print("blocks", group, count, commits)
}

async fn rows(
    client: &Client,
    dice: &mut Dice,
    group: usize,
    seq: &mut i64,
    is_tokens: bool,
) -> Result<(), Box<dyn Error>> {
    let with_tokens = "INSERT INTO one_row SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::bytea[]) AS a (seq, at, hash)
        JOIN LATERAL (SELECT ($4::bigint[])[($5::bigint + 8 * (seq - $6) + 1)::int : (8 * (seq - $6) + 8)::int],
            ($7::bytea[])[(seq - $6 + 1)::int]) AS b ON true";
    let with_columns =
        "INSERT INTO columns SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::bytea[], $4::bigint[],
        $5::bigint[], $6::bigint[], $7::bigint[], $8::smallint[], $9::bytea[])";
    let statement = client.prepare(if is_tokens { with_tokens } else { with_columns }).await?;
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    let measured = Measured::begin(pid)?;
    let (mut count, mut commits) = (0, 0);
    while measured.begun.elapsed().as_secs_f64() < SECONDS {
        let first = *seq;
        let records: Vec<Record> = (0..group).map(|_| record(dice)).collect();
        let bodies: Vec<Vec<u8>> = records.iter().map(serde_json::to_vec).collect::<Result<_, _>>()?;
        let seqs: Vec<i64> = (first..first + group as i64).collect();
        let times = vec![Utc::now(); group];
        let hashes: Vec<Vec<u8>> = (0..group).map(|_| dice.bytes32()).collect();
        *seq += group as i64;
        if is_tokens {
            let tokens: Vec<i64> = (0..8 * group)
                .map(|at| match at % 8 {
                    0 => (dice.next() % 50) as i64,
                    1 => 1000 + (dice.next() % 200_000) as i64,
                    2 => 300_000 + (dice.next() % 20_000) as i64,
                    other => 400_000 + other as i64 * 10 + (dice.next() % 5) as i64,
                })
                .collect();
            client.execute(&statement, &[&seqs, &times, &hashes, &tokens, &0_i64, &first, &bodies]).await?;
        } else {
            let mut pick =
                |most: u64| -> Vec<i64> { (0..group).map(|_| (dice.next() % most) as i64).collect() };
            let (agents, entities, patients, addresses) = (pick(50), pick(200_000), pick(20_000), pick(250));
            let outcomes = vec![0_i16; group];
            client
                .execute(
                    &statement,
                    &[&seqs, &times, &hashes, &agents, &entities, &patients, &addresses, &outcomes, &bodies],
                )
                .await?;
        }
        count += group;
        commits += 1;
    }
    measured.print(if is_tokens { "rows" } else { "columns" }, group, count, commits)
}

struct Measured {
    begun: Instant,
    pid: i32,
    own: Duration,
    theirs: Duration,
}

impl Measured {
    fn begin(pid: i32) -> Result<Self, Box<dyn Error>> {
        Ok(Self { pid, own: processor("self")?, theirs: processor(&pid.to_string())?, begun: Instant::now() })
    }

    fn print(&self, form: &str, group: usize, count: usize, commits: usize) -> Result<(), Box<dyn Error>> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let each = |begin: Duration, end: Duration| (end - begin).as_secs_f64() * 1e6 / count as f64;
        println!(
            "{form:<8} groups of {group:>3}: {:>7.0} records/s, {:>6.0} commits/s, {:>6.1} µs here and {:>6.1} µs in Postgres each",
            count as f64 / seconds,
            commits as f64 / seconds,
            each(self.own, processor("self")?),
            each(self.theirs, processor(&self.pid.to_string())?),
        );
        Ok(())
    }
}

/// The processor time of a process so far.
fn processor(process: &str) -> Result<Duration, Box<dyn Error>> {
    let stat = read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = [11, 12]
        .iter()
        .map(|at| fields.get(*at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0))
        .sum();
    Ok(Duration::from_millis(ticks * 10))
}

struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn bytes32(&mut self) -> Vec<u8> {
        (0..4).flat_map(|_| self.next().to_be_bytes()).collect()
    }
}

fn record(dice: &mut Dice) -> Record {
    let refused = dice.next().is_multiple_of(100);
    let deletes = dice.next().is_multiple_of(1000);
    Record {
        kind: Kind::Rest,
        subtype: if deletes { "delete" } else { "read" }.into(),
        action: if deletes { Action::D } else { Action::R },
        outcome: if refused { Outcome::Minor } else { Outcome::Success },
        status: if refused { 403 } else { 200 },
        agent: Agent {
            subject: format!("agent-{}", dice.next() % 50).into(),
            issuer: Some("https://login.example.org/tenant/v2.0".into()),
            client: Some(format!("app-{}", dice.next() % 5).into()),
            address: Some(format!("10.0.{}.{}", dice.next() % 4, dice.next() % 64)),
            ..Agent::default()
        },
        service: "fhir".into(),
        entities: vec![Entity { what: format!("Observation/{}", dice.next() % 200_000), version: Some(1) }],
        entities_more: 0,
        patients: vec![format!("Patient/{}", dice.next() % 20_000)],
        patients_more: 0,
        query: None,
        position: None,
        correlation: format!("{:016x}-{:016x}", dice.next(), dice.next()),
        entry: None,
        custom: vec![],
        purpose: None,
        reason: None,
        repeated: 0,
    }
}

fn flushes_per_second() -> Result<f64, Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("anamnesis-flush-{}", std::process::id()));
    let mut file = File::create(&path)?;
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < Duration::from_secs(1) {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[0; 8192])?;
        file.sync_data()?;
        count += 1;
    }
    std::fs::remove_file(&path)?;
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}
