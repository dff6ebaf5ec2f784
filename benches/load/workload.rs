//! The workloads: seeding, creates, transactions, reads, searches; each measured several times, interleaved.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::client::Client;
use crate::report::{self, Measurement};
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

/// Seeds the store and measures all workloads.
pub(crate) fn run(options: &Options, server: &Server) -> anyhow::Result<()> {
    let patients = data::patients(options.resources);
    let ids = seed(options, server, patients)?;
    let next = AtomicUsize::new(0);
    let all = workloads(patients, &ids, &next);
    let chosen: Vec<&Workload<'_>> = all
        .iter()
        .filter(|w| options.only.is_empty() || options.only.iter().any(|name| w.name.starts_with(name)))
        .collect();
    let mut results: Vec<Vec<Measurement>> = vec![Vec::new(); chosen.len()];
    for _ in 0..options.runs {
        for (workload, results) in chosen.iter().zip(&mut results) {
            results.push(measure(workload, options.length, server)?);
        }
    }
    report::print_head();
    for (workload, results) in chosen.iter().zip(&results) {
        report::print(workload.name, workload.clients, results);
    }
    print_store(server)
}

fn workloads<'a>(patients: usize, ids: &'a [String], next: &'a AtomicUsize) -> Vec<Workload<'a>> {
    let spread = move |n: usize| (n.wrapping_mul(7919)) % patients;
    let fresh = move || 1_000_000 + next.fetch_add(1, Ordering::Relaxed);
    let create = move |n: usize| {
        let body = data::observation(&format!("bench-{}", spread(n)), fresh());
        ("POST", "/Observation".to_owned(), body.into_bytes(), 1)
    };
    let transaction = move |n: usize| {
        let body = data::observation_bundle((0..100).map(|i| (spread(n * 100 + i), fresh())));
        ("POST", String::new(), body.into_bytes(), 100)
    };
    let read = move |n: usize| {
        let id = ids.get(n.wrapping_mul(7919) % ids.len().max(1)).map_or("", String::as_str);
        ("GET", format!("/Observation/{id}"), Vec::new(), 1)
    };
    let search = move |n: usize| {
        let path = format!(
            "/Observation?patient=bench-{}&code={}&_sort=-date&_count=50",
            spread(n),
            data::code(n / patients.max(1) + n)
        );
        ("GET", path, Vec::new(), 1)
    };
    vec![
        Workload { name: "create", clients: 32, status: 201, request: Box::new(create) },
        Workload { name: "transaction of 100", clients: 8, status: 200, request: Box::new(transaction) },
        Workload { name: "read by id", clients: 32, status: 200, request: Box::new(read) },
        Workload { name: "search patient+code+sort", clients: 32, status: 200, request: Box::new(search) },
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

/// Fills the store through transaction bundles; gives the ids of some Observations.
fn seed(options: &Options, server: &Server, patients: usize) -> anyhow::Result<Vec<String>> {
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
fn wait_caught_up(server: &Server) -> anyhow::Result<()> {
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

fn print_store(server: &Server) -> anyhow::Result<()> {
    let mut client = Client::connect(&server.base)?;
    let answer = client.send("GET", "/Observation?_summary=count&_total=accurate", b"")?;
    let text = String::from_utf8_lossy(answer.body).into_owned();
    let total = text.split("\"total\":").nth(1).context("no total")?;
    let total: u64 = total.chars().take_while(char::is_ascii_digit).collect::<String>().parse()?;
    println!("\nstore:   {total} Observations");
    if let Some(pid) = server.pid() {
        println!("memory:  {} MiB resident in the server process", machine::resident_mib(pid));
    }
    for (part, bytes) in server.disk() {
        println!(
            "disk:    {part:<12} {:>6} MiB, {:>6} bytes per Observation",
            bytes >> 20,
            bytes / total.max(1)
        );
    }
    Ok(())
}
