//! The address `auth/interaction`: shows what a request for authorization needs next.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, SET_COOKIE};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::{NOT_OURS, Visit, approve, consent, emergency, patient, sign_in};
use crate::authorize::pending::Pending;
use crate::authorize::step::Step;
use crate::error::SmartError;
use crate::people::answer::{Trouble, finish, malformed};
use crate::people::browser::{Cookie, set};
use crate::people::form::Parameters;
use crate::secret::digest_of;
use crate::server::SmartServer;

/// The page that is needed next, or the answer to the app.
pub(crate) async fn get(server: Data<SmartServer>, http: HttpRequest) -> HttpResponse {
    let done = match Parameters::of_address(&http) {
        Ok(parameters) => shown(&server, &http, &parameters).await,
        Err(what) => Err(malformed(what)),
    };
    finish(&server, done)
}

async fn shown(
    server: &SmartServer,
    http: &HttpRequest,
    parameters: &Parameters,
) -> Result<HttpResponse, Trouble> {
    let mut visit = Visit::find(server, http, parameters).await?;
    let is_new = visit.browser.is_new;
    if visit.pending.browser.is_none() {
        let browser = Some(digest_of(&visit.browser.value));
        let is = Pending { browser, ..visit.pending.clone() };
        if !server.store.change_request(&visit.digest, &visit.pending, &is).await? {
            return Err(Trouble::forbidden(NOT_OURS));
        }
        visit.pending = is;
        visit.browser.is_new = false;
    }
    if !visit.belongs() {
        return Err(Trouble::forbidden(NOT_OURS));
    }
    // The browser learns its value also where the app is answered at once.
    let mut answer = finish(server, step(&visit).await);
    if is_new {
        give(&mut answer, &set(&server.options, Cookie::Browser, &visit.browser.value))?;
    }
    Ok(answer)
}

async fn step(visit: &Visit<'_>) -> Result<HttpResponse, Trouble> {
    let step = visit.next().await?;
    match (step, &visit.signed_in) {
        (Step::Refuse(error, why), _) => Err(approve::refuse(visit, error, why).await?),
        (Step::SignIn, _) | (_, None) => Ok(sign_in::page(visit, StatusCode::OK, None, None)),
        (Step::Emergency, Some(signed_in)) => Ok(emergency::page(visit, signed_in, "", None)),
        (Step::Picker, Some(signed_in)) => patient::page(visit, signed_in, "", None).await,
        (Step::Consent(ready), Some(signed_in)) => consent::page(visit, signed_in, &ready, None).await,
        (Step::Approve(ready), Some(signed_in)) => {
            approve::approve(visit, signed_in, &ready, &ready.grantable.all()).await
        }
    }
}

/// Gives a browser a cookie with an answer.
pub(super) fn give(answer: &mut HttpResponse, cookie: &str) -> Result<(), Trouble> {
    let cookie = HeaderValue::from_str(cookie)
        .map_err(|_| SmartError::Invalid("the path of the base cannot stand in a cookie".to_owned()))?;
    answer.headers_mut().append(SET_COOKIE, cookie);
    Ok(())
}
