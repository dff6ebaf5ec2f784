//! Processes: each run in one of its own, and what a process really takes.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::Figure;

/// How often resident memory is looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(10);

/// Runs a workload in a process of its own: what one run leaves with the allocator is not the next one's.
pub(crate) fn run_apart(name: &str) -> anyhow::Result<Vec<Figure>> {
    let child = Command::new(std::env::current_exe()?)
        .args(std::env::args().skip(1).chain(["--child".to_owned(), name.to_owned()]))
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(child.status.success(), "{name} ended with {}", child.status);
    let text = String::from_utf8(child.stdout)?;
    text.lines().filter_map(|line| line.strip_prefix("figure\t")).map(figure).collect()
}

/// Prints figures for the process that has started this one.
pub(crate) fn tell(figures: &[Figure]) -> anyhow::Result<()> {
    for figure in figures {
        println!("figure\t{}\t{}\t{}", figure.name, figure.value, figure.unit);
    }
    Ok(())
}

fn figure(line: &str) -> anyhow::Result<Figure> {
    let mut fields = line.split('\t');
    let (name, value, unit) = (fields.next(), fields.next(), fields.next());
    Ok(Figure {
        name: name.context("no name")?.to_owned(),
        value: value.context("no value")?.parse()?,
        unit: unit.context("no unit")?.to_owned(),
    })
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0) << 10
}

/// Looks at resident memory until it is asked for the most that it has seen.
pub(crate) struct Sampler {
    most: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Sampler {
    pub(crate) fn start() -> Self {
        let (most, stop) = (Arc::new(AtomicUsize::new(resident())), Arc::new(AtomicBool::new(false)));
        let (seen, told) = (most.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                seen.fetch_max(resident(), Ordering::Relaxed);
                std::thread::sleep(SAMPLE_EVERY);
            }
        });
        Self { most, stop, thread }
    }

    /// The most that was resident, in bytes.
    pub(crate) fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            eprintln!("the sampler of memory has failed");
        }
        self.most.load(Ordering::Relaxed)
    }
}
