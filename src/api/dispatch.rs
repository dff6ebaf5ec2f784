//! The dispatcher: which interaction serves which method and place.

use std::sync::Arc;

use actix_web::http::{Method, StatusCode, header};

use super::answer::Answer;
use super::call::{Body, Call, Request};
use super::query::Query;
use super::route::Place;
use super::service::Service;
use super::{
    capabilities, conditional_create, conditional_delete, conditional_update, create, delete, history, read,
    update, versions, vread,
};
use crate::error::Failure;

/// Serves one request to a FHIR service: from HTTP, or an entry of a batch.
///
/// # Errors
/// What the client is to be told.
pub async fn dispatch(service: &Arc<Service>, request: Request) -> Result<Answer, Failure> {
    let place = Place::parse(&request.path)?;
    serve(service, place, request).await
}

/// [`dispatch`] where the path has been read already.
pub(super) async fn serve(service: &Arc<Service>, place: Place, request: Request) -> Result<Answer, Failure> {
    let call = Call {
        service: service.clone(),
        query: Query::parse(&request.query)?,
        conditions: request.conditions,
        prefer: request.prefer,
        eventual: request.eventual,
        base: request.base,
        correlation_id: request.correlation_id,
    };
    // A HEAD is a GET whose body is left out when the response is written.
    let method = if request.method == Method::HEAD { Method::GET } else { request.method };
    interact(&call, &method, place, request.body).await
}

/// The table of interactions.
async fn interact(call: &Call, method: &Method, place: Place, body: Body) -> Result<Answer, Failure> {
    match (method, place) {
        (&Method::GET, Place::Metadata) => capabilities::capabilities(call),
        (&Method::GET, Place::Versions) => versions::versions(call),
        (&Method::GET, Place::SystemHistory) => history::system(call).await,
        (&Method::GET, Place::TypeHistory(resource_type)) => history::of_type(call, resource_type).await,
        (&Method::GET, Place::InstanceHistory(key)) => history::of_instance(call, key).await,
        (&Method::GET, Place::Instance(key)) => read::read(call, &key).await,
        (&Method::GET, Place::Version(key, version)) => vread::vread(call, &key, version).await,
        (&Method::POST, Place::Type(resource_type)) => match &call.conditions.if_none_exist {
            None => create::create(call, &resource_type, body).await,
            Some(criteria) => conditional_create::create(call, &resource_type, criteria, body).await,
        },
        (&Method::PUT, Place::Type(resource_type)) => {
            conditional_update::update(call, &resource_type, body).await
        }
        (&Method::DELETE, Place::Type(resource_type)) => {
            conditional_delete::delete(call, &resource_type).await
        }
        (&Method::PUT, Place::Instance(key)) => update::update(call, key, body).await,
        (&Method::DELETE, Place::Instance(key)) => delete::delete(call, key).await,
        (&Method::OPTIONS, place) => Ok(options(&place)),
        (_, place) => Err(Failure::not_allowed(place.allow())),
    }
}

fn options(place: &Place) -> Answer {
    let mut answer = Answer::new(StatusCode::NO_CONTENT);
    answer.headers.push((header::ALLOW, place.allow().to_owned()));
    answer
}
