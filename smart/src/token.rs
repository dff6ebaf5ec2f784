//! The token endpoint (RFC 6749 section 3.2).

pub(crate) mod claims;
mod code;
mod credentials;
mod issue;
pub(crate) mod own;
mod refresh;

use actix_web::{HttpRequest, HttpResponse, web};

use crate::client::{Client, GrantType};
use crate::client_auth;
use crate::error::OAuthErrorCode::{UnauthorizedClient, UnsupportedGrantType};
use crate::form::Form;
use crate::host::{Happened, Occurrence};
use crate::refusal::Refusal;
use crate::server::SmartServer;

/// A request for a token whose client has shown who it is.
struct Asked<'a> {
    server: &'a SmartServer,
    request: &'a HttpRequest,
    form: &'a Form,
    client: &'a Client,
}

/// `POST /auth/token`
pub(crate) async fn token(
    server: web::Data<SmartServer>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let mut occurrence = Occurrence::new(Happened::Token);
    let outcome = granted(&server, &request, payload, &mut occurrence).await;
    server.concluded(&request, occurrence, outcome).await
}

async fn granted(
    server: &SmartServer,
    request: &HttpRequest,
    payload: web::Payload,
    occurrence: &mut Occurrence,
) -> Result<HttpResponse, Refusal> {
    let form = Form::read(request, payload).await?;
    let client = client_auth::authenticate(server, request, (&form, "/auth/token"), occurrence).await?;
    let kind = match form.require("grant_type", "`grant_type` is missing")? {
        "authorization_code" => GrantType::AuthorizationCode,
        "refresh_token" => GrantType::RefreshToken,
        "client_credentials" => GrantType::ClientCredentials,
        _ => return Err(Refusal::new(UnsupportedGrantType, "there is no such grant here")),
    };
    if !client.may(kind) {
        return Err(Refusal::new(UnauthorizedClient, "the client is not registered for this grant"));
    }
    let asked = Asked { server, request, form: &form, client: &client };
    match kind {
        GrantType::AuthorizationCode => code::grant(&asked, occurrence).await,
        GrantType::RefreshToken => refresh::grant(&asked, occurrence).await,
        GrantType::ClientCredentials => credentials::grant(&asked, occurrence).await,
    }
}
