//! The choice of a patient.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::Visit;
use crate::authorize::pending::{Emergency, Pending, Progress};
use crate::authorize::step::{Step, next};
use crate::pages::frame::{Mark, Problem};
use crate::pages::picker::{self, NONE_CHOSEN, NOT_OFFERED, Picker, TOO_LONG};
use crate::people::answer::{Trouble, finish, malformed, redirect, show};
use crate::people::form::Parameters;
use crate::server::SmartServer;
use crate::sessions::SignedIn;

/// Characters that are searched for at most.
const WORDS_MAX: usize = 200;

/// A patient is searched for, or chosen.
pub(crate) async fn post(server: Data<SmartServer>, http: HttpRequest, body: Payload) -> HttpResponse {
    let done = match Parameters::of_form(&http, body).await {
        Ok(form) => asked(&server, &http, &form).await,
        Err(what) => Err(malformed(what)),
    };
    finish(&server, done)
}

/// The page.
pub(super) async fn page(
    visit: &Visit<'_>,
    signed_in: &SignedIn,
    words: &str,
    problem: Option<Problem>,
) -> Result<HttpResponse, Trouble> {
    let is_emergency = is_emergency(&visit.progress(signed_in));
    let is_long = words.chars().count() > WORDS_MAX;
    let (words, problem) = if is_long { ("", Some(TOO_LONG)) } else { (words, problem) };
    let found = visit.server.patients(visit.http, &signed_in.user, words, is_emergency).await?;
    let token = visit.token("");
    let shown = Picker {
        mark: Mark { request: &visit.id, token: &token },
        client: &visit.client.name,
        display: &signed_in.user.display,
        words,
        page: &found,
        is_emergency,
        problem,
    };
    let status = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Ok(show(status, Some(&visit.pending.redirect_uri), picker::page(visit.server.frame(), shown)))
}

async fn asked(server: &SmartServer, http: &HttpRequest, form: &Parameters) -> Result<HttpResponse, Trouble> {
    let visit = Visit::of_form(server, http, form).await?;
    visit.check(form, "")?;
    let on = || Ok(redirect(server, server.interaction(&visit.id)));
    let Some(signed_in) = &visit.signed_in else { return on() };
    // Only where a patient is to be chosen; another one may be chosen as long as the app was not let in.
    let open = Progress { patient: None, ..visit.progress(signed_in) };
    let asked = Pending { progress: open.clone(), ..visit.pending.clone() };
    if !matches!(next(server, http, &asked, &visit.client, Some(signed_in)).await?, Step::Picker) {
        return on();
    }
    let words = form.one("words").map_err(malformed)?.unwrap_or_default().trim();
    if form.one("choose").map_err(malformed)?.is_none() {
        return page(&visit, signed_in, words, None).await;
    }
    let Some(id) = form.one("patient").map_err(malformed)? else {
        return page(&visit, signed_in, words, Some(NONE_CHOSEN)).await;
    };
    if server.patient(http, &signed_in.user, id, is_emergency(&open)).await?.is_none() {
        return page(&visit, signed_in, words, Some(NOT_OFFERED)).await;
    }
    visit.decide(Progress { patient: Some(id.to_owned()), ..open }).await?;
    on()
}

fn is_emergency(progress: &Progress) -> bool {
    matches!(progress.emergency, Emergency::Declared(_))
}
