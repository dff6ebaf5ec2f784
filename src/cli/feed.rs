//! `anamnesis feed`: prints the change feed of a workspace.

use anyhow::Context as _;
use clap::{Args, ValueHint};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

use super::output;
use super::token::Token;
use crate::feed::{self, FeedError, Request};

/// Print the change feed of a workspace, from any position
///
/// One line an event: position, time, operation, version, home compartment. With --json each line is the event with
/// its resource, as the server sends it. With --follow it stays for what comes, and when the connection breaks it goes
/// on where it was. Ctrl-C ends it.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The address of the workspace
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/default", value_hint = ValueHint::Url)]
    workspace: Url,

    #[command(flatten)]
    token: Token,

    /// The first position wanted
    #[arg(long, value_name = "POSITION", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    from: u64,

    /// The last position wanted
    #[arg(long, value_name = "POSITION")]
    to: Option<u64>,

    /// Stay for what comes
    #[arg(long, short)]
    follow: bool,

    /// Print events as JSON, with their resources
    #[arg(long)]
    json: bool,

    /// Only these resource types, comma separated
    #[arg(long = "type", value_name = "TYPES")]
    types: Option<String>,

    /// Only events that touch this compartment, such as Patient/123
    #[arg(long, value_name = "COMPARTMENT")]
    compartment: Option<String>,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(print(arguments))
}

async fn print(arguments: Arguments) -> anyhow::Result<()> {
    let mut filters = Vec::new();
    filters.extend(arguments.types.map(|types| ("_type", types)));
    filters.extend(arguments.compartment.map(|compartment| ("compartment", compartment)));
    if !arguments.json {
        filters.push(("body", "false".to_owned()));
    }
    let request = Request {
        workspace: arguments.workspace,
        from: arguments.from,
        to: arguments.to,
        follow: arguments.follow,
        filters,
        headers: arguments.token.headers()?,
    };
    let (mut interrupts, mut terminations) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let json = arguments.json;
    let mut failed = None;
    let reading = feed::read(request, |line, event| {
        let text = if json { format!("{line}\n") } else { format!("{}\n", describe(event)) };
        output::write(text.as_bytes()).unwrap_or_else(|error| {
            failed = Some(error);
            false
        })
    });
    let ended = tokio::select! {
        ended = reading => ended,
        _ = interrupts.recv() => Ok(()),
        _ = terminations.recv() => Ok(()),
    };
    match (failed, ended) {
        (Some(error), _) => Err(error),
        (None, Ok(()) | Err(FeedError::Stopped)) => Ok(()),
        (None, Err(error)) => Err(error).context("the feed cannot be read"),
    }
}

/// One line for people. Control characters cannot come through: ids and homes have none.
fn describe(event: &Value) -> String {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or("-");
    let kind = text("type").trim_start_matches("org.anamnesis.");
    let mut line = format!(
        "{:>8}  {}  {kind:<22} {}  in {}",
        text("sequence"),
        text("time"),
        text("subject"),
        text("home")
    );
    if let Some(index) =
        event.get("transactionindex").and_then(Value::as_str).and_then(|n| n.parse::<u32>().ok())
    {
        line.push_str(&format!("  ({} of {})", index.saturating_add(1), text("transactionsize")));
    }
    line
}
