//! Shows which client asks (RFC 6749 section 2.3, RFC 7523 section 2.2): by nothing but its id, by a secret, or by an assertion.

pub(crate) mod assertion;
pub(crate) mod fetched;

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::client::{AuthMethod, Client};
use crate::error::OAuthErrorCode::{InvalidClient, InvalidRequest};
use crate::form::{Form, decoded};
use crate::host::Occurrence;
use crate::refusal::Refusal;
use crate::secret;
use crate::server::SmartServer;
use crate::store::families::{self, Kind};
use assertion::Assertion;

/// The only kind of assertion (RFC 7523 section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

const NOBODY: Refusal =
    Refusal::new(InvalidClient, "the request does not say which client asks").challenging("Basic");

/// What a client shows.
enum Shown<'a> {
    Nothing,
    Basic(String),
    Post(&'a str),
    Assertion(Box<Assertion<'a>>),
}

impl Shown<'_> {
    fn method(&self) -> AuthMethod {
        match self {
            Self::Nothing => AuthMethod::None,
            Self::Basic(_) => AuthMethod::ClientSecretBasic,
            Self::Post(_) => AuthMethod::ClientSecretPost,
            Self::Assertion(_) => AuthMethod::PrivateKeyJwt,
        }
    }
}

/// The client that asks, which has shown who it is in the way that it is registered with. `path` is the endpoint, below the base.
///
/// # Errors
/// It is unknown, or has not shown who it is.
pub(crate) async fn authenticate(
    server: &SmartServer,
    request: &HttpRequest,
    (form, path): (&Form, &str),
    occurrence: &mut Occurrence,
) -> Result<Client, Refusal> {
    const UNKNOWN: Refusal =
        Refusal::new(InvalidClient, "the client is unknown, or has not shown who it is").challenging("Basic");
    let (id, shown) = match shown(request, form)? {
        (Some(id), shown) => (id, shown),
        (None, shown) => (of_refresh_token(server, form).await?.ok_or(NOBODY)?, shown),
    };
    let client = server.find_client(&id).await?.ok_or(UNKNOWN)?;
    occurrence.client = Some(client.id.clone());
    if client.auth_method != shown.method() {
        return Err(UNKNOWN);
    }
    match &shown {
        Shown::Nothing => {}
        Shown::Basic(secret) => check_secret(&client, secret)?,
        Shown::Post(secret) => check_secret(&client, secret)?,
        Shown::Assertion(assertion) => assertion.check(server, &client, path).await?,
    }
    Ok(client)
}

/// What stands in the request: the client's id, and what shows that it is it.
fn shown<'a>(request: &HttpRequest, form: &'a Form) -> Result<(Option<String>, Shown<'a>), Refusal> {
    const TWO_WAYS: Refusal = Refusal::new(InvalidRequest, "the client shows who it is in more than one way");
    let basic = basic(request)?;
    let secret = form.get("client_secret");
    let assertion = form.get("client_assertion");
    let kind = form.get("client_assertion_type");
    if kind.is_some_and(|kind| kind != JWT_BEARER) || assertion.is_some() != kind.is_some() {
        return Err(Refusal::new(InvalidRequest, "the assertion is of no known type"));
    }
    let named = form.get("client_id");
    let (id, shown) = match (basic, secret, assertion) {
        (Some((id, secret)), None, None) => (id, Shown::Basic(secret)),
        (None, Some(secret), None) => (named.unwrap_or_default().to_owned(), Shown::Post(secret)),
        (None, None, Some(text)) => {
            let assertion = Assertion::parse(text)?;
            (assertion.client().to_owned(), Shown::Assertion(Box::new(assertion)))
        }
        (None, None, None) => return Ok((named.map(str::to_owned), Shown::Nothing)),
        _ => return Err(TWO_WAYS),
    };
    if named.is_some_and(|named| named != id) {
        return Err(Refusal::new(InvalidRequest, "`client_id` names another client than the credentials"));
    }
    Ok((Some(id), shown))
}

/// The client that a refresh token was given to. A client that shows nothing need not say its id again with it (RFC 6749 section
/// 6 asks for none), and fhirclient does not.
async fn of_refresh_token(server: &SmartServer, form: &Form) -> Result<Option<String>, Refusal> {
    let Some(token) = form.get("refresh_token").filter(|_| form.get("grant_type") == Some("refresh_token"))
    else {
        return Ok(None);
    };
    let connection = server.store.get().await?;
    let digest = secret::digest_of(token);
    let asked = (Kind::Refresh, digest.as_slice(), server.host.now());
    let found = families::find(&connection, server.store.realm, asked).await?;
    Ok(found.map(|presented| presented.client))
}

/// Name and secret of the header `Authorization` (RFC 6749 section 2.3.1: both are encoded as in a form).
fn basic(request: &HttpRequest) -> Result<Option<(String, String)>, Refusal> {
    const NO_BASIC: Refusal =
        Refusal::new(InvalidClient, "the header Authorization is not Basic as OAuth has it")
            .challenging("Basic");
    let mut lines = request.headers().get_all(AUTHORIZATION);
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(Refusal::new(InvalidRequest, "there is more than one header Authorization"));
    }
    let (scheme, text) = line.to_str().ok().and_then(|line| line.split_once(' ')).ok_or(NO_BASIC)?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return Err(NO_BASIC);
    }
    let pair = STANDARD.decode(text.trim()).map_err(|_| NO_BASIC)?;
    let at = pair.iter().position(|byte| *byte == b':').ok_or(NO_BASIC)?;
    let (id, secret) = pair.split_at(at);
    let secret = secret.strip_prefix(b":").unwrap_or_default();
    let read = |part: &[u8]| decoded(part).map_err(|_| NO_BASIC);
    Ok(Some((read(id)?, read(secret)?)))
}

/// Compares digests: who can measure how long that takes learns nothing of the secret.
fn check_secret(client: &Client, secret: &str) -> Result<(), Refusal> {
    let digest = client.secret_digest.as_deref().and_then(secret::from_hex).unwrap_or_default();
    match secret::are_equal(&secret::digest_of(secret), &digest) {
        true => Ok(()),
        false => Err(Refusal::new(InvalidClient, "the client is unknown, or has not shown who it is")
            .challenging("Basic")),
    }
}
