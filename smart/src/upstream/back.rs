//! The way back from the provider of sign-in, and which user it is here.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::id_token::{Asked, Identity, check};
use super::{Failed, Upstream};
use crate::authorize::pending::{Leg, Pending};
use crate::host::{Happened, Occurrence};
use crate::interaction::{NOT_OURS, Visit, sign_in};
use crate::pages::sign_in::ELSEWHERE;
use crate::people::answer::{Trouble, finish, malformed};
use crate::people::form::Parameters;
use crate::secret::{are_equal, digest_of};
use crate::server::SmartServer;
use crate::users::{User, folded};

/// Somebody comes back from the provider.
pub(crate) async fn get(server: Data<SmartServer>, http: HttpRequest) -> HttpResponse {
    let done = match Parameters::of_address(&http) {
        Ok(parameters) => came_back(&server, &http, &parameters).await,
        Err(what) => Err(malformed(what)),
    };
    finish(&server, done)
}

async fn came_back(
    server: &SmartServer,
    http: &HttpRequest,
    parameters: &Parameters,
) -> Result<HttpResponse, Trouble> {
    let state = parameters.one("state").map_err(malformed)?.unwrap_or_default();
    let (id, secret) = state.split_once('.').unwrap_or_default();
    let mut visit = Visit::of(server, http, id).await?;
    let leg = visit.pending.leg.take_if(|leg| are_equal(&leg.state, &digest_of(secret)));
    let (Some(leg), Some(upstream), true) = (leg, &server.options.upstream, visit.belongs()) else {
        return Err(Trouble::forbidden(NOT_OURS));
    };
    // Each way there is gone back once.
    let was = Pending { leg: Some(leg.clone()), ..visit.pending.clone() };
    if !server.store.change_request(&visit.digest, &was, &visit.pending).await? {
        return Err(Trouble::forbidden(NOT_OURS));
    }
    let identity = match identified(&visit, upstream, parameters, &leg).await {
        Ok(identity) => identity,
        Err(failed) => return refused(&visit, failed).await,
    };
    match known(server, upstream, &identity).await? {
        Some(user) if user.is_enabled => {
            let occurrence = Occurrence {
                user: Some(user.id.to_string()),
                ..Occurrence::new(Happened::SignIn).of(&visit.client)
            };
            server.host.record(http, occurrence).await?;
            sign_in::begin(&visit, &user).await
        }
        Some(_) => refused(&visit, Failed("the user is not enabled")).await,
        None => refused(&visit, Failed("nobody here signs in so elsewhere")).await,
    }
}

/// Who has signed in at the provider.
async fn identified(
    visit: &Visit<'_>,
    upstream: &Upstream,
    parameters: &Parameters,
    leg: &Leg,
) -> Result<Identity, Failed> {
    let one = |name| parameters.one(name).map_err(|_| Failed("the provider says something twice"));
    // RFC 9207: else the answer may be that of another provider.
    if one("iss")?.is_some_and(|iss| iss != upstream.issuer) {
        return Err(Failed("the answer is of another issuer"));
    }
    if one("error")?.is_some() {
        return Err(Failed("the provider has not signed the user in"));
    }
    let code = one("code")?.ok_or(Failed("the provider sends no code"))?;
    let server = visit.server;
    let discovered = server.provider.discovered(upstream).await?;
    let callback = server.upstream_callback();
    let form = [("code", code), ("redirect_uri", &callback), ("code_verifier", &leg.verifier)];
    let token = server.provider.redeem(upstream, &discovered, &form).await?;
    let asked = Asked { nonce: &leg.nonce, max_age: visit.pending.max_age };
    check(server, upstream, &discovered, &token, asked).await
}

/// Which user it is here: the one who has signed in so before; else one of this name that was made for this provider and has not
/// signed in yet. Nobody else is ever taken for the user of a name: names at providers change hands.
async fn known(
    server: &SmartServer,
    upstream: &Upstream,
    identity: &Identity,
) -> Result<Option<User>, Trouble> {
    let account = (upstream.issuer.as_str(), identity.subject.as_str());
    if let Some(found) = server.store.user_of(account).await? {
        return Ok(Some(found.user));
    }
    let Some(name) = identity.name.as_deref().and_then(folded) else { return Ok(None) };
    if !server.store.bind_user(&name, account, server.host.now()).await? {
        return Ok(None);
    }
    Ok(server.store.user_of(account).await?.map(|found| found.user))
}

/// Puts a refusal on record, and shows the page of sign-in again.
pub(super) async fn refused(visit: &Visit<'_>, failed: Failed) -> Result<HttpResponse, Trouble> {
    tracing::warn!(why = failed.0, "somebody could not sign in elsewhere");
    let occurrence = Occurrence::refused(Happened::SignIn, failed.0).of(&visit.client);
    visit.server.host.record(visit.http, occurrence).await?;
    Ok(sign_in::page(visit, StatusCode::FORBIDDEN, None, Some(ELSEWHERE)))
}
