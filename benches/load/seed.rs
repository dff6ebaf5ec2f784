//! Fills the store before anything is measured, and waits until relay and projection have caught up.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::Options;
use crate::client::Client;
use crate::data;
use crate::server::Server;

/// Fills the store through transaction bundles; gives the ids of some Observations.
pub(crate) fn seed(options: &Options, server: &Server, patients: usize) -> anyhow::Result<Vec<String>> {
    let start = Instant::now();
    let mut client = Client::connect(&server.base)?;
    for first in (0..patients).step_by(100) {
        let answer =
            client.send("POST", "", data::patient_bundle(first..(first + 100).min(patients)).as_bytes())?;
        if answer.status != 200 {
            bail!("seeding patients: {} {}", answer.status, String::from_utf8_lossy(answer.body));
        }
    }
    let ids = Mutex::new(Vec::new());
    let bundle = AtomicUsize::new(0);
    let bundles = options.resources / 100;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| -> anyhow::Result<()> {
                    let mut client = Client::connect(&server.base)?;
                    loop {
                        let n = bundle.fetch_add(1, Ordering::Relaxed);
                        if n >= bundles {
                            return Ok(());
                        }
                        let of = (0..100).map(|i| (n % patients, n / patients * 100 + i));
                        let answer = client.send("POST", "", data::observation_bundle(of).as_bytes())?;
                        if answer.status != 200 {
                            bail!("seeding: {} {}", answer.status, String::from_utf8_lossy(answer.body));
                        }
                        let text = String::from_utf8_lossy(answer.body);
                        let found =
                            text.split("Observation/").skip(1).filter_map(|rest| rest.split('/').next());
                        let mut ids = ids.lock().map_err(|_| anyhow::anyhow!("a client failed"))?;
                        ids.extend(found.map(str::to_owned));
                    }
                })
            })
            .collect();
        threads.into_iter().try_for_each(|t| t.join().unwrap_or_else(|_| bail!("a client panicked")))
    })?;
    let written = start.elapsed();
    wait_caught_up(server)?;
    println!(
        "seeded:  {} Observations of {patients} patients in {:.1} s, searchable after {:.1} s",
        bundles * 100,
        written.as_secs_f64(),
        start.elapsed().as_secs_f64()
    );
    ids.into_inner().map_err(|_| anyhow::anyhow!("a client failed"))
}

/// Waits until the relay and the search projection have reached the log's head.
pub(crate) fn wait_caught_up(server: &Server) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(300);
    while Instant::now() < until {
        let mut client = Client::connect(&server.root)?;
        let text = String::from_utf8_lossy(client.send("GET", "metrics", b"")?.body).into_owned();
        let lags: Vec<f64> = text
            .lines()
            .filter(|line| line.starts_with("anamnesis_") && line.contains("lag_events"))
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        if !lags.is_empty() && lags.iter().all(|lag| *lag == 0.0) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("the relay or a projection did not catch up")
}
