//! Sign-out: asked with GET, done with POST, so that no picture on another page signs anybody out.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::show::give;
use super::{NOT_OURS, is_of_this_site};
use crate::host::{Happened, Occurrence};
use crate::pages::frame::Mark;
use crate::pages::sign_out::{ask, done};
use crate::people::answer::{Trouble, finish, malformed, redirect, show};
use crate::people::browser::{self, Browser, Cookie, clear, set};
use crate::people::form::Parameters;
use crate::people::mark::Bound;
use crate::secret::digest_of;
use crate::server::SmartServer;

/// The page that asks.
pub(crate) async fn get(server: Data<SmartServer>, http: HttpRequest) -> HttpResponse {
    let done = asked(&server, &http).await;
    finish(&server, done)
}

/// Somebody signs out; with a request for authorization somebody else goes on with it.
pub(crate) async fn post(server: Data<SmartServer>, http: HttpRequest, body: Payload) -> HttpResponse {
    let done = match Parameters::of_form(&http, body).await {
        Ok(form) => signed_out(&server, &http, &form).await,
        Err(what) => Err(malformed(what)),
    };
    finish(&server, done)
}

async fn asked(server: &SmartServer, http: &HttpRequest) -> Result<HttpResponse, Trouble> {
    let Some(signed_in) = server.signed_in(http).await? else {
        return Ok(show(StatusCode::OK, None, done(server.frame())));
    };
    let browser = Browser::of(http, &server.options)?;
    let bound = Bound { browser: &browser.value, session: &signed_in.cookie, request: "", shown: "" };
    let token = bound.token();
    let mark = Mark { request: "", token: &token };
    let page = ask(server.frame(), mark, &signed_in.user.display);
    let mut answer = show(StatusCode::OK, None, page);
    if browser.is_new {
        give(&mut answer, &set(&server.options, Cookie::Browser, &browser.value))?;
    }
    Ok(answer)
}

async fn signed_out(
    server: &SmartServer,
    http: &HttpRequest,
    form: &Parameters,
) -> Result<HttpResponse, Trouble> {
    let browser = Browser::of(http, &server.options)?;
    let session = browser::read(http, &server.options, Cookie::Session).unwrap_or_default();
    let request = form.one("request").map_err(malformed)?.unwrap_or_default();
    let token = form.one("csrf").map_err(malformed)?.unwrap_or_default();
    let bound = Bound { browser: &browser.value, session: &session, request, shown: "" };
    if browser.is_new || !is_of_this_site(http) || !bound.is(token) {
        return Err(Trouble::forbidden(NOT_OURS));
    }
    if let Some(signed_in) = server.signed_in(http).await? {
        let user = Some(signed_in.user.id.to_string());
        let occurrence = Occurrence { user, ..Occurrence::new(Happened::SignOut) };
        server.host.record(http, occurrence).await?;
    }
    server.store.end_session(&digest_of(&session)).await?;
    let mut answer = if request.is_empty() {
        show(StatusCode::OK, None, done(server.frame()))
    } else {
        redirect(server, server.interaction(&encoded(request)))
    };
    give(&mut answer, &clear(&server.options, Cookie::Session))?;
    Ok(answer)
}

/// The token says that the request is one of ours; what goes into an address is written so that it stays one value all the same.
fn encoded(request: &str) -> String {
    percent_encoding::utf8_percent_encode(request, percent_encoding::NON_ALPHANUMERIC).to_string()
}
