//! Registers clients (RFC 7591), and lets them and operators change and remove registrations (RFC 7592).

mod caller;
mod metadata;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use crate::client::{AuthMethod, Client, GrantType};
use crate::error::OAuthErrorCode::{InvalidClientMetadata, InvalidToken, TemporarilyUnavailable};
use crate::error::SmartError;
use crate::form;
use crate::host::{Happened, Occurrence};
use crate::refusal::{self, Refusal};
use crate::secret;
use crate::server::SmartServer;
use crate::store::clients::{self, Registered};
use caller::{Manager, Registrant};
use metadata::Metadata;

/// The longest description, in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Clients of a workspace that operators have registered, at most.
const BY_OPERATORS_MAX: i64 = 10_000;
/// Clients of a workspace that anybody has registered, at most: who registers them need not be known.
const BY_ANYBODY_MAX: i64 = 1_000;

/// What only its owner is told, and only when it is made.
#[derive(Default)]
struct Secrets {
    client: Option<String>,
    management: Option<String>,
}

/// `POST /auth/register`
pub(crate) async fn register(
    server: web::Data<SmartServer>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let mut occurrence = Occurrence::new(Happened::Registration);
    let outcome = registered(&server, &request, payload, &mut occurrence).await;
    server.concluded(&request, occurrence, outcome).await
}

async fn registered(
    server: &SmartServer,
    request: &HttpRequest,
    payload: web::Payload,
    occurrence: &mut Occurrence,
) -> Result<HttpResponse, Refusal> {
    let registrant = caller::registrant(server, request).await?;
    occurrence.user = registrant.subject();
    let metadata = Metadata::read(request, &form::body(payload, BODY_BYTES_MAX).await?)?;
    let mut client = metadata.client(&secret::identifier()?.to_string(), &registrant)?;
    let mut secrets = Secrets { management: Some(secret::opaque()?), ..Secrets::default() };
    give_secret(&mut client, &mut secrets)?;
    client.check()?;
    client.scope = registrant.narrowed(server, &client.scope)?;
    let registered = Registered {
        management: secrets.management.as_deref().map(secret::digest_of),
        by_operator: registrant.is_operator(),
        made_at: server.host.now(),
        client,
    };
    occurrence.client = Some(registered.client.id.clone());
    occurrence.scope = Some(registered.client.scope.clone());
    let count_max = if registered.by_operator { BY_OPERATORS_MAX } else { BY_ANYBODY_MAX };
    let mut connection = server.store.get().await?;
    let transaction = connection.transaction().await?;
    if !clients::insert(&transaction, server.store.realm, &registered, count_max).await? {
        return Err(Refusal::new(TemporarilyUnavailable, "there are too many registered clients"));
    }
    server.put_on_record(request, occurrence.clone()).await?;
    transaction.commit().await?;
    Ok(refusal::answer(StatusCode::CREATED, &description(server, &registered, &secrets)?))
}

/// `GET /auth/register/{id}`
pub(crate) async fn read(server: web::Data<SmartServer>, request: HttpRequest) -> HttpResponse {
    let mut occurrence = Occurrence::new(Happened::Registration);
    let outcome = told(&server, &request, named(&request), &mut occurrence).await;
    server.concluded(&request, occurrence, outcome).await
}

/// The id in the address. It is not the only part that has a name: the server around this one names its own.
fn named(request: &HttpRequest) -> &str {
    request.match_info().get("id").unwrap_or_default()
}

async fn told(
    server: &SmartServer,
    request: &HttpRequest,
    id: &str,
    occurrence: &mut Occurrence,
) -> Result<HttpResponse, Refusal> {
    let (registered, _) = caller::manager(server, request, id, occurrence).await?;
    Ok(refusal::answer(StatusCode::OK, &description(server, &registered, &Secrets::default())?))
}

/// `PUT /auth/register/{id}`
pub(crate) async fn update(
    server: web::Data<SmartServer>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let mut occurrence = Occurrence::new(Happened::Registration);
    let outcome = changed(&server, &request, (named(&request), payload), &mut occurrence).await;
    server.concluded(&request, occurrence, outcome).await
}

