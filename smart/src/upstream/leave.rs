//! The way to the provider of sign-in.
//!
//! It is a link and no form: browsers hold redirects that follow a form to the page's policy, and where a provider sends its users on
//! to is not known here. The address has the opaque value of the request, which belongs to the browser, so nobody else can send
//! somebody on this way.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::back::refused;
use crate::authorize::pending::{Leg, Pending};
use crate::interaction::{NOT_OURS, Visit};
use crate::people::answer::{Trouble, finish, malformed, redirect};
use crate::people::form::Parameters;
use crate::secret::{digest_of, opaque};
use crate::server::SmartServer;

/// Sends a browser to the provider.
pub(crate) async fn get(server: Data<SmartServer>, http: HttpRequest) -> HttpResponse {
    let done = match Parameters::of_address(&http) {
        Ok(parameters) => sent(&server, &http, &parameters).await,
        Err(what) => Err(malformed(what)),
    };
    finish(&server, done)
}

async fn sent(
    server: &SmartServer,
    http: &HttpRequest,
    parameters: &Parameters,
) -> Result<HttpResponse, Trouble> {
    let visit = Visit::find(server, http, parameters).await?;
    if !visit.belongs() {
        return Err(Trouble::forbidden(NOT_OURS));
    }
    let Some(upstream) = &server.options.upstream else {
        return Err(Trouble::page("There is nothing here", "Nobody signs in elsewhere at this service."));
    };
    let discovered = match server.provider.discovered(upstream).await {
        Ok(discovered) => discovered,
        Err(failed) => return refused(&visit, failed).await,
    };
    let (secret, nonce, verifier) = (opaque()?, opaque()?, opaque()?);
    let leg = Leg { state: digest_of(&secret), nonce: nonce.clone(), verifier: verifier.clone() };
    let is = Pending { leg: Some(leg), ..visit.pending.clone() };
    if !server.store.change_request(&visit.digest, &visit.pending, &is).await? {
        return Ok(redirect(server, server.interaction(&visit.id)));
    }
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    let state = format!("{}.{secret}", visit.id);
    let mut to = discovered.authorization_endpoint;
    to.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &upstream.client_id)
        .append_pair("redirect_uri", &server.upstream_callback())
        .append_pair("scope", &upstream.scope)
        .append_pair("state", &state)
        .append_pair("nonce", &nonce)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    let pending = &visit.pending;
    if pending.prompt.login {
        to.query_pairs_mut().append_pair("prompt", "login");
    }
    if let Some(age) = pending.max_age {
        to.query_pairs_mut().append_pair("max_age", &age.to_string());
    }
    if let Some(hint) = &pending.login_hint {
        to.query_pairs_mut().append_pair("login_hint", hint);
    }
    Ok(redirect(server, to.into()))
}

impl SmartServer {
    /// Where the provider sends browsers back to.
    pub(crate) fn upstream_callback(&self) -> String {
        format!("{}/auth/upstream/callback", self.options.base)
    }
}
