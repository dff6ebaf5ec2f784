//! How long a write takes to be found and to be told of, while the server writes at half of what it can.
//!
//! The clients send at fixed times, whether or not the answers before have come, as clients do that know nothing of
//! each other. All times count from the answer to the write, when its client may first rely on it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures::StreamExt;

use crate::client::Client;
use crate::report::{median, quantile};
use crate::seed::wait_caught_up;
use crate::server::Server;
use crate::workload::Ground;
use crate::{Options, data};

/// Clients that write at fixed times.
const CLIENTS: usize = 32;
/// Clients that write, and then ask for what they have written until it is found.
const PROBES: usize = 2;
/// The pause of a probe between two writes, so that asking is not the load.
const PROBE_PAUSE: Duration = Duration::from_millis(5);
/// How long after the last write its message may still come.
const FEED_PATIENCE: Duration = Duration::from_secs(5);

/// The sorted times of one run.
#[derive(Default)]
struct Times {
    answered: Vec<Duration>,
    in_feed: Vec<Duration>,
    searchable: Vec<Duration>,
    found_at_once: Vec<Duration>,
}

/// One of the kinds of times.
type Of = fn(&Times) -> &Vec<Duration>;

/// Measures at `rate` writes a second.
pub(crate) fn run(options: &Options, server: &Server, ground: &Ground<'_>, rate: f64) -> anyhow::Result<()> {
    let mut runs = Vec::new();
    for _ in 0..options.runs {
        runs.push(once(options.length, server, ground, rate)?);
        wait_caught_up(server)?;
    }
    println!(
        "\nat {rate:.0} creates a second         samples   p50 ms   p99 ms   max ms   (medians of {} runs)",
        runs.len()
    );
    let lines: [(&str, Of); 4] = [
        ("sent to answered", |times| &times.answered),
        ("answered to in the feed", |times| &times.in_feed),
        ("answered to searchable", |times| &times.searchable),
        ("a search right after the write", |times| &times.found_at_once),
    ];
    for (name, of) in lines {
        let at = |q: f64| median(runs.iter().map(|times| quantile(of(times), q)).collect());
        let samples: usize = runs.iter().map(|times| of(times).len()).sum();
        println!("{name:<32} {samples:>9} {:>8.2} {:>8.2} {:>8.1}", at(0.5), at(0.99), at(1.0));
    }
    Ok(())
}

fn once(length: Duration, server: &Server, ground: &Ground<'_>, rate: f64) -> anyhow::Result<Times> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (listening, ready) = std::sync::mpsc::channel();
    let (finished, last) = (AtomicBool::new(false), AtomicU64::new(0));
    let nats = server.nats()?;
    std::thread::scope(|scope| {
        let listener = scope.spawn(|| runtime.block_on(listen(&nats, listening, &finished, &last)));
        ready.recv_timeout(Duration::from_secs(30)).context("the feed cannot be heard")?;
        let written = write(length, server, ground, rate);
        if let Ok((written, _)) = &written {
            last.store(written.iter().map(|one| one.position).max().unwrap_or(0), Ordering::SeqCst);
        }
        finished.store(true, Ordering::SeqCst);
        let arrived = listener.join().unwrap_or_else(|_| bail!("the listener panicked"))?;
        let (written, probed) = written?;
        let delay = |one: &Written| -> anyhow::Result<Duration> {
            let position = one.position;
            let arrived =
                arrived.get(&position).with_context(|| format!("position {position} never came"))?;
            Ok(arrived.saturating_duration_since(one.answered))
        };
        let in_feed = written.iter().map(delay).collect::<anyhow::Result<Vec<_>>>()?;
        let answered = written.iter().map(|one| one.took).collect();
        let (searchable, found_at_once) = probed.into_iter().unzip();
        let mut times = Times { answered, in_feed, searchable, found_at_once };
        let all = [&mut times.answered, &mut times.in_feed, &mut times.searchable, &mut times.found_at_once];
        all.into_iter().for_each(|times| times.sort_unstable());
        Ok(times)
    })
}

/// Notes when each message arrives, until the last position that was written has come.
async fn listen(
    nats: &str,
    listening: std::sync::mpsc::Sender<()>,
    finished: &AtomicBool,
    last: &AtomicU64,
) -> anyhow::Result<HashMap<u64, Instant>> {
    let context = async_nats::jetstream::new(async_nats::connect(nats).await?);
    let stream = context.get_stream("ANAMNESIS_default").await?;
    let config = OrderedConfig { deliver_policy: DeliverPolicy::New, ..OrderedConfig::default() };
    let mut messages = stream.create_consumer(config).await?.messages().await?;
    listening.send(())?;
    let (mut arrived, mut until) = (HashMap::new(), None);
    loop {
        if finished.load(Ordering::SeqCst) {
            let until = *until.get_or_insert_with(|| Instant::now() + FEED_PATIENCE);
            if arrived.contains_key(&last.load(Ordering::SeqCst)) || Instant::now() > until {
                return Ok(arrived);
            }
        }
        // A look at the flag now and then, also when nothing comes.
        if let Ok(message) = tokio::time::timeout(Duration::from_millis(50), messages.next()).await {
            let message = message.context("the feed has ended")??;
            let position = message.info().map_err(|error| anyhow::anyhow!(error))?.stream_sequence;
            arrived.insert(position, Instant::now());
        }
    }
}

