//! How fast the search index is built again, alone and while clients write, and what that costs them.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::client::Client;
use crate::report::{median, quantile};
use crate::server::Server;
use crate::workload::Ground;
use crate::{Options, latency};

/// How long a rebuild may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often its progress is asked for: what a time is off by at most.
const ASKED_EVERY: Duration = Duration::from_millis(20);

/// Rebuilds alone, and then while clients write at `rate`.
pub(crate) fn run(options: &Options, server: &Server, ground: &Ground<'_>, rate: f64) -> anyhow::Result<()> {
    let mut rates = Vec::new();
    for _ in 0..options.runs {
        rates.push(once(server)?);
    }
    println!(
        "\nrebuild: {:.0} resources/s until the new index is in use, nothing else going on",
        median(rates)
    );
    let (mut rates, mut tails) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        let written = std::thread::scope(|scope| {
            let begun = Instant::now();
            let rebuilt = scope.spawn(|| once(server));
            let mut times = Vec::new();
            while !rebuilt.is_finished() && begun.elapsed() < PATIENCE {
                times.extend(latency::write_for(Duration::from_secs(1), server, ground, rate)?);
            }
            let rebuilt = rebuilt.join().unwrap_or_else(|_| bail!("the rebuild panicked"))?;
            anyhow::Ok((rebuilt, times))
        });
        let (rebuilt, mut times) = written?;
        times.sort_unstable();
        rates.push(rebuilt);
        tails.push(quantile(&times, 0.99));
    }
    println!(
        "rebuild: {:.0} resources/s at {rate:.0} creates a second, whose p99 is {:.1} ms meanwhile",
        median(rates),
        median(tails)
    );
    Ok(())
}

/// Resources a second.
fn once(server: &Server) -> anyhow::Result<f64> {
    let mut client = Client::connect(&format!("{}/default", server.root))?;
    let begun = Instant::now();
    let order = br#"{"projection":"search"}"#;
    let headers = "Content-Type: application/json\r\n";
    let answer = client.send_as("POST", "/$rebuild", headers, order)?;
    if answer.status != 202 {
        bail!("a rebuild was answered with {}: {}", answer.status, answer.text());
    }
    let version = number(&answer.text(), "version").context("no version")?;
    while begun.elapsed() < PATIENCE {
        let listed = client.send("GET", "/$projections", b"")?.text();
        if number(&listed, "active") == Some(version) {
            let events = number(&listed, "head").context("no head")?;
            return Ok(events as f64 / begun.elapsed().as_secs_f64());
        }
        std::thread::sleep(ASKED_EVERY);
    }
    bail!("the rebuild took too long")
}

/// The first number under this name in a JSON text.
fn number(text: &str, name: &str) -> Option<u64> {
    let rest = text.split(&format!("\"{name}\":")).nth(1)?.trim_start();
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}
