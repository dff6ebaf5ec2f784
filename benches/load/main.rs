//! The load benchmark: a real server with its Postgres and NATS, and clients on the same machine.
//!
//! `cargo bench --bench load -- [--runs 5] [--seconds 5] [--resources 100000] [--only create,read] [--server URL]`
//!
//! Prints the machine, its fsync rate, and medians over the runs with CPU time per request of everything that serves.
//! Without `--server` it starts the release server on a fresh folder under the target directory.

mod client;
mod data;
mod machine;
mod report;
mod server;
mod workload;

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
    /// Names of the workloads to run; empty for all.
    pub(crate) only: Vec<String>,
    /// Address of a running service (`http://127.0.0.1:8080/default/fhir`) instead of an own server.
    pub(crate) server: Option<String>,
    /// Where the own server keeps its data.
    pub(crate) data: Option<std::path::PathBuf>,
}

fn options() -> anyhow::Result<Options> {
    let mut options = Options {
        runs: 5,
        length: Duration::from_secs(5),
        resources: 100_000,
        only: Vec::new(),
        server: None,
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
            "--only" => options.only = value.split(',').map(str::to_owned).collect(),
            "--server" => options.server = Some(value),
            "--data" => options.data = Some(value.into()),
            other => bail!("unknown option {other}"),
        }
    }
    Ok(options)
}

fn main() -> anyhow::Result<()> {
    let options = options()?;
    machine::print()?;
    let server = server::Server::start(&options)?;
    let outcome = workload::run(&options, &server);
    server.stop()?;
    outcome
}
