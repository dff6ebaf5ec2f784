//! Tells clients what a token is (RFC 7662, SMART App Launch "Token Introspection").

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::approval::LaunchContext;
use crate::client::Client;
use crate::client_auth;
use crate::error::OAuthErrorCode::InvalidClient;
use crate::error::SmartError;
use crate::form::Form;
use crate::host::{Happened, Occurrence};
use crate::refusal::{self, Refusal};
use crate::secret;
use crate::server::SmartServer;
use crate::store::families::{self, Kind};
use crate::token::claims::AccessClaims;

/// `POST /auth/introspect`
pub(crate) async fn introspect(
    server: web::Data<SmartServer>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let mut occurrence = Occurrence::new(Happened::Introspection);
    let outcome = told(&server, &request, payload, &mut occurrence).await;
    server.concluded(&request, occurrence, outcome).await
}

async fn told(
    server: &SmartServer,
    request: &HttpRequest,
    payload: web::Payload,
    occurrence: &mut Occurrence,
) -> Result<HttpResponse, Refusal> {
    let form = Form::read(request, payload).await?;
    let client = client_auth::authenticate(server, request, (&form, "/auth/introspect"), occurrence).await?;
    if !client.is_confidential() {
        // RFC 7662 section 2.1: whoever could ask without showing who it is could try tokens out.
        return Err(
            Refusal::new(InvalidClient, "only clients that show who they are may ask").challenging("Basic")
        );
    }
    let token = form.require("token", "`token` is missing")?;
    let now = server.host.now();
    let known = match server.own_token(token) {
        Some(claims) => of_access(server, &client, claims, now).await?,
        None => of_refresh(server, &client, token, now).await?,
    };
    let (body, about) = known.unwrap_or_else(|| (json!({"active": false}), None));
    occurrence.user = about;
    server.put_on_record(request, occurrence.clone()).await?;
    Ok(refusal::answer(StatusCode::OK, &body))
}

/// What is told, and whose token it is; `None`: nothing but that it is not active.
type Told = Option<(Value, Option<String>)>;

fn may_ask(client: &Client, of: &str) -> bool {
    client.id == of || client.may_introspect
}

async fn of_access(
    server: &SmartServer,
    client: &Client,
    claims: AccessClaims,
    now: DateTime<Utc>,
) -> Result<Told, SmartError> {
    if !may_ask(client, &claims.client_id) || claims.exp <= now.timestamp() {
        return Ok(None);
    }
    // The tables are asked, not the memory: the answer is kept by others.
    let context = families::context_of_good(&server.store, claims.fam, claims.jti).await?;
    let Some(context) = context else { return Ok(None) };
    if server.find_client(&claims.client_id).await?.is_none() {
        return Ok(None);
    }
    let subject = claims.sub.clone();
    let claims = serde_json::to_value(claims).map_err(|_| SmartError::Cryptography("writing claims"))?;
    Ok(Some((body("Bearer", &claims, &context)?, Some(subject))))
}

async fn of_refresh(
    server: &SmartServer,
    client: &Client,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Told, SmartError> {
    let digest = secret::digest_of(token);
    let connection = server.store.get().await?;
    let found = families::find(&connection, server.store.realm, (Kind::Refresh, &digest, now)).await?;
    let Some(found) = found else { return Ok(None) };
    let is_good = !found.is_used && found.is_alive && found.is_in_session && found.ends_at > now;
    if !is_good || !may_ask(client, &found.client) || found.service != server.options.service {
        return Ok(None);
    }
    let subject = found.approval.user.to_string();
    let claims = json!({
        "iss": server.options.base, "sub": subject, "client_id": found.client,
        "exp": found.ends_at.timestamp(), "scope": found.approval.scope,
    });
    Ok(Some((body("refresh_token", &claims, &found.approval.context)?, Some(subject))))
}

/// The answer: claims and launch context (SMART: whatever came with the token).
fn body(kind: &str, claims: &Value, context: &LaunchContext) -> Result<Value, SmartError> {
    let mut body = Map::new();
    body.insert("active".to_owned(), true.into());
    body.insert("token_type".to_owned(), kind.into());
    let context = serde_json::to_value(context).map_err(|_| SmartError::Stored("an approval"))?;
    for members in [&context, claims].into_iter().filter_map(Value::as_object) {
        body.extend(members.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    // Of no use to others.
    body.shift_remove("fam");
    Ok(Value::Object(body))
}
