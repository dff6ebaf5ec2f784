//! The dispatcher: from a request to the interaction that serves it, and back to a response.

use actix_web::http::Method;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::call::{Call, Ids};
use super::negotiate;
use super::query::Query;
use super::reply::{Reply, Style, respond};
use super::route::Place;
use super::service::Services;
use super::{capabilities, create, delete, history, read, update, versions, vread};
use crate::error::Failure;

/// Serves one request to a FHIR service.
pub(crate) async fn dispatch(
    request: HttpRequest,
    names: Path<(String, String)>,
    services: Data<Services>,
    payload: Payload,
) -> HttpResponse {
    let ids = Ids::of(request.headers());
    let mut style = Style::default();
    let outcome = match prepare(request, &names, &services, &ids, &mut style) {
        Ok((call, place)) => serve(&call, place, payload).await,
        Err(failure) => Err(failure),
    };
    respond(outcome, &ids, style)
}

/// Answers every path that nothing is mounted at.
pub async fn not_found(request: HttpRequest) -> HttpResponse {
    let ids = Ids::of(request.headers());
    respond(Err(Failure::not_found("There is nothing at this path.")), &ids, Style::default())
}

/// Reads path, query and headers.
fn prepare(
    request: HttpRequest,
    names: &(String, String),
    services: &Services,
    ids: &Ids,
    style: &mut Style,
) -> Result<(Call, Place), Failure> {
    let service = services
        .find(&names.0, &names.1)
        .ok_or_else(|| Failure::not_found("There is no such workspace or service."))?
        .clone();
    let query = Query::parse(request.query_string())?;
    style.pretty = query.get("_pretty") == Some("true");
    style.media_type = negotiate::answer_type(request.headers(), query.get("_format"))?;
    let place = Place::parse(below_base(request.uri().path()))?;
    let prefer = negotiate::prefer(request.headers());
    Ok((Call { service, request, query, prefer, ids: ids.clone() }, place))
}

/// The path behind `/{workspace}/{service}`.
fn below_base(path: &str) -> &str {
    let mut slashes = path.match_indices('/').map(|(at, _)| at).skip(2);
    slashes.next().and_then(|at| path.get(at..)).unwrap_or("")
}

/// The table of interactions.
async fn serve(call: &Call, place: Place, payload: Payload) -> Result<Reply, Failure> {
    let method = match call.request.method() {
        // A HEAD is a GET whose body is left out when the response is written.
        &Method::HEAD => &Method::GET,
        method => method,
    };
    match (method, place) {
        (&Method::GET, Place::Metadata) => capabilities::capabilities(call),
        (&Method::GET, Place::Versions) => versions::versions(call),
        (&Method::GET, Place::SystemHistory) => history::system(call).await,
        (&Method::GET, Place::TypeHistory(resource_type)) => history::of_type(call, resource_type).await,
        (&Method::GET, Place::InstanceHistory(key)) => history::of_instance(call, key).await,
        (&Method::GET, Place::Instance(key)) => read::read(call, &key).await,
        (&Method::GET, Place::Version(key, version)) => vread::vread(call, &key, version).await,
        (&Method::POST, Place::Type(resource_type)) => create::create(call, &resource_type, payload).await,
        (&Method::PUT, Place::Instance(key)) => update::update(call, key, payload).await,
        (&Method::DELETE, Place::Instance(key)) => delete::delete(call, key).await,
        (&Method::OPTIONS, place) => Ok(options(&place)),
        (_, place) => Err(Failure::not_allowed(place.allow())),
    }
}

fn options(place: &Place) -> Reply {
    let mut reply = Reply::new(actix_web::http::StatusCode::NO_CONTENT);
    reply.headers.push((actix_web::http::header::ALLOW, place.allow().to_owned()));
    reply
}
