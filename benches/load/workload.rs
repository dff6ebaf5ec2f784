//! The workloads: creates, transactions, reads, searches; each measured several times, interleaved within its phase.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::client::Client;
use crate::report::{self, Measurement};
use crate::seed::wait_caught_up;
use crate::server::Server;
use crate::{Options, data, machine};

/// Makes the n-th request: method, path, body, and how many resources it is about.
type Request<'a> = dyn Fn(usize) -> (&'static str, String, Vec<u8>, usize) + Sync + 'a;

struct Workload<'a> {
    name: &'static str,
    clients: usize,
    status: u16,
    request: Box<Request<'a>>,
}

/// What the workloads work on.
pub(crate) struct Ground<'a> {
    pub(crate) patients: usize,
    /// Ids of Observations that are there.
    pub(crate) ids: &'a [String],
    /// Numbers the Observations that are made, so that none is made twice.
    pub(crate) next: &'a AtomicUsize,
}

impl Ground<'_> {
    /// The n-th patient of a walk over all of them.
    fn patient(&self, n: usize) -> usize {
        n.wrapping_mul(7919) % self.patients
    }

    /// A new Observation of the n-th patient of the walk.
    pub(crate) fn fresh(&self, n: usize) -> String {
        let number = 1_000_000 + self.next.fetch_add(1, Ordering::Relaxed);
        data::observation(&format!("bench-{}", self.patient(n)), number)
    }
}

/// Measures what reads, over the store as it was seeded; then what writes, which makes it grow; then the search once
/// more. Gives the median rate of creates, if they were measured.
pub(crate) fn run(options: &Options, server: &Server, ground: &Ground<'_>) -> anyhow::Result<Option<f64>> {
    report::print_head();
    let mut creates = None;
    for workloads in [reading(ground), writing(ground), vec![search(ground, "search, the store grown", 32)]] {
        let chosen: Vec<Workload<'_>> = workloads
            .into_iter()
            .map(|workload| Workload { clients: options.clients.unwrap_or(workload.clients), ..workload })
            .filter(|workload| options.chooses(workload.name))
            .collect();
        let mut results: Vec<Vec<Measurement>> = vec![Vec::new(); chosen.len()];
        for _ in 0..options.runs {
            for (workload, results) in chosen.iter().zip(&mut results) {
                results.push(measure(workload, options.length, server)?);
            }
        }
        for (workload, results) in chosen.iter().zip(&results) {
            report::print(workload.name, workload.clients, results);
            if workload.name == CREATE {
                creates = Some(report::rate(results));
            }
        }
    }
    Ok(creates)
}

const CREATE: &str = "create";

fn reading<'a>(ground: &'a Ground<'a>) -> Vec<Workload<'a>> {
    let read = |n: usize| {
        let id = ground.ids.get(n.wrapping_mul(7919) % ground.ids.len().max(1)).map_or("", String::as_str);
        ("GET", format!("/Observation/{id}"), Vec::new(), 1)
    };
    vec![
        Workload { name: "read by id", clients: 32, status: 200, request: Box::new(read) },
        search(ground, "search patient+code+sort", 32),
        search(ground, "search, 8 clients", 8),
    ]
}

fn search<'a>(ground: &'a Ground<'a>, name: &'static str, clients: usize) -> Workload<'a> {
    let search = |n: usize| {
        let path = format!(
            "/Observation?patient=bench-{}&code={}&_sort=-date&_count=50",
            ground.patient(n),
            data::code(n / ground.patients + n)
        );
        ("GET", path, Vec::new(), 1)
    };
    Workload { name, clients, status: 200, request: Box::new(search) }
}

fn writing<'a>(ground: &'a Ground<'a>) -> Vec<Workload<'a>> {
    let create = |n: usize| ("POST", "/Observation".to_owned(), ground.fresh(n).into_bytes(), 1);
    let transaction = |n: usize| {
        let resources = (0..100).map(|i| ground.fresh(n * 100 + i));
        ("POST", String::new(), data::bundle_of("Observation", resources).into_bytes(), 100)
    };
    vec![
        Workload { name: "transaction of 100", clients: 8, status: 200, request: Box::new(transaction) },
        Workload { name: CREATE, clients: 32, status: 201, request: Box::new(create) },
    ]
}

fn measure(workload: &Workload<'_>, length: Duration, server: &Server) -> anyhow::Result<Measurement> {
    let all_times = Mutex::new(Vec::new());
    let (number, resources, failures) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let cpu_before = server.pid().map_or(0.0, machine::cpu_seconds);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workload.clients)
            .map(|_| {
                scope.spawn(|| -> anyhow::Result<()> {
                    let mut client = Client::connect(&server.base)?;
                    let mut times = Vec::new();
                    while start.elapsed() < length {
                        let (method, path, body, count) =
                            (workload.request)(number.fetch_add(1, Ordering::Relaxed));
                        let sent = Instant::now();
                        let status = client.send(method, &path, &body)?.status;
                        if status == workload.status {
                            times.push(sent.elapsed());
                            resources.fetch_add(count, Ordering::Relaxed);
                        } else {
                            failures.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    all_times.lock().map_err(|_| anyhow::anyhow!("a client failed"))?.append(&mut times);
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(outcome) => outcome,
            Err(_) => bail!("a client panicked"),
        })
    })?;
    let elapsed = start.elapsed();
    wait_caught_up(server)?;
    let cpu = server.pid().map_or(0.0, machine::cpu_seconds) - cpu_before;
    let mut times = all_times.into_inner().map_err(|_| anyhow::anyhow!("a client failed"))?;
    times.sort();
    let (requests, resources, failures) = (times.len(), resources.into_inner(), failures.into_inner());
    Ok(Measurement { requests, resources, failures, elapsed, times, cpu })
}
