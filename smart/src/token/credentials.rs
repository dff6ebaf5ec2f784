//! Tokens for clients themselves (RFC 6749 section 4.4; SMART App Launch "Backend Services"): scopes of `system` only, for
//! minutes, and none to refresh them with.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::Value;

use super::Asked;
use super::claims::{ACCESS_TYPE, AccessClaims};
use super::issue::token_body;
use crate::approve::whole;
use crate::client::rules::SCOPE_BYTES_MAX;
use crate::error::OAuthErrorCode::{InvalidScope, UnauthorizedClient};
use crate::host::{Occurrence, ScopeContext};
use crate::refusal::{self, Refusal};
use crate::secret;
use crate::store::families::{self, NewFamily};

/// What clients of Azure ask for: all that they are registered for.
const DEFAULT: &str = "/.default";

/// Grants what the client is registered for.
pub(super) async fn grant(asked: &Asked<'_>, occurrence: &mut Occurrence) -> Result<HttpResponse, Refusal> {
    let (server, client) = (asked.server, asked.client);
    if !client.is_confidential() {
        return Err(Refusal::new(UnauthorizedClient, "the client has no way to show who it is"));
    }
    let scope = scope(asked)?;
    let now = server.host.now();
    let ends_at = now + whole(server.options.backend_for);
    let claims = AccessClaims {
        iss: server.options.base.clone(),
        aud: server.options.base.clone(),
        sub: client.id.clone(),
        client_id: client.id.clone(),
        iat: now.timestamp(),
        exp: ends_at.timestamp(),
        jti: secret::identifier()?,
        scope,
        fam: secret::identifier()?,
        patient: None,
        encounter: None,
        fhir_user: None,
        break_glass: None,
    };
    let access = server.keys.sign(ACCESS_TYPE, &claims, now)?;
    occurrence.user = Some(client.id.clone());
    occurrence.scope = Some(claims.scope.clone());
    let family = NewFamily {
        family: claims.fam,
        service: &server.options.service,
        client: &client.id,
        scope: &claims.scope,
        approval: None,
        session: None,
        made_at: now,
        ends_at,
        access_ends_at: ends_at,
    };
    let mut connection = server.store.get().await?;
    let transaction = connection.transaction().await?;
    families::insert(&transaction, server.store.realm, &family).await?;
    server.put_on_record(asked.request, occurrence.clone()).await?;
    transaction.commit().await?;
    let body = token_body(&access, claims.exp - claims.iat, &claims.scope);
    Ok(refusal::answer(StatusCode::OK, &Value::Object(body)))
}

/// The scopes of `system` that are asked for and that the client may have.
fn scope(asked: &Asked<'_>) -> Result<String, Refusal> {
    const OTHERS: Refusal =
        Refusal::new(InvalidScope, "a client for itself can have scopes of `system` only");
    const UNKNOWN: Refusal = Refusal::new(InvalidScope, "`scope` is missing, or has what is no scope");
    const NOTHING: Refusal = Refusal::new(InvalidScope, "nothing of `scope` is allowed to the client");
    let (server, client) = (asked.server, asked.client);
    let named = asked.form.get("scope").ok_or(UNKNOWN)?;
    if named.len() > SCOPE_BYTES_MAX {
        return Err(UNKNOWN);
    }
    let read = |text: &str| server.host.read_scopes(text).map_err(|_| UNKNOWN);
    let bases = std::iter::once(&server.options.base).chain(&server.options.other_bases);
    let is_default = bases.into_iter().any(|base| named.strip_prefix(base.as_str()) == Some(DEFAULT));
    let wanted = if is_default { client.scope.as_str() } else { named };
    let mut wanted = read(wanted)?.shown;
    if is_default {
        wanted.retain(|shown| shown.context == ScopeContext::System);
    } else if wanted.iter().any(|shown| shown.context != ScopeContext::System) {
        return Err(OTHERS);
    }
    let texts: Vec<String> = wanted.into_iter().map(|shown| shown.text).collect();
    let narrowed = server.host.narrow(&texts.join(" "), &client.scope).map_err(|_| UNKNOWN)?;
    if narrowed.is_empty() { Err(NOTHING) } else { Ok(narrowed) }
}
