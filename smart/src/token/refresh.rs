//! Refreshes tokens (RFC 6749 section 6): each refresh token is good once and gives the next one. One that comes a second time
//! was stolen, by whoever came first or second, and ends its family (RFC 9700 section 4.14.2).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::Asked;
use super::code::continued;
use super::issue::{Issue, still_allowed};
use crate::error::OAuthErrorCode::{InvalidGrant, InvalidScope};
use crate::host::Occurrence;
use crate::refusal::{self, Refusal};
use crate::secret;
use crate::store::families::{self, Kind};

const USED: Refusal = Refusal::new(InvalidGrant, "the refresh token was used before; its family is ended");

/// Grants again what was granted.
pub(super) async fn grant(asked: &Asked<'_>, occurrence: &mut Occurrence) -> Result<HttpResponse, Refusal> {
    let server = asked.server;
    let token = asked.form.require("refresh_token", "`refresh_token` is missing")?;
    let (digest, now) = (secret::digest_of(token), server.host.now());
    let connection = server.store.get().await?;
    let found = families::find(&connection, server.store.realm, (Kind::Refresh, &digest, now)).await?;
    drop(connection);
    let presented = found.ok_or(Refusal::new(InvalidGrant, "there is no such refresh token"))?;
    occurrence.about(&presented.approval);
    let is_own = presented.client == asked.client.id && presented.service == server.options.service;
    if presented.is_used || !is_own {
        // Whoever else has it should not.
        server.revoke_family(presented.family).await?;
        return Err(match is_own {
            true => USED,
            false => Refusal::new(InvalidGrant, "the refresh token is of another client"),
        });
    }
    if presented.ends_at <= now {
        return Err(Refusal::new(InvalidGrant, "the refresh token has ended"));
    }
    if !presented.is_alive || !presented.is_in_session {
        return Err(Refusal::new(InvalidGrant, "what was approved was ended"));
    }
    let scope = match asked.form.get("scope") {
        Some(scope) => within(asked, scope, &presented.approval.scope)?,
        None => presented.approval.scope.clone(),
    };
    let scope = still_allowed(asked, &scope)?;
    let issue = Issue { presented: &presented, scope: &scope, now, identifies: false };
    let issued = issue.issue(asked)?;
    occurrence.scope = Some(scope);
    let is_used = !continued(asked, (Kind::Refresh, &digest), (&presented, &issued, now), occurrence).await?;
    if is_used {
        server.revoke_family(presented.family).await?;
        return Err(USED);
    }
    Ok(refusal::answer(StatusCode::OK, &issued.body))
}

/// The scopes that are asked for, all of which have to lie within those that were granted.
fn within(asked: &Asked<'_>, scope: &str, granted: &str) -> Result<String, Refusal> {
    const MORE: Refusal =
        Refusal::new(InvalidScope, "`scope` has more than was granted, or what is no scope");
    let host = &asked.server.host;
    let read = |text: &str| host.read_scopes(text).map_err(|_| MORE);
    let texts = |text: &str| Ok::<_, Refusal>(read(text)?.shown.into_iter().map(|shown| shown.text));
    let wanted: Vec<String> = texts(scope)?.collect();
    let narrowed = host.narrow(scope, granted).map_err(|_| MORE)?;
    let left: Vec<String> = texts(&narrowed)?.collect();
    let is_whole = wanted.len() == left.len() && wanted.iter().all(|text| left.contains(text));
    if is_whole && !wanted.is_empty() { Ok(wanted.join(" ")) } else { Err(MORE) }
}
