//! The shapes of queries that applications send, over a million invented resources.
//!
//! The store is one of its own: filled with `anamnesis synth` and `anamnesis load`. Each query is asked with other patients
//! and codes each time.

mod sample;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::client::Client;
use crate::report::quantile;
use crate::server::Server;
use crate::{Options, machine};
use sample::Sample;

/// Clients that ask at the same time.
const CLIENTS: usize = 4;

/// Fills the store where it is empty, and prints hits, rate, p50, p99 and CPU time of every shape.
pub(crate) fn run(options: &Options, server: &Server) -> anyhow::Result<()> {
    if Sample::count(server, "Patient")? == 0 {
        fill(options, server)?;
    }
    let sample = Sample::take(server)?;
    println!("\nstore:   {} resources of {} patients", sample.resources, sample.patients.len());
    println!(
        "\n{:<34} {:>6} {:>9} {:>8} {:>8} {:>8} {:>9} {:>7}  query",
        "shape", "hits", "per s", "p50 ms", "p99 ms", "max ms", "CPU ms/rq", "failed"
    );
    table::SHAPES.iter().try_for_each(|shape| measure(options, server, shape, &sample))
}

/// Invents the patients and loads them, with the release program itself.
fn fill(options: &Options, server: &Server) -> anyhow::Result<()> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("shapes-patients");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let start = Instant::now();
    program(&["synth", "--patients", &options.patients.to_string(), "--compress", "zst", "--out"], &folder)?;
    let made = start.elapsed();
    program(&["load", "--server", &server.base], &folder)?;
    println!(
        "filled:  {} patients invented in {:.0} s, loaded in {:.0} s",
        options.patients,
        made.as_secs_f64(),
        (start.elapsed() - made).as_secs_f64()
    );
    // The first search waits for the index, but not for ever.
    while Sample::count(server, "Patient")? < options.patients {
        std::thread::sleep(Duration::from_millis(200));
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn program(arguments: &[&str], path: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anamnesis"));
    let output = command.args(arguments).arg(path).output()?;
    match output.status.success() {
        true => Ok(()),
        false => bail!("{:?}: {}", arguments, String::from_utf8_lossy(&output.stderr)),
    }
}

fn measure(options: &Options, server: &Server, shape: &table::Shape, sample: &Sample) -> anyhow::Result<()> {
    let all_times = Mutex::new(Vec::new());
    let (number, hits, failures) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let cpu_before = server.pid().map_or(0.0, machine::cpu_seconds);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let ask = || -> anyhow::Result<()> {
            let mut client = Client::connect(&server.base)?;
            let mut times = Vec::new();
            while start.elapsed() < options.length {
                let query = sample.fill(shape.query, number.fetch_add(1, Ordering::Relaxed));
                let sent = Instant::now();
                let answer = client.send("GET", &format!("/{query}"), b"")?;
                times.push(sent.elapsed());
                // A criterion that was left out is another query.
                let is_odd = answer.status != 200 || answer.text().contains("\"mode\":\"outcome\"");
                failures.fetch_add(usize::from(is_odd), Ordering::Relaxed);
                hits.fetch_add(answer.text().matches("\"fullUrl\"").count(), Ordering::Relaxed);
            }
            all_times.lock().map_err(|_| anyhow::anyhow!("a client failed"))?.append(&mut times);
            Ok(())
        };
        let threads: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(outcome) => outcome,
            Err(_) => bail!("a client panicked"),
        })
    })?;
    let elapsed = start.elapsed().as_secs_f64();
    let cpu = server.pid().map_or(0.0, machine::cpu_seconds) - cpu_before;
    let mut times = all_times.into_inner().map_err(|_| anyhow::anyhow!("a client failed"))?;
    times.sort();
    let requests = times.len().max(1) as f64;
    println!(
        "{:<34} {:>6.1} {:>9.0} {:>8.2} {:>8.2} {:>8.1} {:>9.3} {:>7}  {}",
        shape.name,
        hits.into_inner() as f64 / requests,
        times.len() as f64 / elapsed,
        quantile(&times, 0.5),
        quantile(&times, 0.99),
        quantile(&times, 1.0),
        cpu * 1000.0 / requests,
        failures.into_inner(),
        shape.query,
    );
    Ok(())
}
