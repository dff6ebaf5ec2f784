//! `$rebuild`: has a projection built again beside the version that searches use, for operators.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use anamnesis_projections::ProjectionError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::operator;
use super::query::Query;
use super::service::Services;
use crate::access::Action;
use crate::error::{Failure, FailureKind, IssueCode};

/// Why an older program does not build without force.
const LATER: &str = "The index in use is of a later program than this one. With \"force\" it is replaced by one of \
    this program; the later one must not run any more.";

/// What is to be built again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    projection: String,
    #[serde(default)]
    force: bool,
}

/// `POST /{workspace}/$rebuild` with `{"projection": "search"}`: 202 with the version that is being built. Where one is
/// being built already: 200 with that one. `"force": true`: it takes the place even where it has parked more, and where the
/// one in use is of a later program; without it that is 409.
pub(crate) async fn start(
    request: HttpRequest,
    workspace: Path<String>,
    services: Data<Services>,
    payload: Payload,
) -> HttpResponse {
    let outcome = begin(&request, &workspace, &services, payload).await;
    operator::answer(&request, outcome)
}

async fn begin(
    request: &HttpRequest,
    workspace: &str,
    services: &Services,
    payload: Payload,
) -> Result<(StatusCode, Value), Failure> {
    operator::admit(request, services, workspace, &[Action::Rebuild]).await?;
    let order: Order = operator::order(request, payload).await?;
    let projection = operator::projection(services, workspace, Some(&order.projection))?;
    let begun = projection.rebuild(order.force).await;
    let (version, is_new) = begun.map_err(|error| match error {
        ProjectionError::OtherSchema { .. } => {
            Failure::new(FailureKind::Conflict, IssueCode::Conflict, LATER)
        }
        error => operator::failed(&error),
    })?;
    let status = if is_new { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, json!({ "projection": order.projection, "version": version, "started": is_new })))
}

/// `DELETE /{workspace}/$rebuild?projection=search`: gives up the version that is being built.
pub(crate) async fn cancel(
    request: HttpRequest,
    workspace: Path<String>,
    services: Data<Services>,
) -> HttpResponse {
    let outcome = give_up(&request, &workspace, &services).await;
    operator::answer(&request, outcome)
}

async fn give_up(
    request: &HttpRequest,
    workspace: &str,
    services: &Services,
) -> Result<(StatusCode, Value), Failure> {
    operator::admit(request, services, workspace, &[Action::Rebuild]).await?;
    operator::refuse_pages(request)?;
    let query = Query::parse(request.query_string())?;
    let projection = operator::projection(services, workspace, query.get("projection"))?;
    match projection.cancel().await.map_err(|error| operator::failed(&error))? {
        Some(version) => Ok((StatusCode::OK, json!({ "projection": projection.name(), "version": version }))),
        None => Err(Failure::not_found("No version is being built.")),
    }
}
