//! What the operators' addresses have in common: the workspace's projection, small JSON bodies, plain JSON answers.
//!
//! Where the workspace has an authority, whoever asks needs a role in the workspace. Orders must not come from a web page, which
//! a browser says in `Origin` (Fetch standard, section 3.2): no page may send one behind an operator's back.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, ORIGIN};
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse, Resource};
use anamnesis_projections::{ProjectionError, Supervisor};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::access;
use super::answer::{Answer, Style, respond};
use super::body::{self, Arriving, Most};
use super::service::Services;
use crate::access::{Action, Actions, Principal};
use crate::error::{Failure, FailureKind, IssueCode};
use crate::telemetry::RequestIds;

/// The body of an order is a few names.
const BODY_BYTES_MAX: usize = 16 << 10;

/// How long an order may take to arrive.
const BODY_WAIT: Duration = Duration::from_secs(60);
/// The projection that is meant where none is named.
const DEFAULT: &str = "search";

/// An address of each workspace. What is not among the methods that it allows is answered with them.
pub(super) fn at(name: &str, allow: &'static str) -> Resource {
    address(&format!("/{{workspace}}/{name}"), allow)
}

/// An address that answers methods which it does not allow with an OperationOutcome and those that it does.
pub(crate) fn address(path: &str, allow: &'static str) -> Resource {
    let refuse = move |request: HttpRequest| async move {
        let failure = Failure::not_allowed(allow);
        respond(Err(failure), &RequestIds::given_to(&request), Style::default())
    };
    web::resource(path).default_service(web::to(refuse))
}

/// Lets in whoever may do this in a workspace. Before anything is read or looked up.
///
/// # Errors
/// 404 for an unknown workspace; 401, 403, or 503 where tokens cannot be checked now.
pub(super) async fn admit(
    request: &HttpRequest,
    services: &Services,
    workspace: &str,
    needed: &[Action],
) -> Result<Arc<Principal>, Failure> {
    if services.of_workspace(workspace).next().is_none() {
        return Err(Failure::not_found("There is no such workspace."));
    }
    let principal = access::admit(request, &services.gate_of(workspace), None).await?;
    let needed = Actions::of(needed);
    match principal.actions.contain(needed) {
        true => Ok(principal),
        false => Err(Failure::lacking(needed.without(principal.actions))),
    }
}

/// The projection of a workspace with this name; `search` where none is given.
///
/// # Errors
/// 404 for an unknown workspace or projection, 503 where it does not run.
pub(super) fn projection(
    services: &Services,
    workspace: &str,
    name: Option<&str>,
) -> Result<Arc<Supervisor>, Failure> {
    let mut is_known = false;
    for service in services.of_workspace(workspace) {
        is_known = true;
        let named = service.projections.iter().find(|one| one.name() == name.unwrap_or(DEFAULT));
        if let Some(projection) = named {
            return Ok(projection.clone());
        }
    }
    Err(Failure::not_found(match is_known {
        true => "There is no such projection.",
        false => "There is no such workspace.",
    }))
}

/// All projections of a workspace.
///
/// # Errors
/// 404 for an unknown workspace.
pub(super) fn projections(services: &Services, workspace: &str) -> Result<Vec<Arc<Supervisor>>, Failure> {
    let mut of_workspace = services.of_workspace(workspace).peekable();
    if of_workspace.peek().is_none() {
        return Err(Failure::not_found("There is no such workspace."));
    }
    let found = of_workspace.map(|service| service.projections.clone()).find(|all| !all.is_empty());
    Ok(found.unwrap_or_default())
}

/// Refuses orders that a web page sends, also one that has found a way to be of this server's own origin.
///
/// # Errors
/// 403.
pub(super) fn refuse_pages(request: &HttpRequest) -> Result<(), Failure> {
    match request.headers().contains_key(ORIGIN) {
        false => Ok(()),
        true => Err(Failure::forbidden("Web pages may not give orders to a projection.")),
    }
}

/// Reads the body of an order.
///
/// # Errors
/// 403 for web pages, 415 where it does not say that it is JSON, 400 for what it does not know, and as [`body::read`].
pub(super) async fn order<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, Failure> {
    refuse_pages(request)?;
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = media_type.split(';').next().unwrap_or("").trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        let text = "The body has to be application/json.";
        return Err(Failure::new(FailureKind::UnsupportedMedia, IssueCode::NotSupported, text));
    }
    // Too small to count with the bodies of the services.
    let arriving = Arriving::new(BODY_BYTES_MAX);
    let most = Most { bytes: BODY_BYTES_MAX, what: "an order", wait: BODY_WAIT };
    let (bytes, _share) = body::read(request.headers(), payload, &most, &arriving).await?;
    // The message of serde_json names a property and a place; what is sent here is no content of a resource.
    serde_json::from_slice(&bytes).map_err(|error| Failure::invalid(format!("The body is wrong: {error}.")))
}

/// An answer as plain JSON.
pub(super) fn answer(request: &HttpRequest, outcome: Result<(StatusCode, Value), Failure>) -> HttpResponse {
    let style = Style::PLAIN_JSON;
    let outcome = outcome.and_then(|(status, value)| {
        let body = serde_json::to_vec(&value).map_err(|_bug| Failure::internal())?;
        Ok(Answer { body: Some(body.into()), ..Answer::new(status) })
    });
    respond(outcome, &RequestIds::given_to(request), style)
}

/// The reason stands in the log: it may hold text of a statement, which no answer does.
pub(super) fn failed(error: &ProjectionError) -> Failure {
    tracing::error!(%error, "an operator's request failed");
    Failure::unavailable("The projection cannot be reached now; the log of the server says why.")
}
