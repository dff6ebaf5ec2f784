//! Makes the tokens of an approval, and the answer that carries them.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::Asked;
use super::claims::{ACCESS_TYPE, AccessClaims, ID_TYPE, IdClaims};
use crate::approve::whole;
use crate::client::GrantType;
use crate::error::OAuthErrorCode::InvalidScope;
use crate::error::SmartError;
use crate::refusal::Refusal;
use crate::secret;
use crate::store::families::Presented;

/// What is to be issued.
pub(super) struct Issue<'a> {
    pub(super) presented: &'a Presented,
    /// The scopes of the access token.
    pub(super) scope: &'a str,
    pub(super) now: DateTime<Utc>,
    /// Whether an ID token belongs to it, if it was granted.
    pub(super) identifies: bool,
}

/// What was made.
pub(super) struct Issued {
    pub(super) body: Value,
    pub(super) access_ends_at: DateTime<Utc>,
    /// The digest of the refresh token, and when it ends.
    pub(super) refresh: Option<(Vec<u8>, DateTime<Utc>)>,
}

/// What a client may have today of scopes that were granted once: its registration may have changed since.
pub(super) fn still_allowed(asked: &Asked<'_>, scope: &str) -> Result<String, Refusal> {
    const NOTHING: Refusal =
        Refusal::new(InvalidScope, "nothing of what was granted is allowed to the client");
    let narrowed = asked.server.host.narrow(scope, &asked.client.scope).map_err(|_| NOTHING)?;
    if narrowed.is_empty() { Err(NOTHING) } else { Ok(narrowed) }
}

impl Issue<'_> {
    /// Makes the tokens.
    pub(super) fn issue(&self, asked: &Asked<'_>) -> Result<Issued, SmartError> {
        let (server, approval) = (asked.server, &self.presented.approval);
        let access_for = whole(server.access_for(approval));
        let access_ends_at = (self.now + access_for).min(self.presented.family_ends_at);
        let fhir_user = approval.fhir_user.as_deref().map(|user| absolute(&server.options.base, user));
        let claims = AccessClaims {
            iss: server.options.base.clone(),
            aud: server.options.base.clone(),
            sub: approval.user.to_string(),
            client_id: approval.client.clone(),
            iat: self.now.timestamp(),
            exp: access_ends_at.timestamp(),
            jti: secret::identifier()?,
            scope: self.scope.to_owned(),
            fam: self.presented.family,
            patient: approval.context.patient.clone(),
            encounter: approval.context.encounter.clone(),
            fhir_user: fhir_user.clone(),
            break_glass: approval.emergency_reason.clone(),
        };
        let access = server.keys.sign(ACCESS_TYPE, &claims, self.now)?;
        let mut body = token_body(&access, claims.exp - claims.iat, self.scope);
        let context =
            serde_json::to_value(&approval.context).map_err(|_| SmartError::Stored("an approval"))?;
        if let Value::Object(context) = context {
            body.extend(context);
        }
        if self.identifies && has(self.scope, "openid") {
            let token = self.id_token(asked, (fhir_user.as_deref(), claims.exp))?;
            body.insert("id_token".to_owned(), token.into());
        }
        let refresh = match self.refresh_ends_at(asked) {
            Some(ends_at) => {
                let token = secret::opaque()?;
                let digest = secret::digest_of(&token);
                body.insert("refresh_token".to_owned(), token.into());
                Some((digest, ends_at))
            }
            None => None,
        };
        Ok(Issued { body: Value::Object(body), access_ends_at, refresh })
    }

    fn id_token(
        &self,
        asked: &Asked<'_>,
        (fhir_user, exp): (Option<&str>, i64),
    ) -> Result<String, SmartError> {
        let approval = &self.presented.approval;
        let is_profile = has(self.scope, "profile");
        let claims = IdClaims {
            iss: &asked.server.options.base,
            sub: approval.user.to_string(),
            aud: &approval.client,
            iat: self.now.timestamp(),
            exp,
            auth_time: approval.signed_in_at.timestamp(),
            nonce: approval.nonce.as_deref(),
            fhir_user: fhir_user.filter(|_| is_profile || has(self.scope, "fhirUser")),
            profile: fhir_user.filter(|_| is_profile),
            name: is_profile.then_some(approval.display.as_str()),
        };
        asked.server.keys.sign(ID_TYPE, &claims, self.now)
    }

    /// When the next refresh token ends; `None` where there is none. Where the browser's session is known, the tables say
    /// whether it goes on; else a session is reckoned to have begun with the sign-in.
    fn refresh_ends_at(&self, asked: &Asked<'_>) -> Option<DateTime<Utc>> {
        let (options, approval) = (&asked.server.options, &self.presented.approval);
        if !approval.refreshes() || !asked.client.may(GrantType::RefreshToken) {
            return None;
        }
        let mut ends_at = (self.now + whole(options.refresh_for)).min(self.presented.family_ends_at);
        if approval.is_online() && approval.session_digest.is_none() {
            ends_at = ends_at.min(approval.signed_in_at + whole(options.session_for));
        }
        (ends_at - self.now > TimeDelta::zero()).then_some(ends_at)
    }
}

/// The members that every answer with a token has (RFC 6749 section 5.1).
pub(super) fn token_body(access: &str, lasts_s: i64, scope: &str) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("access_token".to_owned(), access.into());
    body.insert("token_type".to_owned(), "Bearer".into());
    body.insert("expires_in".to_owned(), json!(lasts_s));
    body.insert("scope".to_owned(), scope.into());
    body
}

/// Whether a scope is among others.
pub(super) fn has(scopes: &str, scope: &str) -> bool {
    scopes.split(' ').any(|other| other == scope)
}

/// A reference below a base, unless it is absolute itself.
fn absolute(base: &str, reference: &str) -> String {
    match reference.contains("://") {
        true => reference.to_owned(),
        false => format!("{base}/{reference}"),
    }
}
