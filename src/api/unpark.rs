//! `$unpark`: offers parked events to the projections again, for operators.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use anamnesis_events::{Position, ResourceKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::operator;
use super::service::Services;
use crate::access::Action;
use crate::error::Failure;

/// Resources that one request un-parks where it does not say.
const COUNT: usize = 100;
/// Resources that one request un-parks at most: each takes some milliseconds.
const COUNT_MAX: usize = 1000;

/// What is to be un-parked: a resource, or all of them after a position.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    projection: String,
    resource: Option<String>,
    #[serde(default)]
    all: bool,
    #[serde(default)]
    after: u64,
    count: Option<usize>,
}

/// `POST /{workspace}/$unpark` with `{"projection": "search", "resource": "Patient/1"}`, or with `"all": true` for the
/// first hundred resources, and then from `next` on: `"after": …`. What still cannot be taken stays parked.
pub(crate) async fn unpark(
    request: HttpRequest,
    workspace: Path<String>,
    services: Data<Services>,
    payload: Payload,
) -> HttpResponse {
    let outcome = offer(&request, &workspace, &services, payload).await;
    operator::answer(&request, outcome.map(|value| (StatusCode::OK, value)))
}

async fn offer(
    request: &HttpRequest,
    workspace: &str,
    services: &Services,
    payload: Payload,
) -> Result<Value, Failure> {
    operator::admit(request, services, workspace, &[Action::Parked]).await?;
    let order: Order = operator::order(request, payload).await?;
    let projection = operator::projection(services, workspace, Some(&order.projection))?;
    let unparked = match (&order.resource, order.all) {
        (Some(resource), false) => projection.unpark(&key(resource)?).await,
        (None, true) => {
            let count = order.count.unwrap_or(COUNT).clamp(1, COUNT_MAX);
            projection.unpark_all(Position::new(order.after), count).await
        }
        _ => return Err(Failure::invalid("Either a resource or all of them are un-parked.")),
    };
    let unparked = unparked.map_err(|error| operator::failed(&error))?;
    if order.resource.is_some() && unparked.resources == 0 {
        return Err(Failure::not_found("Nothing of this resource is parked."));
    }
    Ok(json!({
        "resources": unparked.resources,
        "events": unparked.events,
        "stillParked": unparked.still_parked,
        "next": unparked.next.map(Position::get),
    }))
}

fn key(resource: &str) -> Result<ResourceKey, Failure> {
    match resource.split_once('/') {
        Some((name, id)) if !name.is_empty() && !id.is_empty() => Ok(ResourceKey::new(name, id)),
        _ => Err(Failure::invalid("A resource is named as Patient/1.")),
    }
}
