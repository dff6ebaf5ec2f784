//! The load benchmark: a real server with its Postgres and NATS, and clients on the same machine.
//!
//! `cargo bench --bench load -- [--runs 5] [--seconds 5] [--resources 100000] [--only create,read] [--access both] [--clients 128]
//! [--server URL]`
//!
//! Measured are, by these names: `read`, `search`, `transaction`, `create`, `latency` (until a write is searchable and in
//! the feed, at half the rate of creates), `store` (bytes, memory), `rebuild` (of the search
//! index), `replay`, `start`; and `shapes`, which is only measured when it is named: thirty-five shapes of queries over a
//! store of its own, of `--patients 8200` invented patients (a million resources). Prints the machine, its fsync rate, and medians over the runs with CPU time per request of everything that serves.
//! With `--access token`, `audited` or `both` the server takes tokens alone, puts accesses on record, or does both.
//! Without `--server` it starts the release server on a fresh folder under the target directory.

mod access;
#[path = "../../tests/it/support/authority.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "it is of the tests, which use more of it and may fail"
)]
mod authority;
mod client;
mod data;
mod latency;
mod machine;
mod rebuild;
mod report;
mod seed;
mod server;
mod shapes;
mod store;
mod workload;

use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use anyhow::{Context, bail};

/// What to run, from the command line.
pub(crate) struct Options {
    /// Rounds over all workloads; the medians of these are printed.
    pub(crate) runs: usize,
    /// Length of one measurement.
    pub(crate) length: Duration,
    /// Observations in the store before reading and searching is measured.
    pub(crate) resources: usize,
    /// Invented patients of the store that shapes of queries are asked of; one has about 122 resources.
    pub(crate) patients: usize,
    /// Names of the workloads to run; empty for all.
    pub(crate) only: Vec<String>,
    /// Address of a running service (`http://127.0.0.1:8080/default/fhir`) instead of an own server.
    pub(crate) server: Option<String>,
    /// Clients at once, where a workload is not to have its own number of them.
    pub(crate) clients: Option<usize>,
    /// How the own server is guarded.
    pub(crate) access: access::Access,
    /// Where the own server keeps its data.
    pub(crate) data: Option<std::path::PathBuf>,
}

/// Writes a second at which latencies are measured where creates are not: half of the goal for them.
const RATE: f64 = 1750.0;

/// The name of what has a store of its own.
const SHAPES: &str = "shapes";

fn options() -> anyhow::Result<Options> {
    let mut options = Options {
        runs: 5,
        length: Duration::from_secs(5),
        resources: 100_000,
        patients: 8200,
        only: Vec::new(),
        server: None,
        clients: None,
        access: access::Access::Open,
        data: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--bench" {
            continue;
        }
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--runs" => options.runs = value.parse()?,
            "--seconds" => options.length = Duration::from_secs_f64(value.parse()?),
            "--resources" => options.resources = value.parse()?,
            "--patients" => options.patients = value.parse()?,
            "--only" => options.only = value.split(',').map(str::to_owned).collect(),
            "--server" => options.server = Some(value),
            "--clients" => options.clients = Some(value.parse()?),
            "--access" => options.access = access::Access::named(&value)?,
            "--data" => options.data = Some(value.into()),
            other => bail!("unknown option {other}"),
        }
    }
    Ok(options)
}

impl Options {
    /// Whether something with this name is to be measured.
    pub(crate) fn chooses(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.starts_with(only))
    }
}

fn main() -> anyhow::Result<()> {
    let options = options()?;
    machine::print()?;
    let mut server = server::Server::start(&options)?;
    let outcome = match options.only.as_slice() {
        [only] if only == SHAPES => shapes::run(&options, &server),
        _ => measure(&options, &mut server),
    };
    server.stop()?;
    outcome
}

fn measure(options: &Options, server: &mut server::Server) -> anyhow::Result<()> {
    let patients = data::patients(options.resources);
    let ids = seed::seed(options, server, patients)?;
    store::memory(server, "with the store seeded");
    let next = AtomicUsize::new(0);
    let ground = workload::Ground { patients, ids: &ids, next: &next };
    let creates = workload::run(options, server, &ground)?;
    let half = creates.map_or(RATE, |rate| rate / 2.0);
    if options.chooses("latency") {
        latency::run(options, server, &ground, half)?;
    }
    if options.chooses("store") {
        store::sizes(server)?;
    }
    if options.chooses("rebuild") {
        rebuild::run(options, server, &ground, half)?;
    }
    if options.chooses("replay") {
        store::replay(options, server)?;
    }
    if options.chooses("start") {
        store::restarts(options, server)?;
    }
    Ok(())
}
