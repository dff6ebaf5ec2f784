//! Redeems authorization codes (RFC 6749 section 4.1.3, RFC 7636): once, by the client that it was made for.
//!
//! Whoever comes with a code and has something wrong about it ends it, and what came of it: a code is known to one client,
//! which makes no mistakes unless it is not the one.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::Asked;
use super::issue::{Issue, Issued, still_allowed};
use crate::error::OAuthErrorCode::{InvalidGrant, InvalidRequest};
use crate::form::Form;
use crate::host::Occurrence;
use crate::refusal::{self, Refusal};
use crate::secret;
use crate::store::families::{self, Continued, Kind, Presented};

/// The lengths of a code verifier (RFC 7636 section 4.1).
const VERIFIER_BYTES: std::ops::RangeInclusive<usize> = 43..=128;

const USED: Refusal = Refusal::new(InvalidGrant, "the code was used before; what came of it is ended");

/// Grants what the user has approved.
pub(super) async fn grant(asked: &Asked<'_>, occurrence: &mut Occurrence) -> Result<HttpResponse, Refusal> {
    let server = asked.server;
    let code = asked.form.require("code", "`code` is missing")?;
    let verifier = verifier(asked.form)?;
    asked.form.require("redirect_uri", "`redirect_uri` is missing")?;
    let (digest, now) = (secret::digest_of(code), server.host.now());
    let connection = server.store.get().await?;
    let found = families::find(&connection, server.store.realm, (Kind::Code, &digest, now)).await?;
    drop(connection);
    let presented = found.ok_or(Refusal::new(InvalidGrant, "there is no such code"))?;
    occurrence.about(&presented.approval);
    if let Err(refusal) = check(asked, &presented, verifier) {
        server.revoke_family(presented.family).await?;
        return Err(refusal);
    }
    if presented.ends_at <= now {
        return Err(Refusal::new(InvalidGrant, "the code has ended"));
    }
    if !presented.is_alive || !presented.is_in_session {
        return Err(Refusal::new(InvalidGrant, "what was approved was ended"));
    }
    let scope = still_allowed(asked, &presented.approval.scope)?;
    let issue = Issue { presented: &presented, scope: &scope, now, identifies: true };
    let issued = issue.issue(asked)?;
    occurrence.scope = Some(scope);
    let is_used = !continued(asked, (Kind::Code, &digest), (&presented, &issued, now), occurrence).await?;
    if is_used {
        server.revoke_family(presented.family).await?;
        return Err(USED);
    }
    Ok(refusal::answer(StatusCode::OK, &issued.body))
}

/// Uses a code or a refresh token for what was issued, and puts that on record: both or neither. `false` where it was used or
/// ended meanwhile.
pub(super) async fn continued(
    asked: &Asked<'_>,
    (kind, digest): (Kind, &[u8]),
    (presented, issued, now): (&Presented, &Issued, DateTime<Utc>),
    occurrence: &Occurrence,
) -> Result<bool, Refusal> {
    let server = asked.server;
    let goes_on = Continued {
        family: presented.family,
        now,
        access_ends_at: issued.access_ends_at,
        refresh: issued.refresh.as_ref().map(|(digest, ends_at)| (digest.as_slice(), *ends_at)),
    };
    let mut connection = server.store.get().await?;
    let transaction = connection.transaction().await?;
    if !families::use_once(&transaction, server.store.realm, (kind, digest), &goes_on).await? {
        return Ok(false);
    }
    server.put_on_record(asked.request, occurrence.clone()).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Checks that it is the client that the code was made for, and the one that has asked for it.
fn check(asked: &Asked<'_>, presented: &Presented, verifier: &str) -> Result<(), Refusal> {
    let approval = &presented.approval;
    if presented.is_used {
        return Err(USED);
    }
    if presented.client != asked.client.id || presented.service != asked.server.options.service {
        return Err(Refusal::new(InvalidGrant, "the code is of another client"));
    }
    if asked.form.get("redirect_uri") != Some(approval.redirect_uri.as_str()) {
        return Err(Refusal::new(
            InvalidGrant,
            "`redirect_uri` is another one than the code was asked for with",
        ));
    }
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    if !secret::are_equal(challenge.as_bytes(), approval.code_challenge.as_bytes()) {
        return Err(Refusal::new(InvalidGrant, "`code_verifier` is not that of the code's challenge"));
    }
    Ok(())
}

/// The code verifier, which every client has to have: SMART App Launch requires PKCE of all.
fn verifier(form: &Form) -> Result<&str, Refusal> {
    let verifier = form.require("code_verifier", "`code_verifier` is missing: PKCE is for all clients")?;
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match VERIFIER_BYTES.contains(&verifier.len()) && verifier.bytes().all(is_unreserved) {
        true => Ok(verifier),
        false => Err(Refusal::new(
            InvalidRequest,
            "`code_verifier` is too short, too long, or has other characters",
        )),
    }
}
