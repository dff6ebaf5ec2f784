//! The workloads: actors over a real log, with what they account for and what the process takes.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anamnesis::actors::{ActorOptions, Compartments, MemoryUse, Outcome, Residents, WriteError};
use anamnesis::decide::{Candidate, Command, Decision, Expected, Provenance, Rules, decide};
use anamnesis_engines::testing;
use anamnesis_events::{Group, Log, LogOptions, ResourceKey, Version};
use anamnesis_fhir::json::{Document, Limits};
use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Runtime;

use crate::process::{Sampler, resident};
use crate::{Figure, Options};

/// Writers at the same time.
const CLIENTS: usize = 64;
/// Actors and resources that are made before measuring, so that tables and pools have their size.
const WARM_UP: usize = 2_000;
/// Actors that the cost of one is measured with.
const ACTORS: usize = 100_000;
/// Resources that the cost of remembering one is measured with, in compartments of a hundred.
const REMEMBERED: usize = 50_000;
/// Resources in one transaction when the large compartment is set up.
const GROUP: usize = 200;
/// How often a refused write is tried again, every 10 ms.
const TRIES_MAX: usize = 3_000;

/// What a resident actor and a remembered resource cost.
pub(crate) fn cost(_: &Options) -> anyhow::Result<Vec<Figure>> {
    in_runtime(async {
        let options = ActorOptions {
            memory_bytes_max: 8 << 30,
            cache_bytes_max: 4 << 30,
            resident_max: usize::MAX / 2,
            idle_timeout: Duration::from_secs(3600),
            ..ActorOptions::default()
        };
        let bench = Bench::start(options).await?;
        each(0..WARM_UP, |n| bench.refused(format!("warm{n}"))).await?;
        let (before, accounted) = (resident(), bench.usage());
        each(0..ACTORS, |n| bench.refused(format!("none{n}"))).await?;
        let actor = (resident() - before) as f64 / ACTORS as f64;
        let actor_accounted = (bench.usage().actor_bytes - accounted.actor_bytes) as f64 / ACTORS as f64;
        each(0..WARM_UP, |n| bench.observe(format!("Patient/w{}", n / 100), format!("w{n}"), 0)).await?;
        let (before, accounted) = (resident(), bench.usage());
        each(0..REMEMBERED, |n| bench.observe(format!("Patient/none{}", n / 100), format!("o{n}"), 0))
            .await?;
        let kept = (resident() - before) as f64 / REMEMBERED as f64;
        let kept_accounted = (bench.usage().cached_bytes - accounted.cached_bytes) as f64 / REMEMBERED as f64;
        let body = body("Patient/none0", "o0", 0).len() as f64;
        bench.stop().await;
        Ok(vec![
            figure("an actor, resident", actor, "B"),
            figure("an actor, accounted", actor_accounted, "B"),
            figure("a resource of that many bytes, as sent", body, "B"),
            figure("a remembered resource, resident", kept, "B"),
            figure("a remembered resource, accounted", kept_accounted, "B"),
        ])
    })
}

/// Many patients, each touched once.
pub(crate) fn patients(options: &Options) -> anyhow::Result<Vec<Figure>> {
    in_runtime(async {
        let bench = Bench::start(bounded(options)).await?;
        each(0..WARM_UP, |n| bench.put_patient(format!("warm{n}"))).await?;
        bench.measure(options.patients, |n| bench.put_patient(format!("p{n}"))).await
    })
}

/// One patient with very many resources, each of them touched once after all are there.
pub(crate) fn compartment(options: &Options) -> anyhow::Result<Vec<Figure>> {
    in_runtime(async {
        let bench = Bench::start(bounded(options)).await?;
        for number in 0..options.resources / GROUP {
            bench.group("Patient/large", number).await?;
        }
        let resources = options.resources / GROUP * GROUP;
        bench.measure(resources, |n| bench.observe("Patient/large".to_owned(), format!("r{n}"), 1)).await
    })
}

fn bounded(options: &Options) -> ActorOptions {
    ActorOptions {
        memory_bytes_max: options.memory_bytes,
        cache_bytes_max: options.memory_bytes / 2,
        ..ActorOptions::default()
    }
}

fn in_runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    Runtime::new()?.block_on(work)
}

/// Does something for each number, by as many clients at once as there are.
async fn each<F>(numbers: std::ops::Range<usize>, work: impl Fn(usize) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    futures::stream::iter(numbers.map(work)).buffer_unordered(CLIENTS).try_collect().await
}

fn figure(name: &str, value: f64, unit: &str) -> Figure {
    Figure { name: name.to_owned(), value, unit: unit.to_owned() }
}

/// Log and actors.
struct Bench {
    log: Log,
    actors: Compartments,
}

impl Bench {
    async fn start(options: ActorOptions) -> anyhow::Result<Self> {
        let url = testing::postgres().await.fresh_database().await;
        let log = Log::open(&url, "default", LogOptions::default()).await?;
        let actors = Compartments::start(log.clone(), Rules::default(), options)?;
        Ok(Self { log, actors })
    }

