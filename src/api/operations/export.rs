//! `$export`: begins a bulk export of the service, of all patients, or of a Group (Bulk Data Access IG 2.0, "Bulk Data
//! Kick-off Request"; as AHDS has it).

mod asked;

use actix_web::http::{StatusCode, header};
use anamnesis_events::{Operation, Position, ResourceKey};

use crate::access::scope::Letter;
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::export_job;
use crate::api::operation::{Invocation, Level, Work};
use crate::api::read;
use crate::clock;
use crate::error::{Failure, FailureKind, IssueCode};
use crate::exports::{self, Exports, Order, Owner};
use crate::group::{self, GroupError, Standing};
use asked::Asked;

/// `GET /$export`, `GET /Patient/$export`, `GET /Group/1/$export`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(begin(call, invocation.level))
}

async fn begin(call: &Call, level: Level) -> Result<Answer, Failure> {
    check_headers(call)?;
    let exports = exports(call)?;
    let (level, path) = match level {
        Level::System => (exports::Level::System, "/$export".to_owned()),
        Level::Type(name) => (exports::Level::Patient, format!("/{name}/$export")),
        Level::Instance(key) => (exports::Level::Group(key.id.clone()), format!("/{key}/$export")),
    };
    let asked = Asked::read(call, &level)?;
    let log = &call.service.log;
    // From here on it is settled what is exported, whatever is written meanwhile.
    let position = log.head().await?;
    let of_then = log.fetch(&[position]).await?.first().map(|event| event.recorded_at);
    let position_time = of_then.unwrap_or_else(clock::now);
    if let exports::Level::Group(id) = &level {
        check_group(call, &ResourceKey::new("Group", id.as_str()), position).await?;
    }
    let since = match asked.since {
        Some(since) => log.position_at(since).await?.min(position),
        None => Position::ZERO,
    };
    let until = match asked.till {
        Some(till) => log.position_at(till).await?.min(position),
        None => position,
    };
    let query = call.query.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let order = Order {
        owner: Owner::of(&call.principal),
        restriction: restriction(call),
        level,
        types: asked.types,
        filters: asked.filters,
        position,
        since,
        until: until.max(since),
        position_time,
        base: call.base.clone(),
        request: crate::api::query::url(&format!("{}{path}", call.base), query),
    };
    let id = exports.begin(&order).await?;
    call.access.reaches(position);
    let mut answer = Answer { position: Some(position), ..Answer::new(StatusCode::ACCEPTED) };
    answer.headers.push((header::CONTENT_LOCATION, export_job::address(call, &id)));
    Ok(answer)
}

/// What of the resources the request may see: nothing is noted where it is all.
pub(in crate::api) fn restriction(
    call: &Call,
) -> Option<std::sync::Arc<anamnesis_projections::search::Restriction>> {
    call.restriction().filter(|restriction| !restriction.is_none())
}

/// Who does exports.
///
/// # Errors
/// 503 where there is nobody.
pub(in crate::api) fn exports(call: &Call) -> Result<&Exports, Failure> {
    let exports = call.service.exports.as_ref();
    exports.ok_or_else(|| Failure::unavailable("This service does no exports now."))
}

/// The headers without which a client does not know what it is in for.
fn check_headers(call: &Call) -> Result<(), Failure> {
    if !call.accepts_fhir_json {
        let text = "An export is asked for with the header Accept: application/fhir+json.";
        return Err(Failure::new(FailureKind::Invalid, IssueCode::Required, text).at("Accept"));
    }
    if !call.prefer.respond_async {
        let text =
            "An export is asked for with the header Prefer: respond-async: it is done in the background.";
        return Err(Failure::new(FailureKind::Invalid, IssueCode::Required, text).at("Prefer"));
    }
    Ok(())
}

/// That the group can be read, and its members told.
async fn check_group(call: &Call, key: &ResourceKey, position: Position) -> Result<(), Failure> {
    let log = &call.service.log;
    let event = log.current_at(key, position).await?;
    let event = event.filter(|event| !event.is_gone()).ok_or_else(read::missing)?;
    if event.operation == Operation::Delete {
        return Err(Failure::gone(event.version));
    }
    if !call.sees(Letter::Read, &event) {
        return Err(read::missing());
    }
    call.access.shows(&event);
    let then = Standing::At(log, position);
    match group::members(&then, key, clock::now(), &call.own_addresses()).await {
        Ok(_) => Ok(()),
        Err(GroupError::Read(error)) => Err(error.into()),
        Err(GroupError::NotFound) => Err(read::missing()),
        Err(error) => {
            let text = format!("The members of the group cannot be told: {error}.");
            Err(Failure::new(FailureKind::Unprocessable, IssueCode::Processing, text))
        }
    }
}
