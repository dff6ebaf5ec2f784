//! What a principal needs for an interaction: the column of the tables, and what depends on the request.
//!
//! It is checked before anything is looked up, so that a refusal tells nothing of what there is.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HeaderValue};

use super::audited;
use super::call::{Call, Conditions, Request};
use super::delete;
use super::guard;
use super::interaction::{self, Interaction};
use super::operation::Level;
use super::query::Query;
use super::route::Place;
use super::service::Service;
use crate::access::{Action, Actions, Gate, Principal};
use crate::error::Failure;
use crate::search_parameters;

/// What an interaction needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Not even a token.
    Nothing,
    /// What its entries need, one by one.
    OfEntries,
    /// All of these data actions; none: it is served to nobody.
    All(Actions),
}

impl Needs {
    /// Served to nobody.
    pub(super) const NOBODY: Self = Self::All(Actions::NONE);

    /// All of these data actions.
    pub(super) const fn all(actions: &[Action]) -> Self {
        Self::All(Actions::of(actions))
    }
}

/// What is to be done, as far as it matters to who may.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    interaction: Interaction,
    method: &'a Method,
    place: &'a Place,
    query: &'a Query,
    conditions: &'a Conditions,
    /// Whether a Provenance is recorded with it.
    has_provenance: bool,
    /// Whether an update may create.
    update_creates: bool,
}

/// What others are checked against: who writes these decides what is valid (as Azure's open-source server has it).
const DEFINITIONS: [&str; 3] = ["StructureDefinition", "ValueSet", "CodeSystem"];

/// Resources that make the server send others.
const SUBSCRIPTION: &str = "Subscription";

/// Who asks, by the token of an HTTP request; whoever it is, where nobody has to say so.
///
/// # Errors
/// 401, 429 where it asks too often, or 503 where tokens cannot be checked now.
pub(super) async fn admit(
    request: &HttpRequest,
    gate: &Gate,
    place: Option<&Place>,
) -> Result<Arc<Principal>, Failure> {
    if !gate.is_open() && place.is_some_and(|place| is_public(request.method(), place)) {
        return Ok(Arc::default());
    }
    let lines = request.headers().get_all(AUTHORIZATION).map(HeaderValue::as_bytes);
    let principal = gate.admit(&lines.collect::<Vec<_>>(), request.query_string()).await?;
    audited::access(request).by(&principal);
    // Where nobody says who they are, they are not told apart.
    if !gate.is_open() {
        guard::admit_principal(request, &principal).inspect_err(|_| audited::is_of_many(request))?;
    }
    Ok(principal)
}

/// Who asks at an address beside the interactions.
///
/// # Errors
/// As [`admit`].
pub(crate) async fn caller(request: &HttpRequest, gate: &Gate) -> Result<Arc<Principal>, Failure> {
    admit(request, gate, None).await
}

/// What is served to everybody: what the server can do, and which methods there are.
fn is_public(method: &Method, place: &Place) -> bool {
    let found = interaction::find(method, place);
    *method == Method::OPTIONS || found.is_some_and(|found| found.needs(method) == Needs::Nothing)
}

/// Refuses what the roles of whoever asks do not allow; of the request only the head has to have been read.
///
/// # Errors
/// 403.
pub(super) fn check_request(
    service: &Service,
    head: &Request,
    place: &Place,
    query: &Query,
) -> Result<(), Failure> {
    let Some(interaction) = interaction::find(&head.method, place) else { return Ok(()) };
    let asked = Asked {
        interaction,
        method: &head.method,
        place,
        query,
        conditions: &head.conditions,
        has_provenance: head.provenance.is_some(),
        update_creates: service.compartments.rules().update_creates,
    };
    check(&head.principal, &asked)
}

/// Refuses what an entry of a bundle asks for where the roles of whoever sent the bundle do not allow it.
///
/// # Errors
/// 403; for what writes at a place that is none, what is wrong with it.
pub(crate) fn check_entry(
    call: &Call,
    method: &Method,
    (path, query): (&str, &str),
    conditions: &Conditions,
) -> Result<(), Failure> {
    let place = match Place::parse(path) {
        Ok(place) => place,
        // It is told when it is read.
        Err(_) if matches!(*method, Method::GET | Method::HEAD) => return Ok(()),
        Err(failure) => return Err(failure),
    };
    let Some(interaction) = interaction::find(method, &place) else { return Ok(()) };
    let asked = Asked {
        interaction,
        method,
        place: &place,
        query: &Query::parse(query)?,
        conditions,
        has_provenance: false,
        update_creates: call.service.compartments.rules().update_creates,
    };
    check(&call.principal, &asked)
}

/// 403 that names the data actions which are missing, where the principal's roles do not give them.
fn check(principal: &Principal, asked: &Asked<'_>) -> Result<(), Failure> {
    let own = match asked.interaction.needs(asked.method) {
        Needs::Nothing => return Ok(()),
        // What is in it is checked when it has been read; it is not read of who may do nothing at all.
        Needs::OfEntries if principal.actions.is_empty() => return Err(Failure::lacking(Actions::every())),
        Needs::OfEntries => Actions::NONE,
        Needs::All(actions) if actions.is_empty() => {
            return Err(Failure::forbidden("Nobody may do this."));
        }
        Needs::All(actions) => actions,
    };
    let needed = own | of_request(asked);
    match principal.actions.contain(needed) {
        true => Ok(()),
        false => Err(Failure::lacking(needed.without(principal.actions))),
    }
}

/// What the request needs beyond its interaction.
fn of_request(asked: &Asked<'_>) -> Actions {
    let mut needed = Actions::NONE;
    let mut add = |action| needed |= Actions::of(&[action]);
    match asked.interaction {
        Interaction::Update if asked.update_creates && asked.conditions.if_match.is_none() => {
            // It creates where there is nothing.
            add(Action::Create);
        }
        Interaction::Create if asked.conditions.if_none_exist.is_some() => add(Action::Search),
        // What is neither yes nor no is refused as such.
        Interaction::Delete | Interaction::ConditionalDelete if delete::hard(asked.query).unwrap_or(true) => {
            add(Action::HardDelete);
        }
        // Of a resource that is stored: what comes back tells what is in it.
        Interaction::Operation(operation)
            if !operation.writes && matches!(asked.place, Place::Operation(_, Level::Instance(_))) =>
        {
            add(Action::ReadById);
        }
        _ => {}
    }
    if asked.has_provenance && asked.interaction.is_write() {
        add(Action::Create);
    }
    if is_write_of_resource(asked.interaction) {
        match asked.place.resource_type() {
            Some(search_parameters::TYPE) => add(Action::SearchParameter),
            Some(SUBSCRIPTION) => add(Action::Search),
            Some(name) if DEFINITIONS.contains(&name) => add(Action::EditProfileDefinitions),
            _ => {}
        }
    }
    needed
}

fn is_write_of_resource(interaction: Interaction) -> bool {
    match interaction {
        Interaction::Operation(operation) => operation.name == "$purge-history",
        Interaction::Transaction | Interaction::Batch => false,
        other => other.is_write(),
    }
}
