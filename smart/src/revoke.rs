//! Takes tokens back (RFC 7009): one access token, or with a refresh token its whole family.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::DateTime;

use crate::client::Client;
use crate::client_auth;
use crate::error::OAuthErrorCode::{InvalidRequest, TemporarilyUnavailable, UnauthorizedClient};
use crate::form::Form;
use crate::host::{Happened, Occurrence};
use crate::refusal::{self, Refusal};
use crate::revocation::REVOKED_MAX;
use crate::secret;
use crate::server::SmartServer;
use crate::store::families::{self, Kind};
use crate::store::revocations;
use crate::token::claims::AccessClaims;

const FOREIGN: Refusal = Refusal::new(UnauthorizedClient, "the token is of another client");

/// `POST /auth/revoke`
pub(crate) async fn revoke(
    server: web::Data<SmartServer>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let mut occurrence = Occurrence::new(Happened::Revocation);
    let outcome = revoked(&server, &request, payload, &mut occurrence).await;
    server.concluded(&request, occurrence, outcome).await
}

async fn revoked(
    server: &SmartServer,
    request: &HttpRequest,
    payload: web::Payload,
    occurrence: &mut Occurrence,
) -> Result<HttpResponse, Refusal> {
    let form = Form::read(request, payload).await?;
    let client = client_auth::authenticate(server, request, (&form, "/auth/revoke"), occurrence).await?;
    let token = form.require("token", "`token` is missing")?;
    match server.own_token(token) {
        Some(claims) => revoke_access(server, &client, &claims, occurrence).await?,
        None => revoke_refresh(server, &client, token, occurrence).await?,
    }
    server.put_on_record(request, occurrence.clone()).await?;
    // RFC 7009 section 2.2: the same for tokens that are unknown or ended.
    Ok(refusal::kept_nowhere(&mut HttpResponse::Ok()).finish())
}

async fn revoke_access(
    server: &SmartServer,
    client: &Client,
    claims: &AccessClaims,
    occurrence: &mut Occurrence,
) -> Result<(), Refusal> {
    if claims.client_id != client.id {
        return Err(FOREIGN);
    }
    occurrence.user = Some(claims.sub.clone());
    let ends_at = DateTime::from_timestamp(claims.exp, 0);
    let ends_at = ends_at.ok_or(Refusal::new(InvalidRequest, "the token has no end"))?;
    if ends_at <= server.host.now() {
        return Ok(());
    }
    // Half of what can be known is for families, which are ended for better reasons.
    if server.revocations.len() > REVOKED_MAX / 2 {
        return Err(Refusal::new(
            TemporarilyUnavailable,
            "too many tokens were revoked that have not ended yet",
        ));
    }
    revocations::insert(&server.store, claims.jti, ends_at).await?;
    Ok(server.follow_revocations().await?)
}

async fn revoke_refresh(
    server: &SmartServer,
    client: &Client,
    token: &str,
    occurrence: &mut Occurrence,
) -> Result<(), Refusal> {
    let digest = secret::digest_of(token);
    let connection = server.store.get().await?;
    let now = server.host.now();
    let found = families::find(&connection, server.store.realm, (Kind::Refresh, &digest, now)).await?;
    drop(connection);
    let Some(found) = found else { return Ok(()) };
    if found.client != client.id || found.service != server.options.service {
        return Err(FOREIGN);
    }
    occurrence.about(&found.approval);
    server.revoke_family(found.family).await?;
    Ok(())
}
