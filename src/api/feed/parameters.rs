//! What a reader of the feed asks for.

use actix_web::HttpRequest;
use actix_web::http::header::{ACCEPT, HeaderName};
use anamnesis_events::{Event, Position};
use anamnesis_fhir::references;

use super::line::Form;
use crate::api::Query;
use crate::api::route;
use crate::error::{Failure, IssueCode};

/// The parameters of `$events`, checked.
#[derive(Debug, Clone)]
pub(super) struct Parameters {
    /// The feed starts behind this position.
    pub(super) after: Position,
    /// The last position wanted.
    pub(super) to: Option<Position>,
    /// Whether to stay for what comes.
    pub(super) follow: bool,
    /// Whether resources are wanted, or their events only.
    pub(super) body: bool,
    pub(super) form: Form,
    types: Vec<String>,
    compartment: Option<String>,
}

impl Parameters {
    /// Reads query and headers.
    ///
    /// # Errors
    /// 400 that names the parameter.
    pub(super) fn read(request: &HttpRequest) -> Result<Self, Failure> {
        let query = Query::parse(request.query_string())?;
        for (name, _) in query.others(&[]) {
            if !["from", "to", "follow", "_type", "compartment", "body"].contains(&name.as_str()) {
                let text = "The feed knows the parameters from, to, follow, _type, compartment and body.";
                return Err(Failure::invalid(text));
            }
        }
        let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let form = if accept.contains("text/event-stream") { Form::ServerSent } else { Form::Lines };
        let from = position(&query, "from")?.unwrap_or(Position::new(1));
        let last_seen = request.headers().get(HeaderName::from_static("last-event-id"));
        // A browser that reconnects says what it has seen, whatever its address says.
        let resumed = last_seen.and_then(|value| value.to_str().ok()?.parse().ok()).map(Position::new);
        let types = query.get("_type").map(types).transpose()?.unwrap_or_default();
        Ok(Self {
            after: resumed.unwrap_or(Position::new(from.get().saturating_sub(1))),
            to: position(&query, "to")?,
            follow: flag(&query, "follow")?.unwrap_or(false) || form == Form::ServerSent,
            body: flag(&query, "body")?.unwrap_or(true),
            form,
            types,
            compartment: query.get("compartment").map(compartment).transpose()?,
        })
    }

    /// Whether an event passes the filters.
    pub(super) fn wants(&self, event: &Event) -> bool {
        let is_type =
            self.types.is_empty() || self.types.iter().any(|name| **name == *event.key.resource_type);
        is_type && self.compartment.as_ref().is_none_or(|wanted| event.touches.contains(wanted))
    }
}

fn position(query: &Query, name: &str) -> Result<Option<Position>, Failure> {
    let Some(text) = query.get(name) else { return Ok(None) };
    match text.parse::<u64>() {
        Ok(number) if number > 0 => Ok(Some(Position::new(number))),
        _ => Err(Failure::invalid(format!("The parameter {name} is a position: a whole number from 1."))),
    }
}

fn flag(query: &Query, name: &str) -> Result<Option<bool>, Failure> {
    match query.get(name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(Failure::invalid(format!("The parameter {name} is true or false."))),
    }
}

fn types(list: &str) -> Result<Vec<String>, Failure> {
    list.split(',').map(|name| route::resource_type(name).map(|known| known.to_string())).collect()
}

fn compartment(name: &str) -> Result<String, Failure> {
    let is_named = name.split_once('/').is_some_and(|(kind, id)| {
        route::resource_type(kind).is_ok()
            && (references::is_id(id) || id.strip_prefix('~').is_some_and(references::is_id))
    });
    if is_named {
        return Ok(name.to_owned());
    }
    let text = "The parameter compartment is a type and an id, such as Patient/123.";
    Err(Failure::new(crate::error::FailureKind::Invalid, IssueCode::Value, text))
}
