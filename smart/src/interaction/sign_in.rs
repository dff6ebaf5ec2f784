//! Sign-in: name and password, and a session that is new.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::Visit;
use super::show::give;
use crate::authorize::pending::Progress;
use crate::host::{Happened, Occurrence};
use crate::pages::frame::{Mark, Problem};
use crate::pages::sign_in::{self, SignIn, WRONG};
use crate::people::answer::{Trouble, finish, malformed, redirect, show};
use crate::people::browser::{Cookie, set};
use crate::people::form::Parameters;
use crate::secret::digest_of;
use crate::server::SmartServer;
use crate::users::password::{Checked, check};
use crate::users::{User, folded};

/// Somebody signs in.
pub(crate) async fn post(server: Data<SmartServer>, http: HttpRequest, body: Payload) -> HttpResponse {
    let done = match Parameters::of_form(&http, body).await {
        Ok(form) => signed_in(&server, &http, &form).await,
        Err(what) => Err(malformed(what)),
    };
    finish(&server, done)
}

/// The page. `name` is what was typed.
pub(crate) fn page(
    visit: &Visit<'_>,
    status: StatusCode,
    name: Option<&str>,
    problem: Option<Problem>,
) -> HttpResponse {
    let token = visit.open_token();
    let known = visit.signed_in.as_ref().map(|signed_in| signed_in.user.name.as_str());
    let shown = SignIn {
        mark: Mark { request: &visit.id, token: &token },
        client: &visit.client.name,
        name: name.or(visit.pending.login_hint.as_deref()).or(known).unwrap_or_default(),
        elsewhere: visit.server.options.upstream.as_ref().map(|upstream| upstream.name.as_str()),
        problem,
    };
    show(status, Some(&visit.pending.redirect_uri), sign_in::page(visit.server.frame(), shown))
}

async fn signed_in(
    server: &SmartServer,
    http: &HttpRequest,
    form: &Parameters,
) -> Result<HttpResponse, Trouble> {
    let visit = Visit::of_form(server, http, form).await?;
    visit.check_open(form)?;
    let typed = form.one("name").map_err(malformed)?.unwrap_or_default();
    let password = form.one("password").map_err(malformed)?.unwrap_or_default();
    match identified(&visit, typed, password).await? {
        Some(user) => begin(&visit, &user).await,
        // What was typed is shown again as far as it may be a name.
        None => {
            let name = folded(typed).unwrap_or_default();
            Ok(page(&visit, StatusCode::FORBIDDEN, Some(&name), Some(WRONG)))
        }
    }
}

/// Who it is. It takes as long, and is told in the same words, whether there is no such user, the password is wrong, the user may
/// not sign in, or there were too many attempts.
async fn identified(visit: &Visit<'_>, typed: &str, password: &str) -> Result<Option<User>, Trouble> {
    let server = visit.server;
    let name = folded(typed).unwrap_or_default();
    let attempt = server.attempt(&name, &server.host.address(visit.http)).await?;
    let found = server.store.user_named(&name).await?;
    let digest = found.as_ref().filter(|found| attempt.is_allowed && found.user.is_enabled);
    let digest = digest.and_then(|found| found.password.clone());
    let checked = check(password, digest.clone()).await?;
    let user = found.map(|found| found.user);
    let id = user.as_ref().map(|user| user.id);
    let why = match (&user, &checked) {
        (Some(_), Checked::Right | Checked::RightWith(_)) => None,
        _ if !attempt.is_allowed => Some("there were too many attempts"),
        (Some(user), _) if !user.is_enabled => Some("the user is not enabled"),
        _ => Some("the name or the password is wrong"),
    };
    let occurrence = Occurrence {
        user: id.map(|id| id.to_string()),
        refused: why,
        ..Occurrence::new(Happened::SignIn).of(&visit.client)
    };
    server.host.record(visit.http, occurrence).await?;
    if why.is_some() {
        return Ok(None);
    }
    server.forgive(&attempt).await?;
    if let (Some(id), Some(old), Checked::RightWith(new)) = (id, digest, checked) {
        server.store.replace_password(id, &old, &new).await?;
    }
    Ok(user)
}

/// Begins a session for somebody who has shown who it is, and goes on with the request.
pub(crate) async fn begin(visit: &Visit<'_>, user: &User) -> Result<HttpResponse, Trouble> {
    let server = visit.server;
    let cookie = server.begin_session(visit.http, user).await?;
    let progress = Progress { session: Some(digest_of(&cookie)), has_signed_in: true, ..Progress::default() };
    visit.decide(progress).await?;
    let mut answer = redirect(server, server.interaction(&visit.id));
    give(&mut answer, &set(&server.options, Cookie::Session, &cookie))?;
    Ok(answer)
}
