//! The description of a client as it is sent (RFC 7591 section 2). What is not known is ignored, as that section has it.

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;

use super::caller::Registrant;
use crate::client::rules::is_internal;
use crate::client::{AuthMethod, Client, GrantType};
use crate::error::OAuthError;
use crate::error::OAuthErrorCode::{InvalidClientMetadata, InvalidRequest};
use crate::refusal::Refusal;
use crate::secret;

/// Members of a description, not looked at yet.
pub(super) struct Metadata {
    members: Map<String, Value>,
}

impl Metadata {
    /// Reads the body of a request.
    pub(super) fn read(request: &HttpRequest, body: &[u8]) -> Result<Self, Refusal> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Refusal::new(InvalidRequest, "the body is no application/json"));
        }
        let members = serde_json::from_slice(body)
            .map_err(|_| Refusal::new(InvalidClientMetadata, "the body is no JSON object"))?;
        // The tables have no text with it, and no name or address needs it.
        match String::from_utf8_lossy(body).contains("\\u0000") {
            true => Err(Refusal::new(InvalidClientMetadata, "the body has a character that no text has")),
            false => Ok(Self { members }),
        }
    }

    /// The client that is described, without its secret.
    pub(super) fn client(&self, id: &str, registrant: &Registrant) -> Result<Client, Refusal> {
        let responses: Option<Vec<String>> = self.member("response_types")?;
        if responses.is_some_and(|all| all.iter().any(|response| response != "code")) {
            return Err(wrong("`response_types`: there is `code` only"));
        }
        let name: Option<String> = self.member("client_name")?;
        let client = Client {
            id: id.to_owned(),
            name: name.unwrap_or_else(|| id.to_owned()),
            auth_method: self
                .member("token_endpoint_auth_method")?
                // What RFC 7591 section 2 has for those who do not say.
                .unwrap_or(AuthMethod::ClientSecretBasic),
            grant_types: self.member("grant_types")?.unwrap_or_else(|| vec![GrantType::AuthorizationCode]),
            redirect_uris: self.member("redirect_uris")?.unwrap_or_default(),
            scope: self.member("scope")?.ok_or_else(|| wrong("`scope` is missing"))?,
            secret_digest: None,
            jwks: self.member("jwks")?,
            jwks_uri: self.member::<Url>("jwks_uri")?,
            client_uri: self.member("client_uri")?,
            initiate_login_uri: self.member("initiate_login_uri")?,
            is_trusted: self.member("is_trusted")?.unwrap_or(false),
            may_introspect: self.member("may_introspect")?.unwrap_or(false),
        };
        check_rights(&client, registrant)?;
        Ok(client)
    }

    /// Checks that it describes the client that it is sent for (RFC 7592 section 2.2).
    pub(super) fn check_same(&self, client: &Client) -> Result<(), Refusal> {
        if self.member::<String>("client_id")?.as_ref() != Some(&client.id) {
            return Err(wrong("`client_id` is missing or that of another client"));
        }
        if let Some(secret) = self.member::<String>("client_secret")? {
            let digest = client.secret_digest.as_deref().and_then(secret::from_hex).unwrap_or_default();
            if !secret::are_equal(&secret::digest_of(&secret), &digest) {
                return Err(wrong("`client_secret` is not that of the client; it cannot be chosen"));
            }
        }
        Ok(())
    }

    fn member<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Refusal> {
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match serde_json::from_value(value.clone()) {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(wrong(format!("`{name}` is not what it should be"))),
            },
        }
    }
}

/// Checks that a client gets no more than who describes it may give.
fn check_rights(client: &Client, registrant: &Registrant) -> Result<(), Refusal> {
    let (was_trusted, did_introspect) = match registrant {
        Registrant::Operator(_) => return Ok(()),
        Registrant::Anybody => (false, false),
        Registrant::Client(before) => (before.is_trusted, before.may_introspect),
    };
    if client.is_trusted && !was_trusted || client.may_introspect && !did_introspect {
        return Err(wrong("`is_trusted` and `may_introspect` are given by operators only"));
    }
    let acted_for_itself =
        matches!(registrant, Registrant::Client(before) if before.may(GrantType::ClientCredentials));
    if client.may(GrantType::ClientCredentials) && !acted_for_itself {
        return Err(wrong("`grant_types`: client_credentials is given by operators only"));
    }
    // Whoever may register has no business with what this machine answers to itself.
    if client.jwks_uri.as_ref().is_some_and(is_internal) {
        return Err(wrong("`jwks_uri` is an address that the public cannot reach"));
    }
    Ok(())
}

fn wrong(description: impl Into<String>) -> Refusal {
    OAuthError::new(InvalidClientMetadata, description).into()
}
