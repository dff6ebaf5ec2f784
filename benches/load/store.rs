//! The store after the load: its bytes by part, the server's memory, how fast it starts again, and how fast it replays.

use std::time::Instant;

use anamnesis_events::{Feed, Log, LogOptions, Position};
use anyhow::Context;
use tokio_postgres::NoTls;

use crate::report::median;
use crate::server::Server;
use crate::{Options, machine};

/// Events that a replay reads at once.
const PAGE: usize = 5_000;
/// Parts of the store and the tables that belong to them, as patterns of their names.
const PARTS: [(&str, &str); 4] = [
    ("log: events", "event%"),
    ("log: heads", "head%"),
    ("log: identifiers, links", "(identifier|link|idempotency)%"),
    ("search index", "search%"),
];

/// Prints what the store takes up.
pub(crate) fn sizes(server: &Server) -> anyhow::Result<()> {
    let Ok(database) = server.database() else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&database, NoTls).await?;
        let _driver = tokio::spawn(connection);
        let events: i64 = client.query_one("SELECT max(seq) FROM anamnesis.event", &[]).await?.try_get(0)?;
        let heads: i64 = client.query_one("SELECT count(*) FROM anamnesis.head", &[]).await?.try_get(0)?;
        println!("\nstore:   {events} events, {heads} resources");
        let per = |bytes: i64| bytes / heads.max(1);
        let mut total = 0;
        for (name, pattern) in PARTS {
            let statement = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::int8 FROM pg_class AS c
                JOIN pg_namespace AS n ON n.oid = c.relnamespace
                WHERE n.nspname = 'anamnesis' AND c.relkind IN ('r', 'm') AND c.relname SIMILAR TO $1";
            let bytes: i64 = client.query_one(statement, &[&pattern]).await?.try_get(0)?;
            println!("disk:    {name:<24} {:>6} MiB {:>6} bytes a resource", bytes >> 20, per(bytes));
            total += bytes;
        }
        if let Some(bytes) = server.stream_bytes().and_then(|bytes| i64::try_from(bytes).ok()) {
            println!("disk:    {:<24} {:>6} MiB {:>6} bytes a resource", "stream", bytes >> 20, per(bytes));
            total += bytes;
        }
        println!("disk:    {:<24} {:>6} MiB {:>6} bytes a resource", "together", total >> 20, per(total));
        anyhow::Ok(())
    })?;
    memory(server, "after the load");
    Ok(())
}

/// Prints the resident memory of the server process.
pub(crate) fn memory(server: &Server, when: &str) {
    if let Some(pid) = server.pid() {
        let (now, most) = machine::resident_mib(pid);
        println!("memory:  {now} MiB resident in the server process {when}, {most} MiB at most");
    }
}

/// Ends the server and starts it again, in order and by force, and prints how long that took.
pub(crate) fn restarts(options: &Options, server: &mut Server) -> anyhow::Result<()> {
    for (name, signal) in [("an ordered stop", "-TERM"), ("a SIGKILL", "-KILL")] {
        let mut times = Vec::new();
        for _ in 0..options.runs {
            let Some(time) = server.restart(signal)? else { return Ok(()) };
            times.push(time.as_secs_f64() * 1000.0);
        }
        println!("start:   {:.0} ms to the first answer after {name}", median(times));
    }
    Ok(())
}

/// Reads the whole log as a projection does, and does nothing with it.
pub(crate) fn replay(options: &Options, server: &Server) -> anyhow::Result<()> {
    let Ok(database) = server.database() else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let log = Log::open(&database, "default", LogOptions::default()).await?;
        let head = log.head().await?;
        let mut rates = Vec::new();
        for _ in 0..options.runs {
            let start = Instant::now();
            let mut feed = log.feed(Position::ZERO);
            let (mut events, mut bytes) = (0, 0);
            while feed.position() < head {
                for event in feed.next(PAGE).await.context("replaying")? {
                    events += 1;
                    bytes += event.payload.len();
                }
            }
            assert!(events as u64 >= head.get() && bytes > 0, "the replay has missed events");
            rates.push(events as f64 / start.elapsed().as_secs_f64());
        }
        println!("replay:  {:.0} events/s without effects, of {head} events", median(rates));
        log.close().await;
        anyhow::Ok(())
    })
}
