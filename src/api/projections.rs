//! `$projections`: how far the versions of a workspace's projections have come, and what they have parked, for operators.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use anamnesis_events::Position;
use anamnesis_projections::{State, Supervisor, Switch, VersionStatus};
use serde_json::{Value, json};

use super::operator;
use super::query::Query;
use super::service::Services;
use crate::access::Action;
use crate::error::Failure;

/// Parked events in the list where the client does not say.
const COUNT: usize = 100;
/// Parked events in the list at most: a bound on the answer.
const COUNT_MAX: usize = 1000;

/// `GET /{workspace}/$projections?projection=…&_count=…&after=…&version=…`: all versions of all projections, or of one, and
/// the parked events of one version of each, the active one where none is given, after a position.
pub(crate) async fn list(
    request: HttpRequest,
    workspace: Path<String>,
    services: Data<Services>,
) -> HttpResponse {
    let outcome = describe(&request, &workspace, &services).await;
    operator::answer(&request, outcome.map(|value| (StatusCode::OK, value)))
}

async fn describe(request: &HttpRequest, workspace: &str, services: &Services) -> Result<Value, Failure> {
    operator::admit(request, services, workspace, &[Action::Parked]).await?;
    let query = Query::parse(request.query_string())?;
    let count = number(&query, "_count")?.map_or(COUNT, |count: usize| count.min(COUNT_MAX));
    let after = Position::new(number(&query, "after")?.unwrap_or(0));
    let asked: Option<i32> = number(&query, "version")?;
    // Each has versions of its own: a number is that of one of them.
    let wanted = match (query.get("projection"), asked) {
        (None, None) => operator::projections(services, workspace)?,
        (name, _) => vec![operator::projection(services, workspace, name)?],
    };
    let mut seen = Vec::with_capacity(wanted.len());
    for projection in &wanted {
        let status = projection.status().await.map_err(|error| operator::failed(&error))?;
        seen.push((projection, status));
    }
    let Some(service) = services.of_workspace(workspace).next() else {
        return Err(Failure::not_found("There is no such workspace."));
    };
    // After the versions: no version is ahead of it.
    let head = service.log.head().await?;
    let mut projections = Vec::with_capacity(seen.len());
    for (projection, status) in seen {
        projections.push(one(projection, &status, asked, (after, count)).await?);
    }
    Ok(json!({ "workspace": workspace, "head": head.get(), "projections": projections }))
}

/// One projection: its versions, and a page of what one of them has parked.
async fn one(
    projection: &Supervisor,
    status: &[VersionStatus],
    asked: Option<i32>,
    (after, count): (Position, usize),
) -> Result<Value, Failure> {
    let active = status.iter().find(|one| one.version.state == State::Active).map(|one| one.version.number);
    if asked.is_some_and(|asked| !status.iter().any(|one| one.version.number == asked)) {
        return Err(Failure::not_found("The projection has no such version."));
    }
    let shown = asked.or(active);
    let parked = match shown {
        Some(version) => projection.parked(version, after, count).await,
        None => Ok(Vec::new()),
    };
    let parked = parked.map_err(|error| operator::failed(&error))?;
    let next = if parked.len() < count { None } else { parked.last().map(|last| last.position.get()) };
    let events: Vec<Value> = parked
        .iter()
        .map(|one| {
            json!({ "position": one.position.get(), "resource": one.key.to_string(), "reason": one.reason })
        })
        .collect();
    let versions: Vec<Value> = status.iter().map(version).collect();
    Ok(json!({
        "name": projection.name(),
        "active": active,
        "versions": versions,
        "parked": { "version": shown, "events": events, "next": next },
    }))
}

fn version(one: &VersionStatus) -> Value {
    let version = &one.version;
    let mut shown = json!({
        "version": version.number,
        "schema": version.schema,
        "state": version.state.word(),
        "position": version.reached.get(),
        // Behind what concerns it, as the metric of the same name has it.
        "lag": one.lag,
        "madeAt": version.made_at.to_rfc3339(),
        "lastProgress": one.moved_at.map(|at| at.to_rfc3339()),
        "parkedEvents": version.parked_events,
        "parkedResources": version.parked_resources,
    });
    if let Some(Switch::Parked { resources }) = one.refused
        && let Some(shown) = shown.as_object_mut()
    {
        let reason = format!(
            "It has parked {resources} resource(s) that the active version has not. Un-park them, cancel, or force the switch."
        );
        shown.insert("waiting".to_owned(), reason.into());
    }
    shown
}

fn number<T: std::str::FromStr>(query: &Query, name: &str) -> Result<Option<T>, Failure> {
    let read = |text: &str| text.parse().map_err(|_| Failure::invalid(format!("{name} is a number.")));
    query.get(name).map(read).transpose()
}