/// What one write was answered with.
struct Written {
    /// From when it was due: a server that holds everybody up is not excused.
    took: Duration,
    position: u64,
    answered: Instant,
}

/// The times of probes: until found, and of the search that waits.
type Probed = Vec<(Duration, Duration)>;

/// Writes at the rate, and probes meanwhile: of each probe the time until its write was found, and how long a search
/// took that waits for the index.
fn write(
    length: Duration,
    server: &Server,
    ground: &Ground<'_>,
    rate: f64,
) -> anyhow::Result<(Vec<Written>, Probed)> {
    let number = AtomicUsize::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let writer = || pace(server, ground, rate, (start, length), &number);
        let writers: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(writer)).collect();
        let probes: Vec<_> = (0..PROBES)
            .map(|probe| scope.spawn(move || probe_until(server, probe, start + length)))
            .collect();
        let (mut written, mut probed) = (Vec::new(), Vec::new());
        for writer in writers {
            written.extend(writer.join().unwrap_or_else(|_| bail!("a client panicked"))?);
        }
        for probe in probes {
            probed.extend(probe.join().unwrap_or_else(|_| bail!("a probe panicked"))?);
        }
        Ok((written, probed))
    })
}

/// Writes at the rate without probing; gives how long each write took.
pub(crate) fn write_for(
    length: Duration,
    server: &Server,
    ground: &Ground<'_>,
    rate: f64,
) -> anyhow::Result<Vec<Duration>> {
    let (number, start) = (AtomicUsize::new(0), Instant::now());
    std::thread::scope(|scope| {
        let writer = || pace(server, ground, rate, (start, length), &number);
        let writers: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(writer)).collect();
        let mut times = Vec::new();
        for writer in writers {
            let written = writer.join().unwrap_or_else(|_| bail!("a client panicked"))?;
            times.extend(written.iter().map(|one| one.took));
        }
        Ok(times)
    })
}

/// One of the writers: takes the next number and sends it when it is due.
fn pace(
    server: &Server,
    ground: &Ground<'_>,
    rate: f64,
    (start, length): (Instant, Duration),
    number: &AtomicUsize,
) -> anyhow::Result<Vec<Written>> {
    let mut client = Client::connect(&server.base)?;
    let mut written = Vec::new();
    loop {
        let n = number.fetch_add(1, Ordering::Relaxed);
        let due = Duration::from_secs_f64(n as f64 / rate);
        if due >= length {
            return Ok(written);
        }
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        let body = ground.fresh(n);
        let answer = client.send("POST", "/Observation", body.as_bytes())?;
        let answered = Instant::now();
        if answer.status != 201 {
            bail!("a create was answered with {}", answer.status);
        }
        let took = answered.duration_since(start).saturating_sub(due);
        written.push(Written { took, position: answer.position().context("no position")?, answered });
    }
}

fn probe_until(server: &Server, probe: usize, end: Instant) -> anyhow::Result<Probed> {
    let mut client = Client::connect(&server.base)?;
    let mut found = Vec::new();
    while Instant::now() < end {
        let name = format!("probe-{probe}-{}", std::time::UNIX_EPOCH.elapsed()?.as_micros());
        found.push(probe_once(&mut client, &name)?);
        std::thread::sleep(PROBE_PAUSE);
    }
    Ok(found)
}

/// Writes twice: asks for the first again and again without waiting for the index, for the second once, waiting.
fn probe_once(client: &mut Client, name: &str) -> anyhow::Result<(Duration, Duration)> {
    const EVENTUAL: &str = "x-ms-consistency-level: eventual\r\n";
    let mut times = [Duration::ZERO; 2];
    for (way, time) in times.iter_mut().enumerate() {
        let patient = format!("{name}-{way}");
        let status = client.send("POST", "/Observation", data::observation(&patient, 1).as_bytes())?.status;
        let answered = Instant::now();
        if status != 201 {
            bail!("a probe was answered with {status}");
        }
        let path = format!("/Observation?patient={patient}");
        let headers = if way == 0 { EVENTUAL } else { "" };
        loop {
            let answer = client.send_with("GET", &path, headers, b"")?;
            if answer.text().contains(&patient) && answer.text().contains("\"entry\"") {
                break;
            }
            if way == 1 {
                bail!("a search did not find what was written before it");
            }
        }
        *time = answered.elapsed();
    }
    let [searchable, found_at_once] = times;
    Ok((searchable, found_at_once))
}
