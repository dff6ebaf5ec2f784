//! Consent: what an app may do, for whom, and whose record it opens.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::{Visit, approve};
use crate::authorize::step::{Ready, Step};
use crate::pages::consent::{self, Consent, NOTHING_CHOSEN};
use crate::pages::frame::{Mark, Problem};
use crate::people::answer::{Trouble, finish, malformed, redirect, show};
use crate::people::form::Parameters;
use crate::server::SmartServer;
use crate::sessions::SignedIn;
use crate::store::clients;

/// Somebody lets an app in.
pub(crate) async fn post(server: Data<SmartServer>, http: HttpRequest, body: Payload) -> HttpResponse {
    let done = match Parameters::of_form(&http, body).await {
        Ok(form) => agreed(&server, &http, &form).await,
        Err(what) => Err(malformed(what)),
    };
    finish(&server, done)
}

/// The page.
pub(super) async fn page(
    visit: &Visit<'_>,
    signed_in: &SignedIn,
    ready: &Ready,
    problem: Option<Problem>,
) -> Result<HttpResponse, Trouble> {
    let server = visit.server;
    let (token, agreed) = (visit.token(""), visit.token(&agreement(ready)));
    let client = &visit.client;
    let is_configured = server.options.clients.iter().any(|known| known.id == client.id);
    // Who is trusted was looked at by an operator, whoever has registered it.
    let is_unproven = !is_configured
        && !client.is_trusted
        && clients::find(&server.store, &client.id).await?.is_none_or(|registered| !registered.by_operator);
    let shown = Consent {
        mark: Mark { request: &visit.id, token: &token },
        agreed: Mark { request: &visit.id, token: &agreed },
        client: &client.name,
        client_uri: client.client_uri.as_ref(),
        answers_to: place(&visit.pending.redirect_uri),
        is_unproven,
        display: &signed_in.user.display,
        patient: ready.patient.as_ref(),
        optional: &ready.grantable.optional,
        fixed: &ready.grantable.fixed,
        withheld: &ready.grantable.withheld,
        reason: ready.reason.as_deref(),
        problem,
    };
    let status = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Ok(show(status, Some(&visit.pending.redirect_uri), consent::page(server.frame(), shown)))
}

async fn agreed(
    server: &SmartServer,
    http: &HttpRequest,
    form: &Parameters,
) -> Result<HttpResponse, Trouble> {
    let visit = Visit::of_form(server, http, form).await?;
    let (Step::Consent(ready), Some(signed_in)) = (visit.next().await?, &visit.signed_in) else {
        return Ok(redirect(server, server.interaction(&visit.id)));
    };
    // Bound to the patient and the emergency of the page: in another window others may have been chosen since.
    visit.check(form, &agreement(&ready))?;
    let granted = ready.grantable.chosen(form.all("scope"));
    let is_nothing = granted.len() == ready.grantable.fixed.len() && !ready.grantable.optional.is_empty();
    if is_nothing {
        return page(&visit, signed_in, &ready, Some(NOTHING_CHOSEN)).await;
    }
    approve::approve(&visit, signed_in, &ready, &granted).await
}

/// What somebody who lets an app in has read beside the scopes.
fn agreement(ready: &Ready) -> String {
    let patient = ready.patient.as_ref().map(|patient| patient.id.as_str()).unwrap_or_default();
    format!("consent {patient} {}", ready.reason.as_deref().unwrap_or_default())
}

/// An address as far as people have to know it: without what changes from request to request.
fn place(address: &str) -> &str {
    let after_scheme = address.find("://").map_or(0, |at| at + 3);
    let end = address.get(after_scheme..).and_then(|rest| rest.find(['/', '?'])).map(|at| at + after_scheme);
    end.and_then(|end| address.get(..end)).filter(|place| !place.is_empty()).unwrap_or(address)
}
