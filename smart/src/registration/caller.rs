//! Who registers a client or manages a registration, and what that one may give it.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;

use crate::client::Client;
use crate::error::OAuthErrorCode::{AccessDenied, InvalidClientMetadata, InvalidToken};
use crate::host::{HostError, Occurrence, ScopeContext};
use crate::refusal::Refusal;
use crate::secret;
use crate::server::SmartServer;
use crate::store::clients::{self, Registered};

/// Who describes a client.
pub(super) enum Registrant {
    /// Somebody with the role Operator, by the subject.
    Operator(String),
    /// Anybody, where that is open.
    Anybody,
    /// The client itself, as it is registered.
    Client(Box<Client>),
}

/// Who manages a registration.
pub(super) enum Manager {
    /// Somebody with the role Operator, by the subject.
    Operator(String),
    /// The client itself, with the token that it got when it was registered.
    Client,
}

impl Registrant {
    pub(super) fn is_operator(&self) -> bool {
        matches!(self, Self::Operator(_))
    }

    pub(super) fn subject(&self) -> Option<String> {
        match self {
            Self::Operator(subject) => Some(subject.clone()),
            Self::Anybody | Self::Client(_) => None,
        }
    }

    /// The scopes that a client may be given: of an operator all, of itself those that it has, of anybody none of `system` and
    /// of emergencies.
    pub(super) fn narrowed(&self, server: &SmartServer, scope: &str) -> Result<String, Refusal> {
        const UNKNOWN: Refusal = Refusal::new(InvalidClientMetadata, "`scope` has what is no scope");
        const NOTHING: Refusal =
            Refusal::new(InvalidClientMetadata, "nothing of `scope` can be registered so");
        let read = server.host.read_registered(scope).map_err(|_| UNKNOWN)?.shown;
        let asked = read.iter().map(|shown| shown.text.as_str()).collect::<Vec<_>>().join(" ");
        let narrowed = match self {
            Self::Operator(_) => asked,
            Self::Client(client) => server.host.narrow(&asked, &client.scope).map_err(|_| UNKNOWN)?,
            Self::Anybody => {
                let open = read
                    .iter()
                    .filter(|shown| !matches!(shown.context, ScopeContext::System | ScopeContext::Emergency));
                open.map(|shown| shown.text.as_str()).collect::<Vec<_>>().join(" ")
            }
        };
        if narrowed.is_empty() { Err(NOTHING) } else { Ok(narrowed) }
    }
}

/// Who registers a client: an operator, or anybody where that is open.
pub(super) async fn registrant(server: &SmartServer, request: &HttpRequest) -> Result<Registrant, Refusal> {
    if server.options.open_registration && !request.headers().contains_key(AUTHORIZATION) {
        return Ok(Registrant::Anybody);
    }
    Ok(Registrant::Operator(operator(server, request).await?))
}

/// The registration of an id, for whoever may manage it.
pub(super) async fn manager(
    server: &SmartServer,
    request: &HttpRequest,
    id: &str,
    occurrence: &mut Occurrence,
) -> Result<(Registered, Manager), Refusal> {
    let is_id = !id.is_empty() && id.len() <= crate::client::ID_BYTES_MAX && !id.contains('\0');
    let found = if is_id { clients::find(&server.store, id).await? } else { None };
    if let Some(registered) = &found {
        occurrence.client = Some(registered.client.id.clone());
        let digest = bearer(request).map(secret::digest_of);
        let is_client = digest.zip(registered.management.as_ref());
        if is_client.is_some_and(|(given, known)| secret::are_equal(&given, known)) {
            return Ok((registered.clone(), Manager::Client));
        }
    }
    let subject = operator(server, request).await?;
    occurrence.user = Some(subject.clone());
    let registered = found.ok_or(
        Refusal::new(InvalidToken, "there is no such registration").with_status(StatusCode::NOT_FOUND),
    )?;
    Ok((registered, Manager::Operator(subject)))
}

/// The subject of an operator.
async fn operator(server: &SmartServer, request: &HttpRequest) -> Result<String, Refusal> {
    const NO_TOKEN: Refusal =
        Refusal::new(InvalidToken, "an access token of an operator is needed").challenging("Bearer");
    const NO_OPERATOR: Refusal = Refusal::new(AccessDenied, "the access token is not that of an operator");
    if !request.headers().contains_key(AUTHORIZATION) {
        return Err(NO_TOKEN);
    }
    match server.host.caller(request).await {
        Ok(caller) if caller.is_operator => Ok(caller.subject),
        Ok(_) | Err(HostError::Refused) => Err(NO_OPERATOR),
        Err(error) => Err(crate::error::SmartError::Host(error).into()),
    }
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    let line = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = line.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}
