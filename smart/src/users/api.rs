//! The operators' addresses for users: `auth/users`, `auth/users/{id}`. JSON; no clinical data, no passwords in answers.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{NewUser, USERS_MAX, User, UserError};
use crate::host::{Caller, Happened, Occurrence};
use crate::people::form::Parameters;
use crate::people::json::{Answer, Problem, answer, caller, read_json};
use crate::secret::identifier;
use crate::server::SmartServer;

/// Users of one answer where nothing is said.
const COUNT: usize = 100;

/// A user as an operator writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default)]
    display: String,
    #[serde(default)]
    fhir_user: Option<String>,
    #[serde(default = "enabled")]
    is_enabled: bool,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    upstream: Option<String>,
    #[serde(default)]
    subject: Option<String>,
}

/// Users by name; `name` for one of them, `after` and `count` for pages.
pub(crate) async fn list(server: Data<SmartServer>, request: HttpRequest) -> HttpResponse {
    answer(page(&server, &request).await)
}

/// A new user.
pub(crate) async fn add(server: Data<SmartServer>, request: HttpRequest, body: Payload) -> HttpResponse {
    answer(made(&server, &request, body).await)
}

/// One user.
pub(crate) async fn get(server: Data<SmartServer>, request: HttpRequest) -> HttpResponse {
    answer(one(&server, &request, named(&request)).await)
}

/// A user in the place of what it was. The password stays where none is said.
pub(crate) async fn put(server: Data<SmartServer>, request: HttpRequest, body: Payload) -> HttpResponse {
    answer(changed(&server, &request, named(&request), body).await)
}

/// No user any more.
pub(crate) async fn delete(server: Data<SmartServer>, request: HttpRequest) -> HttpResponse {
    answer(removed(&server, &request, named(&request)).await)
}

/// The id in the address. It is not the only part that has a name: the server around this one names its own.
fn named(request: &HttpRequest) -> &str {
    request.match_info().get("id").unwrap_or_default()
}

async fn page(server: &SmartServer, request: &HttpRequest) -> Answer {
    operator(server, request).await?;
    let asked = Parameters::of_address(request).map_err(Problem::malformed)?;
    let one = |name| asked.one(name).map_err(Problem::malformed);
    if let Some(name) = one("name")? {
        let found = server.users().find(name).await?;
        return shown(StatusCode::OK, &json!({"users": found.iter().map(told).collect::<Vec<_>>()}));
    }
    let count = match one("count")? {
        None => COUNT,
        Some(count) => {
            count.parse().ok().filter(|count| (1..=USERS_MAX).contains(count)).ok_or(Problem::COUNT)?
        }
    };
    let mut users = server.users().list(one("after")?.unwrap_or_default(), count + 1).await?;
    let has_more = users.len() > count;
    users.truncate(count);
    let mut said = json!({"users": users.iter().map(told).collect::<Vec<_>>()});
    if let (true, Some(last), Value::Object(said)) = (has_more, users.last(), &mut said) {
        said.insert("after".to_owned(), last.name.clone().into());
    }
    shown(StatusCode::OK, &said)
}

async fn made(server: &SmartServer, request: &HttpRequest, body: Payload) -> Answer {
    let caller = operator(server, request).await?;
    let written: Written = read_json(request, body).await?;
    if !written.is_enabled {
        return Err(Problem::invalid("a new user is enabled"));
    }
    // On record before it is done: a user whom no record tells of must not be there.
    let id = identifier()?;
    let occurrence = record(server, request, &caller, id).await?;
    let made = server.users().add_as(id, new(written)).await;
    let user = possible(server, request, occurrence, made).await?;
    let address = format!("{}/auth/users/{}", server.options.base, user.id);
    let said = told(&user);
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, address))
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(said))
}

async fn one(server: &SmartServer, request: &HttpRequest, id: &str) -> Answer {
    operator(server, request).await?;
    let user = server.users().get(known(id)?).await?.ok_or(UserError::Missing)?;
    shown(StatusCode::OK, &told(&user))
}

async fn changed(server: &SmartServer, request: &HttpRequest, id: &str, body: Payload) -> Answer {
    let caller = operator(server, request).await?;
    let id = known(id)?;
    let written: Written = read_json(request, body).await?;
    let occurrence = record(server, request, &caller, id).await?;
    let users = server.users();
    let is_enabled = written.is_enabled;
    let done = users.replace(id, new(written), is_enabled).await;
    possible(server, request, occurrence, done).await?;
    let user = users.get(id).await?.ok_or(UserError::Missing)?;
    shown(StatusCode::OK, &told(&user))
}

async fn removed(server: &SmartServer, request: &HttpRequest, id: &str) -> Answer {
    let caller = operator(server, request).await?;
    let id = known(id)?;
    let occurrence = record(server, request, &caller, id).await?;
    let done = server.users().remove(id).await;
    possible(server, request, occurrence, done).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn operator(server: &SmartServer, request: &HttpRequest) -> Result<Caller, Problem> {
    let caller = caller(server, request, Happened::UserChange).await?;
    if caller.is_operator {
        return Ok(caller);
    }
    let refused = Occurrence {
        user: Some(caller.subject),
        ..Occurrence::refused(Happened::UserChange, "the caller is no operator")
    };
    server.host.record(request, refused).await?;
    Err(Problem::forbidden("only an operator may see and change users"))
}

/// Puts on record who changes which user, before it is done. The user of the record is who changes.
async fn record(
    server: &SmartServer,
    request: &HttpRequest,
    caller: &Caller,
    id: Uuid,
) -> Result<Occurrence, Problem> {
    let occurrence = Occurrence {
        user: Some(caller.subject.clone()),
        changed: Some(id.to_string()),
        ..Occurrence::new(Happened::UserChange)
    };
    server.host.record(request, occurrence.clone()).await?;
    Ok(occurrence)
}

/// Puts on record that what was put on record before was not possible.
async fn possible<T>(
    server: &SmartServer,
    request: &HttpRequest,
    occurrence: Occurrence,
    done: Result<T, UserError>,
) -> Result<T, Problem> {
    if done.is_err() {
        let refused = Occurrence { refused: Some("it was not possible"), ..occurrence };
        server.host.record(request, refused).await?;
    }
    Ok(done?)
}

fn known(id: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(id).map_err(|_| UserError::Missing.into())
}

fn new(written: Written) -> NewUser {
    let Written { name, display, fhir_user, password, upstream, subject, is_enabled: _ } = written;
    let display = if display.is_empty() { name.clone() } else { display };
    NewUser { name, display, fhir_user, password: password.map(Zeroizing::new), upstream, subject }
}

fn told(user: &User) -> Value {
    json!({
        "id": user.id,
        "name": user.name,
        "display": user.display,
        "fhir_user": user.fhir_user,
        "is_enabled": user.is_enabled,
        "has_password": user.has_password,
        "upstream": user.upstream,
        "subject": user.subject,
        "made_at": user.made_at,
        "changed_at": user.changed_at,
    })
}

fn shown(status: StatusCode, said: &Value) -> Answer {
    Ok(HttpResponse::build(status).insert_header((CACHE_CONTROL, "no-store")).json(said))
}

fn enabled() -> bool {
    true
}
