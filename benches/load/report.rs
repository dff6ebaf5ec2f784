//! Measurements of one workload and their medians over the runs.

use std::time::Duration;

/// One measurement.
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    /// Requests answered as wanted.
    pub(crate) requests: usize,
    /// Resources these wrote or read.
    pub(crate) resources: usize,
    /// Requests answered otherwise.
    pub(crate) failures: usize,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// Sorted times of the requests.
    pub(crate) times: Vec<Duration>,
    /// CPU seconds of the server and its children.
    pub(crate) cpu: f64,
}

impl Measurement {
    fn rate(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    fn quantile(&self, q: f64) -> f64 {
        quantile(&self.times, q)
    }
}

/// The median rate of the runs, in requests a second.
pub(crate) fn rate(runs: &[Measurement]) -> f64 {
    median(runs.iter().map(Measurement::rate).collect())
}

/// The value below which the share `q` of sorted times lies, in milliseconds.
pub(crate) fn quantile(times: &[Duration], q: f64) -> f64 {
    let index = ((times.len() as f64 - 1.0) * q).max(0.0) as usize;
    times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The head of the table.
pub(crate) fn print_head() {
    println!(
        "\n{:<28} {:>7} {:>10} {:>12} {:>8} {:>8} {:>8} {:>9} {:>8}",
        "workload",
        "clients",
        "requests/s",
        "resources/s",
        "p50 ms",
        "p99 ms",
        "max ms",
        "CPU ms/rq",
        "failed"
    );
}

/// Medians over the runs of one workload.
pub(crate) fn print(name: &str, clients: usize, runs: &[Measurement]) {
    let of = |f: &dyn Fn(&Measurement) -> f64| median(runs.iter().map(f).collect());
    println!(
        "{name:<28} {clients:>7} {:>10.0} {:>12.0} {:>8.2} {:>8.2} {:>8.1} {:>9.3} {:>8}",
        of(&Measurement::rate),
        of(&|m| m.resources as f64 / m.elapsed.as_secs_f64()),
        of(&|m| m.quantile(0.5)),
        of(&|m| m.quantile(0.99)),
        of(&|m| m.quantile(1.0)),
        of(&|m| m.cpu * 1000.0 / m.requests.max(1) as f64),
        runs.iter().map(|m| m.failures).sum::<usize>(),
    );
}