    async fn stop(&self) {
        self.actors.stop();
        self.log.close().await;
    }

    fn usage(&self) -> MemoryUse {
        self.actors.memory().usage()
    }

    /// Does the work and tells how the memory fared.
    async fn measure<F>(&self, count: usize, work: impl Fn(usize) -> F) -> anyhow::Result<Vec<Figure>>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        const MIB: f64 = 1024.0 * 1024.0;
        let (before, head) = (resident(), self.log.head().await?.get());
        let sampler = Sampler::start();
        let started = Instant::now();
        each(0..count, work).await?;
        let seconds = started.elapsed().as_secs_f64();
        let most = sampler.finish();
        let usage = self.usage();
        let Residents { total, rested, refused, .. } = self.actors.residents(0);
        let written = self.log.head().await?.get() - head;
        self.stop().await;
        if usage.bytes_peak > usage.bytes_max {
            bail!("{} bytes were accounted for, over the bound of {}", usage.bytes_peak, usage.bytes_max);
        }
        if written != count as u64 {
            bail!("{written} of {count} writes are in the log");
        }
        Ok(vec![
            figure("written", written as f64, "events"),
            figure("rate", written as f64 / seconds, "events/s"),
            figure("bound", usage.bytes_max as f64 / MIB, "MiB"),
            figure("accounted at the most", usage.bytes_peak as f64 / MIB, "MiB"),
            figure("accounted at the end", usage.bytes as f64 / MIB, "MiB"),
            figure("growth of the process at the most", most.saturating_sub(before) as f64 / MIB, "MiB"),
            figure("actors resident at the end", total as f64, ""),
            figure("actors put to rest for room", rested.for_room as f64, ""),
            figure("writes refused for memory, then repeated", refused.memory_full as f64, ""),
            figure("writes refused for a full queue", refused.queue_full as f64, ""),
        ])
    }

    /// Wakes an actor that has nothing to remember: the expected version is not there.
    async fn refused(&self, id: String) -> anyhow::Result<()> {
        let command = update(ResourceKey::new("Patient", id.as_str()), patient(&id), Some(7))?;
        match self.actors.submit(command, provenance()).await {
            Err(WriteError::Refused(_)) => Ok(()),
            other => bail!("not refused: {other:?}"),
        }
    }

    async fn put_patient(&self, id: String) -> anyhow::Result<()> {
        self.write(update(ResourceKey::new("Patient", id.as_str()), patient(&id), None)?).await
    }

    async fn observe(&self, subject: String, id: String, round: usize) -> anyhow::Result<()> {
        self.write(update(ResourceKey::new("Observation", id.as_str()), body(&subject, &id, round), None)?)
            .await
    }

    /// Writes, again where there is no room now, as a client does.
    async fn write(&self, command: Command) -> anyhow::Result<()> {
        for _ in 0..TRIES_MAX {
            match self.actors.submit(command.clone(), provenance()).await {
                Ok(Outcome::Written { .. }) => return Ok(()),
                Err(WriteError::Busy | WriteError::Crowded) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                other => bail!("not written: {other:?}"),
            }
        }
        bail!("refused again and again")
    }

    /// Many new resources of a patient in one transaction.
    async fn group(&self, subject: &str, number: usize) -> anyhow::Result<()> {
        let mut drafts = Vec::with_capacity(GROUP);
        for n in number * GROUP..(number + 1) * GROUP {
            let id = format!("r{n}");
            let command = update(ResourceKey::new("Observation", id.as_str()), body(subject, &id, 0), None)?;
            match decide(&command, None, self.actors.rules(), &provenance())? {
                Decision::Append(draft) => drafts.push(*draft),
                other => bail!("not decided: {other:?}"),
            }
        }
        let group =
            Group { drafts, transaction: Some(anamnesis::clock::new_transaction_id()), ..Group::default() };
        let recorded = self.actors.commit(subject, group, None).await?;
        recorded.last().map(|_| ()).context("nothing was recorded")
    }
}

fn provenance() -> Provenance {
    Provenance::of(Arc::from("bench"))
}

fn update(key: ResourceKey, text: String, version: Option<u32>) -> anyhow::Result<Command> {
    let candidate = Arc::new(Candidate::new(key, Document::parse(text, &Limits::default())?, &[]));
    let expected =
        version.map_or(Expected::Anything, |number| Expected::Versions(vec![Version::new(number)]));
    Ok(Command::Update { candidate, expected, unless_held: Vec::new() })
}

fn patient(id: &str) -> String {
    format!(
        r#"{{"resourceType":"Patient","id":"{id}","text":{{"status":"generated","div":"{}"}},"gender":"other"}}"#,
        "<div xmlns='http://www.w3.org/1999/xhtml'>".to_owned() + &"x".repeat(1000) + "</div>"
    )
}

fn body(subject: &str, id: &str, round: usize) -> String {
    let note = "n".repeat(1000);
    format!(
        r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"8867-4"}}],"text":"Heart rate"}},"subject":{{"reference":"{subject}"}},"valueInteger":{round},"note":[{{"text":"{note}"}}]}}"#
    )
}
