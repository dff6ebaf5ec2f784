//! The dispatcher: which interaction serves which method and place.

use std::sync::Arc;

use actix_web::http::{Method, StatusCode, header};

use super::answer::Answer;
use super::bounds::Bounds;
use super::call::{Body, Call, Request};
use super::interaction::{self, Interaction};
use super::operation::Invocation;
use super::query::Query;
use super::route::Place;
use super::service::Service;
use super::{
    access, as_of, audited, capabilities, conditional_create, conditional_delete, conditional_patch,
    conditional_update, create, delete, export_job, history, idempotency, parameters, patch, provenance,
    read, reindex_job, search, update, vread,
};
use crate::error::Failure;
use crate::search_parameters;

/// Serves one request to a FHIR service: from HTTP, or an entry of a batch.
///
/// # Errors
/// What the client is to be told.
pub async fn dispatch(service: &Arc<Service>, request: Request) -> Result<Answer, Failure> {
    let place = Place::parse(&request.path)?;
    serve(service, place, request).await
}

/// [`dispatch`] where the path has been read already.
pub(super) async fn serve(
    service: &Arc<Service>,
    place: Place,
    mut request: Request,
) -> Result<Answer, Failure> {
    let found = interaction::find(&request.method, &place);
    let query = match request.checked.take() {
        Some(checked) => checked.0,
        None => checked(service, &place, found, &request)?,
    };
    let bounds = match &request.principal.grant {
        Some(grant) => Some(Bounds::of(grant, service, &request.base)?),
        None => None,
    };
    if let (Some(bounds), Some(interaction)) = (&bounds, found) {
        bounds.check(interaction, &place, request.conditions.if_none_exist.is_some())?;
    }
    let (request, once) = match found {
        Some(interaction) if interaction.is_write() => idempotency::once(service, request).await?,
        _ => (request, None),
    };
    let sent_provenance = match (&request.provenance, found) {
        (Some(header), Some(interaction)) if interaction.is_write() => {
            Some(provenance::sent(interaction, header)?)
        }
        _ => None,
    };
    let mut call = Call {
        service: service.clone(),
        principal: request.principal,
        bounds,
        query,
        conditions: request.conditions,
        once,
        turn_of_parameters: None,
        sent_provenance,
        prefer: request.prefer,
        eventual: request.eventual,
        partial: request.partial,
        at: request.at,
        explicable: request.explicable,
        accepts_fhir_json: request.accepts_fhir_json,
        is_streamed: request.is_streamed,
        parallel: request.parallel,
        profile_validation: request.profile_validation,
        base: request.base,
        correlation_id: request.correlation_id,
        access: request.access,
    };
    if request.method == Method::OPTIONS {
        return Ok(options(&place));
    }
    let Some(interaction) = found else {
        return Err(Failure::not_allowed(interaction::allow(&place)));
    };
    as_of::refuse_elsewhere(&call, interaction)?;
    parameters::check(&call, interaction, place.resource_type())?;
    let is_of_parameters = interaction.is_write() && place.resource_type() == Some(search_parameters::TYPE);
    if is_of_parameters {
        let turn = call.service.turns.wait_for_parameters(&call.service.log).await?;
        call.turn_of_parameters = Some(Arc::new(turn));
        call.service.parameters.refresh().await?;
    }
    let work = interact(&call, interaction, place, (request.method, request.body));
    let outcome = match &call.once {
        None => work.await,
        Some(once) => idempotency::answer(&call, interaction, once, work).await,
    };
    if is_of_parameters {
        call.turn_of_parameters = None;
        call.service.follow_parameters().await;
    }
    outcome
}

/// Notes a request and checks whether it may be, before anything is looked up; gives its query.
fn checked(
    service: &Service,
    place: &Place,
    found: Option<Interaction>,
    request: &Request,
) -> Result<Query, Failure> {
    request.access.by(&request.principal);
    audited::note_interaction(&request.access, found, place, (&request.path, &request.query));
    let query = Query::parse(&request.query)?;
    access::check_request(service, request, place, &query)?;
    Ok(query)
}

/// Calls the interaction. A place has exactly the names that its interactions need, so the last arm is not reached.
async fn interact(
    call: &Call,
    interaction: Interaction,
    place: Place,
    (method, body): (Method, Body),
) -> Result<Answer, Failure> {
    match (interaction, place) {
        (Interaction::Read, Place::Instance(key)) => read::read(call, &key).await,
        (Interaction::VersionRead, Place::Version(key, version)) => vread::vread(call, &key, version).await,
        (Interaction::Update, Place::Instance(key)) => update::update(call, key, body).await,
        (Interaction::Patch, Place::Instance(key)) => patch::patch(call, key, body).await,
        (Interaction::Delete, Place::Instance(key)) => delete::delete(call, key).await,
        (Interaction::HistoryOfInstance, Place::InstanceHistory(key)) => {
            history::of_instance(call, key).await
        }
        (Interaction::HistoryOfType, Place::TypeHistory(name)) => history::of_type(call, name).await,
        (Interaction::HistoryOfSystem, _) => history::system(call).await,
        (Interaction::Create, Place::Type(name)) => match &call.conditions.if_none_exist {
            None => create::create(call, &name, body).await,
            Some(criteria) => conditional_create::create(call, &name, criteria, body).await,
        },
        (Interaction::Batch | Interaction::Transaction, _) => crate::bundle::run(call, body).await,
        (Interaction::ConditionalUpdate, Place::Type(name)) => {
            conditional_update::update(call, &name, body).await
        }
        (Interaction::ConditionalPatch, Place::Type(name)) => {
            conditional_patch::patch(call, &name, body).await
        }
        (Interaction::ConditionalDelete, Place::Type(name)) => conditional_delete::delete(call, &name).await,
        (Interaction::SearchSystem, _) => search::system(call).await,
        (Interaction::SearchType, Place::Type(name) | Place::TypeSearch(name)) => {
            search::of_type(call, &name).await
        }
        (
            Interaction::SearchCompartment,
            Place::Compartment(owner, name) | Place::CompartmentSearch(owner, name),
        ) => search::of_compartment(call, &owner, name.as_ref()).await,
        (Interaction::Capabilities, _) => capabilities::capabilities(call),
        (Interaction::ReindexStatus, Place::ReindexJob(id)) => reindex_job::status(call, &id).await,
        (Interaction::ReindexCancel, Place::ReindexJob(id)) => reindex_job::cancel(call, &id).await,
        (Interaction::ExportStatus, Place::ExportJob(id)) => export_job::status(call, &id).await,
        (Interaction::ExportCancel, Place::ExportJob(id)) => export_job::cancel(call, &id).await,
        (Interaction::ExportFile, Place::ExportFile(id, name, number)) => {
            export_job::file(call, &id, (&name, number)).await
        }
        (Interaction::Operation(operation), Place::Operation(_, level)) => {
            (operation.run)(call, Invocation { level, method, body }).await
        }
        (_, place) => Err(Failure::not_allowed(interaction::allow(&place))),
    }
}

fn options(place: &Place) -> Answer {
    let mut answer = Answer::new(StatusCode::NO_CONTENT);
    answer.headers.push((header::ALLOW, interaction::allow(place)));
    answer
}
