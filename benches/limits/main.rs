//! Whether the actors stay within their memory: many patients touched once, and one patient with very many resources.
//!
//! `cargo bench --bench limits -- [--runs 3] [--patients 100000] [--resources 200000] [--memory-mib 64] [--only cost,patients,compartment]`
//!
//! Runs actors and log in this process, over a Postgres of its own, and prints what they account for beside what the
//! process really takes. Medians over the runs, and the worst of them.

mod actors;
mod process;

use anyhow::{Context, bail};

/// What to run, from the command line.
pub(crate) struct Options {
    /// Rounds over all workloads.
    runs: usize,
    /// Patients that are touched once each.
    pub(crate) patients: usize,
    /// Resources of the one large compartment.
    pub(crate) resources: usize,
    /// The bound of the actors' memory.
    pub(crate) memory_bytes: usize,
    /// Names of the workloads to run; empty for all.
    only: Vec<String>,
    /// The one workload that this process runs for the one that has started it.
    child: Option<String>,
}

fn options() -> anyhow::Result<Options> {
    let mut options = Options {
        runs: 3,
        patients: 100_000,
        resources: 200_000,
        memory_bytes: 64 << 20,
        only: Vec::new(),
        child: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--bench" {
            continue;
        }
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--runs" => options.runs = value.parse::<usize>()?.max(1),
            "--patients" => options.patients = value.parse()?,
            "--resources" => options.resources = value.parse()?,
            "--memory-mib" => options.memory_bytes = value.parse::<usize>()? << 20,
            "--only" => options.only = value.split(',').map(str::to_owned).collect(),
            "--child" => options.child = Some(value),
            other => bail!("unknown option {other}"),
        }
    }
    Ok(options)
}

/// A measurement: its name, and what one run of it gives.
type Workload = (&'static str, fn(&Options) -> anyhow::Result<Vec<Figure>>);

/// A figure of one run.
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
}

const WORKLOADS: [Workload; 3] =
    [("cost", actors::cost), ("patients", actors::patients), ("compartment", actors::compartment)];

fn main() -> anyhow::Result<()> {
    let options = options()?;
    if let Some(child) = &options.child {
        let (_, run) = WORKLOADS.iter().find(|(name, _)| name == child).context("unknown workload")?;
        return process::tell(&run(&options)?);
    }
    println!(
        "{} patients touched once; one compartment of {} resources; bound {} MiB; {} runs",
        options.patients,
        options.resources,
        options.memory_bytes >> 20,
        options.runs
    );
    for (name, _) in WORKLOADS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        let mut runs = Vec::new();
        for _ in 0..options.runs {
            runs.push(process::run_apart(name)?);
        }
        print(name, &runs);
    }
    Ok(())
}

/// Prints medians and the largest of each figure.
fn print(name: &str, runs: &[Vec<Figure>]) {
    println!("\n{name:<42} {:>12} {:>12}", "median", "largest");
    let first = runs.first().map(Vec::as_slice).unwrap_or_default();
    for (index, figure) in first.iter().enumerate() {
        let mut values: Vec<f64> = runs.iter().filter_map(|run| run.get(index)).map(|f| f.value).collect();
        values.sort_by(f64::total_cmp);
        let median = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
        let largest = values.last().copied().unwrap_or(f64::NAN);
        println!("  {:<40} {median:>12.1} {largest:>12.1} {}", figure.name, figure.unit);
    }
}