async fn changed(
    server: &SmartServer,
    request: &HttpRequest,
    (id, payload): (&str, web::Payload),
    occurrence: &mut Occurrence,
) -> Result<HttpResponse, Refusal> {
    let (before, manager) = caller::manager(server, request, id, occurrence).await?;
    let metadata = Metadata::read(request, &form::body(payload, BODY_BYTES_MAX).await?)?;
    metadata.check_same(&before.client)?;
    let registrant = match &manager {
        Manager::Operator(subject) => Registrant::Operator(subject.clone()),
        Manager::Client => Registrant::Client(Box::new(before.client.clone())),
    };
    let mut client = metadata.client(id, &registrant)?;
    client.secret_digest.clone_from(&before.client.secret_digest);
    let mut secrets = Secrets::default();
    give_secret(&mut client, &mut secrets)?;
    client.check()?;
    client.scope = registrant.narrowed(server, &client.scope)?;
    occurrence.scope = Some(client.scope.clone());
    let mut connection = server.store.get().await?;
    let transaction = connection.transaction().await?;
    if !clients::update(&transaction, server.store.realm, (&before.client, &client)).await? {
        return Err(Refusal::new(InvalidClientMetadata, "the registration was changed meanwhile"));
    }
    server.put_on_record(request, occurrence.clone()).await?;
    transaction.commit().await?;
    let after = Registered { client, ..before };
    Ok(refusal::answer(StatusCode::OK, &description(server, &after, &secrets)?))
}

/// `DELETE /auth/register/{id}`
pub(crate) async fn remove(server: web::Data<SmartServer>, request: HttpRequest) -> HttpResponse {
    let mut occurrence = Occurrence::new(Happened::Registration);
    let outcome = removed(&server, &request, named(&request), &mut occurrence).await;
    server.concluded(&request, occurrence, outcome).await
}

async fn removed(
    server: &SmartServer,
    request: &HttpRequest,
    id: &str,
    occurrence: &mut Occurrence,
) -> Result<HttpResponse, Refusal> {
    caller::manager(server, request, id, occurrence).await?;
    let mut connection = server.store.get().await?;
    let transaction = connection.transaction().await?;
    if !clients::remove(&transaction, server.store.realm, id).await? {
        return Err(Refusal::new(InvalidToken, "there is no such registration").challenging("Bearer"));
    }
    server.put_on_record(request, occurrence.clone()).await?;
    transaction.commit().await?;
    server.follow_revocations().await?;
    Ok(refusal::kept_nowhere(&mut HttpResponse::NoContent()).finish())
}

/// Gives a client a secret that needs one and has none, and takes it from one that needs none.
fn give_secret(client: &mut Client, secrets: &mut Secrets) -> Result<(), SmartError> {
    let needs_one =
        matches!(client.auth_method, AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost);
    if !needs_one {
        client.secret_digest = None;
    } else if client.secret_digest.is_none() {
        let secret = secret::opaque()?;
        client.secret_digest = Some(secret::to_hex(&secret::digest_of(&secret)));
        secrets.client = Some(secret);
    }
    Ok(())
}

/// A registration as it is told (RFC 7591 section 3.2.1).
fn description(
    server: &SmartServer,
    registered: &Registered,
    secrets: &Secrets,
) -> Result<Value, SmartError> {
    let client = &registered.client;
    let said = serde_json::to_value(client).map_err(|_| SmartError::Stored("a client"))?;
    let mut body: Map<String, Value> = said.as_object().cloned().unwrap_or_default();
    // What nobody needs who has the secret, and nobody should have who has not.
    body.shift_remove("secret_digest");
    let has_code = client.may(GrantType::AuthorizationCode);
    let more = json!({
        "response_types": if has_code { vec!["code"] } else { Vec::new() },
        "client_id_issued_at": registered.made_at.timestamp(),
        "registration_client_uri": format!("{}/auth/register/{}", server.options.base, client.id),
    });
    body.extend(more.as_object().cloned().unwrap_or_default());
    if let Some(secret) = &secrets.client {
        body.insert("client_secret".to_owned(), secret.as_str().into());
        // It does not expire.
        body.insert("client_secret_expires_at".to_owned(), 0.into());
    }
    if let Some(token) = &secrets.management {
        body.insert("registration_access_token".to_owned(), token.as_str().into());
    }
    Ok(Value::Object(body))
}
