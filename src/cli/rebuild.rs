//! `anamnesis rebuild`: has a projection built again beside the one that readers use.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueHint};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

use super::operator::{Answer, Operator, number, text};
use super::output;
use super::progress::Progress;
use super::token::Token;
use crate::clock;

/// How often the server is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(300);
/// How long a server may be away before nobody waits for it any more. The job is not lost.
const AWAY_MAX: Duration = Duration::from_secs(600);

/// Build the search index, or the terminology, again while the server goes on
///
/// Another version of it is built from the log, beside the one that is used, and takes its place when it has come as far. Reads, writes and searches go on meanwhile. The server does the work: it goes on after a restart of the
/// server, and after Ctrl-C, which only ends the watching. Asked again while it is under way, this command shows how far
/// it is.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What is built again
    #[arg(value_enum)]
    projection: Name,

    /// The address of the workspace
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/default", value_hint = ValueHint::Url)]
    workspace: Url,

    #[command(flatten)]
    token: Token,

    /// Let it take the place even where it could not take resources that the present one has taken
    #[arg(long, conflicts_with = "cancel")]
    force: bool,

    /// Give up what is being built
    #[arg(long)]
    cancel: bool,

    /// Do not wait until it is done
    #[arg(long, conflicts_with = "cancel")]
    detach: bool,
}

/// The projections that there are.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Name {
    /// The index that searches are answered from
    Search,
    /// The definitions and concepts that terminology is answered from
    Terminology,
}

impl Name {
    fn word(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Terminology => "terminology",
        }
    }
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let operator = Operator::new(arguments.workspace.clone(), &arguments.token)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(rebuild(&operator, &arguments))
}

async fn rebuild(operator: &Operator, arguments: &Arguments) -> anyhow::Result<()> {
    let name = arguments.projection.word();
    if arguments.cancel {
        return cancel(operator, name).await;
    }
    let order = json!({ "projection": name, "force": arguments.force });
    let begun = operator.ask(Method::POST, "$rebuild", Some(&order)).await?;
    let version = number(&begun, "version");
    let already = if begun.get("started") == Some(&Value::Bool(false)) { " already" } else { "" };
    output::line(&format!("Version {version} of {name} is being built{already}."))?;
    if arguments.detach {
        return Ok(());
    }
    let (mut interrupts, mut terminations) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut progress = Progress::new();
    let wanted = Wanted { name, version, is_forced: arguments.force };
    let outcome = tokio::select! {
        outcome = watch(operator, &wanted, &mut progress) => outcome,
        _ = interrupts.recv() => Err(left(name)),
        _ = terminations.recv() => Err(left(name)),
    };
    progress.finish();
    output::line(&outcome?)
}

fn left(name: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "no longer watching; the server goes on building. `anamnesis rebuild {name}` shows how far it is, with --cancel it is given up"
    )
}

async fn cancel(operator: &Operator, name: &str) -> anyhow::Result<()> {
    match operator.send(Method::DELETE, &format!("$rebuild?projection={name}"), None).await? {
        Answer::Done(cancelled) => {
            output::line(&format!("Version {} of {name} was given up.", number(&cancelled, "version")))
        }
        Answer::Missing(reason) => bail!("nothing was given up: {reason}"),
    }
}

/// Asks until the version is the active one; gives the last line to show.
async fn watch(operator: &Operator, wanted: &Wanted<'_>, progress: &mut Progress) -> anyhow::Result<String> {
    let version = wanted.version;
    let mut seen_at = clock::elapsed();
    let mut is_away = false;
    let mut has_begun = false;
    loop {
        match operator.ask(Method::GET, "$projections?_count=1", None).await {
            Ok(listed) => {
                (seen_at, is_away) = (clock::elapsed(), false);
                match Seen::of(&listed, wanted)? {
                    Seen::Building { position, head } => {
                        if !std::mem::replace(&mut has_begun, true) {
                            progress.begin_at("rebuild", position, head);
                        }
                        progress.grow(head);
                        progress.at(position);
                    }
                    Seen::Done { position } => {
                        return Ok(format!(
                            "Version {version} of {name} is used now; it has the events up to position {position}.",
                            name = wanted.name
                        ));
                    }
                }
            }
            Err(error) if clock::elapsed().saturating_sub(seen_at) > AWAY_MAX => return Err(error),
            Err(error) if !std::mem::replace(&mut is_away, true) => {
                progress.say(&format!("{error:#}; it goes on building when it is there again"));
            }
            Err(_) => {}
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// The version that is waited for.
struct Wanted<'w> {
    name: &'w str,
    version: u64,
    /// It takes the place in any case: what the server says that it waits for is of before the order.
    is_forced: bool,
}

/// How far a version is.
enum Seen {
    Building { position: u64, head: u64 },
    Done { position: u64 },
}

impl Seen {
    fn of(listed: &Value, wanted: &Wanted<'_>) -> anyhow::Result<Self> {
        let (name, version) = (wanted.name, wanted.version);
        let projections = listed.get("projections").and_then(Value::as_array);
        let projection = projections
            .and_then(|all| all.iter().find(|one| text(one, "name") == name))
            .context("the server does not list the projection")?;
        let versions = projection.get("versions").and_then(Value::as_array);
        let one = versions.and_then(|all| all.iter().find(|one| number(one, "version") == version));
        let position = one.map_or(0, |one| number(one, "position"));
        match one.map(|one| text(one, "state")) {
            Some("building") => {
                let waiting = one.and_then(|one| one.get("waiting")).and_then(Value::as_str);
                if let Some(reason) = waiting.filter(|_| !wanted.is_forced) {
                    bail!("version {version} is built, but waits: {reason}");
                }
                Ok(Self::Building { position, head: number(listed, "head") })
            }
            Some("active" | "retiring") => Ok(Self::Done { position }),
            // It has come and gone while nobody looked.
            None if number(projection, "active") > version => Ok(Self::Done { position }),
            _ => bail!("version {version} was given up"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(versions: &Value, active: u64) -> Result<(bool, u64), String> {
        seen_with(versions, active, false)
    }

    fn seen_with(versions: &Value, active: u64, is_forced: bool) -> Result<(bool, u64), String> {
        let projections = json!([{ "name": "search", "active": active, "versions": versions }]);
        let listed = json!({ "head": 100, "projections": projections });
        match Seen::of(&listed, &Wanted { name: "search", version: 2, is_forced }) {
            Ok(Seen::Building { position, head: 100 }) => Ok((false, position)),
            Ok(Seen::Building { head, .. }) => Err(format!("head {head}")),
            Ok(Seen::Done { position }) => Ok((true, position)),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn what_the_server_lists_is_understood() {
        let with = |state: &str| json!([{ "version": 2, "state": state, "position": 7 }]);
        assert_eq!(seen(&with("building"), 1), Ok((false, 7)));
        assert_eq!(seen(&with("active"), 2), Ok((true, 7)));
        assert_eq!(seen(&with("retiring"), 3), Ok((true, 7)));
        assert_eq!(seen(&json!([]), 3), Ok((true, 0)));
        assert_eq!(seen(&json!([]), 1), Err("version 2 was given up".to_owned()));
        assert_eq!(seen(&with("cancelled"), 1), Err("version 2 was given up".to_owned()));
        let waiting = json!([{ "version": 2, "state": "building", "position": 7, "waiting": "It has." }]);
        assert!(seen(&waiting, 1).unwrap_err().ends_with("waits: It has."));
        assert_eq!(seen_with(&waiting, 1, true), Ok((false, 7)));
    }
}
