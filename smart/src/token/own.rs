//! Reads access tokens of this server, as apps send them back to be asked about or revoked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::claims::{ACCESS_TYPE, AccessClaims};
use crate::server::SmartServer;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    typ: String,
}

impl SmartServer {
    /// The claims of an access token that this server has signed for this service, whether it has ended or not; `None` for
    /// everything else.
    pub(crate) fn own_token(&self, text: &str) -> Option<AccessClaims> {
        let (message, signature) = text.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        if header.alg != "RS256" || header.typ != ACCESS_TYPE {
            return None;
        }
        if !self.keys.has_signed(&header.kid, message, signature) {
            return None;
        }
        let claims: AccessClaims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        (claims.iss == self.options.base && claims.aud == self.options.base).then_some(claims)
    }
}
