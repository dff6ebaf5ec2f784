//! `anamnesis load`: sends bundles and resources from files to a server.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueHint};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::output;
use super::token::Token;
use crate::clock;
use crate::load::{self, CONCURRENCY_DEFAULT, Failure, Observer, Options, RETRIES_DEFAULT, Source, Summary};

/// So many failures are shown; the report has all of them.
const FAILURES_SHOWN_MAX: usize = 20;

/// Without a terminal, progress is told once in this time.
const PROGRESS_LINE_PAUSE: Duration = Duration::from_secs(10);

/// Send bundles and resources from files to a FHIR server
///
/// Takes JSON files with one bundle or resource each, and NDJSON files with one a line, also compressed (.gz, .zst).
/// Transactions and batches are sent as they are. The entries of other bundles and single resources are gathered into
/// batches of up to 100 and written by PUT when they have an id, by POST otherwise. Files of organizations, locations
/// and practitioners go first, then all others by name.
///
/// A busy server (429, 503) and a broken connection are tried again after a growing pause; every other refusal is
/// final and reported. Ctrl-C waits for the requests under way and then stops; a second one stops at once.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Files, or directories that are searched for .json and .ndjson files
    #[arg(required = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,

    /// The base address of the FHIR service
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/default/fhir", value_hint = ValueHint::Url)]
    server: Url,

    /// How many requests are under way at once
    #[arg(long, value_name = "COUNT", default_value_t = CONCURRENCY_DEFAULT as u64, value_parser = clap::value_parser!(u64).range(1..=256))]
    concurrency: u64,

    /// How often one request is repeated at most
    #[arg(long, value_name = "COUNT", default_value_t = RETRIES_DEFAULT, value_parser = clap::value_parser!(u32).range(0..=100))]
    retries: u32,

    /// Read back every resource and compare it with what was sent
    ///
    /// They must be equal to the letter of every number, but for ids, meta.versionId, meta.lastUpdated and the
    /// references that the server resolves.
    #[arg(long)]
    verify: bool,

    /// Write everything that failed to this file, one JSON object a line
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    report: Option<PathBuf>,

    #[command(flatten)]
    token: Token,
}

impl Arguments {
    /// One file, and everything else as it is unless told otherwise.
    pub(super) fn of_file(file: PathBuf, server: Url, token: Token) -> Self {
        let (concurrency, retries) = (CONCURRENCY_DEFAULT as u64, RETRIES_DEFAULT);
        Self { paths: vec![file], server, concurrency, retries, verify: false, report: None, token }
    }
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    if !matches!(arguments.server.scheme(), "http" | "https") || arguments.server.cannot_be_a_base() {
        anyhow::bail!("--server: {} is not an http or https address", arguments.server);
    }
    let report = arguments.report.as_ref().map(Report::create).transpose()?;
    let options = Options {
        paths: arguments.paths,
        server: arguments.server,
        concurrency: usize::try_from(arguments.concurrency)?,
        retries: arguments.retries,
        verify: arguments.verify,
        headers: arguments.token.headers()?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut display = Display::new(report);
    let begin = clock::elapsed();
    let outcome = runtime.block_on(load_until_stopped(&options, &mut display));
    // A reader that waits for a slow disk is not waited for.
    runtime.shutdown_background();
    display.bar.finish_and_clear();
    display.finish_report()?;
    let summary = outcome?;
    let told = display.tell(&summary, clock::elapsed().saturating_sub(begin));
    conclude(&summary).and(told)
}

/// Loads, and stops at Ctrl-C or SIGTERM: the first time in order, the second time at once.
async fn load_until_stopped(options: &Options, display: &mut Display) -> anyhow::Result<Summary> {
    let stop = CancellationToken::new();
    let (mut interrupts, mut terminations) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stopping = async {
        for _ in 0..2 {
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
            }
            if stop.is_cancelled() {
                return;
            }
            stop.cancel();
        }
    };
    tokio::select! {
        summary = load::load(options, display, &stop) => Ok(summary?),
        () = stopping => anyhow::bail!("stopped at once: what was under way may or may not have been stored"),
    }
}

/// Turns what is not complete into the error that the command ends with.
fn conclude(summary: &Summary) -> anyhow::Result<()> {
    if summary.server_lost {
        anyhow::bail!("the server can no longer be reached; the rest was not tried");
    }
    if summary.interrupted {
        anyhow::bail!("stopped before the end; what is listed as accepted is stored");
    }
    if summary.failed > 0 {
        anyhow::bail!("not everything was loaded: {} failed", summary.failed);
    }
    Ok(())
}

