//! Launches by electronic health records (SMART "Launch App: EHR Launch"): what is open there, behind an opaque value.

use std::time::Duration;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

use crate::approval::LaunchContext;
use crate::host::{Happened, Occurrence};
use crate::people::json::{Answer, Problem, answer, caller, read_json};
use crate::secret::{digest_of, opaque};
use crate::server::SmartServer;
use crate::sessions::after;
use crate::users::is_logical_id;

/// How long a launch may wait for its app.
const LASTS: Duration = Duration::from_secs(300);
/// Further resources at most.
const FHIR_CONTEXT_MAX: usize = 20;
/// Characters of a text at most.
const TEXT_MAX: usize = 200;
/// Characters of an address at most.
const ADDRESS_MAX: usize = 2_048;

/// What an electronic health record has open when it launches an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) service: String,
    /// The only app that may use it.
    pub(crate) client: Option<String>,
    /// The only user who may use it.
    pub(crate) user: Option<Uuid>,
    pub(crate) context: LaunchContext,
    /// Until when an app may come with it.
    pub(crate) good_until: DateTime<Utc>,
}

/// A new launch. The body is a launch context, with `client_id` and `user` beside it where they are to be bound.
pub(crate) async fn post(server: Data<SmartServer>, request: HttpRequest, body: Payload) -> HttpResponse {
    answer(made(&server, &request, body).await)
}

async fn made(server: &SmartServer, request: &HttpRequest, body: Payload) -> Answer {
    let caller = caller(server, request, Happened::Launch).await?;
    if !caller.may_launch {
        let refused = Occurrence {
            user: Some(caller.subject),
            ..Occurrence::refused(Happened::Launch, "the caller has no rights to data")
        };
        server.host.record(request, refused).await?;
        return Err(Problem::forbidden("the caller has no rights to data"));
    }
    let launch = read(server, read_json(request, body).await?)?;
    let patient = launch.context.patient.as_ref().map(|id| format!("Patient/{id}"));
    let occurrence = Occurrence {
        client: launch.client.clone(),
        user: Some(caller.subject),
        patient,
        ..Occurrence::new(Happened::Launch)
    };
    server.host.record(request, occurrence).await?;
    let value = opaque()?;
    // Stays as long as a request that came in time may go from page to page: it is used up at the end of that.
    let ends_at = after(launch.good_until, server.options.request_for);
    server.store.put_launch(&digest_of(&value), &launch, ends_at).await?;
    let said = json!({"launch": value, "expires_in": LASTS.as_secs(), "iss": server.options.base});
    Ok(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(said))
}

/// Reads a body; taken apart by hand, since numbers do not survive a flattened structure.
fn read(server: &SmartServer, mut body: Map<String, Value>) -> Result<Launch, Problem> {
    const KNOWN: [&str; 8] = [
        "patient",
        "encounter",
        "practitioner",
        "need_patient_banner",
        "intent",
        "smart_style_url",
        "tenant",
        "fhirContext",
    ];
    let user = match body.remove("user") {
        None => None,
        Some(user) => {
            let user = user.as_str().and_then(|user| Uuid::parse_str(user).ok());
            Some(user.ok_or(Problem::invalid("user has to be the id of a user"))?)
        }
    };
    let client = match body.remove("client_id") {
        None => None,
        Some(Value::String(client)) if is_text(&client) => Some(client),
        Some(_) => return Err(Problem::invalid("client_id has to be the id of a client")),
    };
    if body.keys().any(|key| !KNOWN.contains(&key.as_str())) {
        return Err(Problem::invalid("the body has a member that is none of a launch context"));
    }
    let context: LaunchContext = serde_json::from_value(Value::Object(body))
        .map_err(|_| Problem::invalid("a member of the launch context is of another type"))?;
    check(&context)?;
    let good_until = after(server.host.now(), LASTS);
    Ok(Launch { service: server.options.service.clone(), client, user, context, good_until })
}

fn check(context: &LaunchContext) -> Result<(), Problem> {
    let ids = [&context.patient, &context.encounter, &context.practitioner];
    if ids.into_iter().flatten().any(|id| !is_logical_id(id)) {
        return Err(Problem::invalid("patient, encounter and practitioner have to be logical ids"));
    }
    if [&context.intent, &context.tenant].into_iter().flatten().any(|text| !is_text(text)) {
        return Err(Problem::invalid("intent and tenant have to have 1 to 200 characters"));
    }
    let is_address = |text: &String| {
        text.len() <= ADDRESS_MAX && Url::parse(text).is_ok_and(|address| address.scheme() == "https")
    };
    if context.smart_style_url.as_ref().is_some_and(|text| !is_address(text)) {
        return Err(Problem::invalid("smart_style_url has to be an address of https"));
    }
    let is_resource = |value: &Value| {
        let Some(members) = value.as_object() else { return false };
        ["reference", "canonical", "identifier"].iter().any(|name| members.contains_key(*name))
            && members.iter().all(|(name, value)| {
                matches!(name.as_str(), "reference" | "canonical" | "identifier" | "type" | "role")
                    && is_plain(value)
            })
    };
    if context.fhir_context.len() > FHIR_CONTEXT_MAX || !context.fhir_context.iter().all(is_resource) {
        return Err(Problem::invalid(
            "fhirContext has to have at most 20 objects with a reference, canonical or identifier each",
        ));
    }
    Ok(())
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= TEXT_MAX && !text.chars().any(char::is_control)
}

/// Whether a value has no character that no text of a database has.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.contains('\0'),
        Value::Array(values) => values.iter().all(is_plain),
        Value::Object(members) => members.iter().all(|(name, value)| !name.contains('\0') && is_plain(value)),
        _ => true,
    }
}
