//! `anamnesis parked`: what the projections could not take, and offering it to them again.

use anyhow::bail;
use clap::{Args, ValueHint};
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::operator::{Operator, number, text};
use super::output;
use super::token::Token;

/// Show the events that the search index or the terminology could not take, or offer them again
///
/// An event that one of them cannot take parks its resource: that event and the later ones of the resource wait, everything
/// else goes on. Searches that may miss the resource say so. After an upgrade of the server that can take it, offer it
/// again: the events are taken in their order.
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(super) struct Arguments {
    /// The address of the workspace
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/default", value_hint = ValueHint::Url)]
    workspace: Url,

    #[command(flatten)]
    token: Token,

    /// The projection: all where none is given; to offer events again, the search index
    #[arg(long, value_name = "NAME")]
    projection: Option<String>,

    /// Offer the events of this resource again
    #[arg(long, value_name = "TYPE/ID", conflicts_with = "unpark_all")]
    unpark: Option<String>,

    /// Offer the events of all parked resources again
    #[arg(long)]
    unpark_all: bool,

    /// Show the events after this position
    #[arg(long, value_name = "POSITION", default_value_t = 0, conflicts_with_all = ["unpark", "unpark_all"])]
    after: u64,

    /// Show the events of this version of the index, instead of those of the active one
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["unpark", "unpark_all"])]
    version: Option<u64>,

    /// How many events are shown
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    count: u64,

    /// Print what the server answers, as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let operator = Operator::new(arguments.workspace.clone(), &arguments.token)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match (&arguments.unpark, arguments.unpark_all) {
            (Some(resource), _) => unpark(&operator, arguments.name(), resource).await,
            (None, true) => unpark_all(&operator, arguments.name()).await,
            (None, false) => list(&operator, &arguments).await,
        }
    })
}

impl Arguments {
    fn name(&self) -> &str {
        self.projection.as_deref().unwrap_or("search")
    }
}

async fn list(operator: &Operator, arguments: &Arguments) -> anyhow::Result<()> {
    let mut path = format!("$projections?_count={}&after={}", arguments.count, arguments.after);
    if let Some(name) = &arguments.projection {
        path.push_str(&format!("&projection={name}"));
    }
    if let Some(version) = arguments.version {
        path.push_str(&format!("&version={version}"));
    }
    let listed = operator.ask(Method::GET, &path, None).await?;
    if arguments.json {
        return output::line(&listed.to_string());
    }
    let all =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut shown = String::new();
    for projection in all(&listed, "projections") {
        let name = text(&projection, "name");
        for version in all(&projection, "versions") {
            shown.push_str(&format!(
                "{name} version {} ({}): position {} of {}, {} parked event(s) of {} resource(s)\n",
                number(&version, "version"),
                text(&version, "state"),
                number(&version, "position"),
                number(&listed, "head"),
                number(&version, "parkedEvents"),
                number(&version, "parkedResources"),
            ));
        }
        let Some(parked) = projection.get("parked") else { continue };
        for event in all(parked, "events") {
            let (position, resource) = (number(&event, "position"), text(&event, "resource"));
            let reason = text(&event, "reason");
            shown.push_str(&format!("{position:>10}  {resource:<40}  {reason}\n"));
        }
        if let Some(next) = parked.get("next").and_then(Value::as_u64) {
            shown.push_str(&format!("There may be more: --after {next}\n"));
        }
    }
    output::write(shown.as_bytes()).map(|_goes_on| ())
}

async fn unpark(operator: &Operator, name: &str, resource: &str) -> anyhow::Result<()> {
    let order = json!({ "projection": name, "resource": resource });
    let unparked = operator.ask(Method::POST, "$unpark", Some(&order)).await?;
    tell(number(&unparked, "events"), number(&unparked, "stillParked"))
}

async fn unpark_all(operator: &Operator, name: &str) -> anyhow::Result<()> {
    let (mut events, mut still, mut after) = (0, 0, 0);
    loop {
        let order = json!({ "projection": name, "all": true, "after": after });
        let unparked = operator.ask(Method::POST, "$unpark", Some(&order)).await?;
        events += number(&unparked, "events");
        still += number(&unparked, "stillParked");
        match unparked.get("next").and_then(Value::as_u64) {
            Some(next) if next > after => after = next,
            _ => return tell(events, still),
        }
    }
}

fn tell(events: u64, still: u64) -> anyhow::Result<()> {
    output::line(&format!("{events} event(s) were taken."))?;
    if still > 0 {
        bail!("{still} resource(s) are still parked; `anamnesis parked` shows why");
    }
    Ok(())
}