/// Shows what happens, on a terminal or line by line, and writes the report.
struct Display {
    bar: ProgressBar,
    report: Option<Report>,
    terminal: bool,
    bytes: u64,
    shown: usize,
    last_line: Duration,
}

impl Display {
    fn new(report: Option<Report>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let look =
            "{bar:30} {percent:>3}% {decimal_bytes}/{decimal_total_bytes} {elapsed} (still {eta}) {msg}";
        if let Ok(style) = ProgressStyle::with_template(look) {
            bar.set_style(style);
        }
        Self { bar, report, terminal, bytes: 0, shown: 0, last_line: clock::elapsed() }
    }

    fn line(&self, text: &str) {
        if self.terminal {
            self.bar.println(text);
        } else {
            eprintln!("{text}");
        }
    }

    fn finish_report(&mut self) -> anyhow::Result<()> {
        self.report.take().map_or(Ok(()), Report::finish)
    }

    fn tell(&self, summary: &Summary, took: Duration) -> anyhow::Result<()> {
        let seconds = took.as_secs_f64().max(0.001);
        let mut text = format!(
            "{} entries accepted in {} requests from {} files, {} failed, {} repeated, in {seconds:.1} s ({:.0} a second)",
            summary.accepted,
            summary.requests,
            summary.files,
            summary.failed,
            summary.retries,
            summary.accepted as f64 / seconds,
        );
        if summary.verified > 0 {
            text.push_str(&format!("\n{} resources read back and equal to what was sent", summary.verified));
        }
        if self.shown < summary.failed {
            text.push_str(&format!("\n{} more failures are not shown", summary.failed - self.shown));
        }
        if summary.repeated_after_break > 0 {
            text.push_str(&format!(
                "\n{} requests were repeated after the connection broke; what they create without ifNoneExist may be \
                 stored twice",
                summary.repeated_after_break
            ));
        }
        output::line(&text)
    }
}

impl Observer for Display {
    fn began(&mut self, files: &[Source]) {
        self.bytes = files.iter().map(|file| file.bytes).sum();
        self.bar.set_length(self.bytes);
        self.line(&format!("{} files, {:.1} MB", files.len(), self.bytes as f64 / 1e6));
    }

    fn advanced(&mut self, summary: &Summary, bytes_read: u64) {
        let told =
            format!("{} accepted, {} failed, {} repeated", summary.accepted, summary.failed, summary.retries);
        if self.terminal {
            self.bar.set_position(bytes_read.min(self.bytes));
            self.bar.set_message(told);
        } else if clock::elapsed().saturating_sub(self.last_line) >= PROGRESS_LINE_PAUSE {
            self.last_line = clock::elapsed();
            eprintln!("{:>3}% {told}", bytes_read.saturating_mul(100) / self.bytes.max(1));
        }
    }

    fn failed(&mut self, failure: &Failure) {
        if let Some(report) = &mut self.report {
            report.add(failure);
        }
        if self.shown < FAILURES_SHOWN_MAX {
            self.shown += 1;
            self.line(&describe(failure));
        }
    }
}

/// A failure as people read it.
fn describe(failure: &Failure) -> String {
    let mut text = format!("failed: {}", failure.place.file.display());
    if let Some(line) = failure.place.line {
        text.push_str(&format!(" line {line}"));
    }
    if let Some(entry) = failure.place.entry {
        text.push_str(&format!(" entry {entry}"));
    }
    if let Some(request) = &failure.request {
        text.push_str(&format!(", {request}"));
    }
    if let Some(status) = failure.status {
        text.push_str(&format!(", status {status}"));
    }
    text.push_str(&format!(": {}", failure.diagnostics));
    text
}

/// The file that all failures go to. The first error in writing it is told at the end.
struct Report {
    path: PathBuf,
    file: BufWriter<File>,
    error: Option<std::io::Error>,
}

impl Report {
    fn create(path: &PathBuf) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("--report: {}", path.display()))?;
        Ok(Self { path: path.clone(), file: BufWriter::new(file), error: None })
    }

    fn add(&mut self, failure: &Failure) {
        let written = serde_json::to_vec(failure).map_err(std::io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)
        });
        self.error = self.error.take().or(written.err());
    }

    fn finish(mut self) -> anyhow::Result<()> {
        let flushed = self.file.flush();
        self.error.map_or(flushed, Err).with_context(|| format!("--report: {}", self.path.display()))
    }
}
