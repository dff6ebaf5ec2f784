//! `anamnesis audit`: checks the audit log, for auditors.

use anamnesis_audit::{AuditError, AuditLog, AuditOptions, Break, Number, Verified};
use anamnesis_events::message::hex;
use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::output;
use super::store::{Need, StoreArguments};

/// Records between two lines of progress would be too many to hold; so many are walked at once.
const AT_ONCE: u64 = 100_000;

/// Check the audit log
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(Verify),
}

/// Check that no record of an access has been changed, lost or added
///
/// Walks the whole chain: every hash following from the record and the hash before it, numbers, times, and what searches look for.
/// Works beside a running server and without one. Writes nothing.
///
/// Whoever may change everything in the database can replace the end of the log with another one. Only a number and hash that
/// were noted elsewhere show that: the server logs one every five minutes and sends it to NATS, to
/// anamnesis.<workspace>.audit.head. Name those that you have with --anchor.
///
/// Ends with 0 when all is well, with 1 when the chain breaks (the last line says where) or could not be walked.
#[derive(Debug, Args)]
struct Verify {
    #[command(flatten)]
    store: StoreArguments,

    /// A number and the hash of the chain up to it, as 12:ab… with 64 hexadecimal digits; may come more than once
    #[arg(long, value_name = "NUMBER:HASH", value_parser = parse_anchor)]
    anchor: Vec<Anchor>,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy)]
struct Anchor(Number, [u8; 32]);

fn parse_anchor(text: &str) -> Result<Anchor, String> {
    let (number, hash) = crate::audit::anchor(text)
        .ok_or("this is no number and hash, as 12:ab… with 64 hexadecimal digits")?;
    Ok(Anchor(number, hash))
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Command::Verify(verify) = arguments.command;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let verified = runtime.block_on(walk(&verify))?;
    output::goes_on(print(&verified, verify.json))?;
    match verified.broken {
        None => Ok(()),
        Some(Break { from, to, reason }) => anyhow::bail!("the audit log breaks at {from} to {to}: {reason}"),
    }
}

async fn walk(verify: &Verify) -> anyhow::Result<Verified> {
    let store = verify.store.open(Need::Database).await?;
    let walked = async {
        let log = AuditLog::open_for_reading(
            store.database_address(),
            store.log.workspace(),
            AuditOptions::default(),
        );
        let log = match log.await {
            Err(AuditError::NoSchema | AuditError::NoLog) => {
                anyhow::bail!("this workspace keeps no audit log")
            }
            log => log.context("the audit log cannot be opened")?,
        };
        let anchors: Vec<_> = verify.anchor.iter().map(|Anchor(number, hash)| (*number, *hash)).collect();
        let mut from = None;
        loop {
            let verified =
                log.verify(from, &anchors, AT_ONCE).await.context("the audit log cannot be read")?;
            if verified.is_whole || verified.broken.is_some() {
                return Ok(verified);
            }
            from = Some((verified.number, verified.hash));
        }
    };
    let verified = walked.await;
    store.close().await;
    verified
}

fn print(verified: &Verified, is_json: bool) -> std::io::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let hash = hex(&verified.hash);
    if is_json {
        let broken = verified.broken.as_ref().map(|broken| {
            serde_json::json!({ "from": broken.from.get(), "to": broken.to.get(), "reason": broken.reason })
        });
        let told = serde_json::json!({
            "ok": verified.is_whole,
            "number": verified.number.get(),
            "hash": hash,
            "keptAfter": verified.kept_after.get(),
            "broken": broken,
        });
        return writeln!(out, "{told}");
    }
    if verified.kept_after > Number::ZERO {
        writeln!(out, "records up to {} were old enough and are dropped", verified.kept_after)?;
    }
    let state = if verified.is_whole { "whole" } else { "whole up to" };
    writeln!(out, "{state}: {}:{hash}", verified.number)
}
