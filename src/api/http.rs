//! HTTP: reads a request into what the interactions understand, and writes their answer.

use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::http::uri::Authority;
use actix_web::http::{Method, header};
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

use super::answer::{Answer, Style, respond};
use super::binary::Incoming;
use super::body::{Most, Share};
use super::call::{Body, CheckedQuery, Conditions, Request};
use super::interaction::Interaction;
use super::large::LARGE_BYTES_MIN;
use super::route::Place;
use super::service::{Service, Services};
use super::{
    access, audited, binary, body, dispatch, export_job, idempotency, interaction, negotiate, patch, query,
    validation, xml,
};
use crate::access::{Action, Principal};
use crate::error::Failure;
use crate::telemetry::{RequestIds, RouteLabel};

/// Largest form of a search. The query of a request line is far smaller; long lists of ids fit.
const FORM_BYTES_MAX: usize = 1 << 20;

/// Serves one request to a FHIR service.
pub(crate) async fn serve(request: HttpRequest, services: Data<Services>, payload: Payload) -> HttpResponse {
    let ids = RequestIds::given_to(&request);
    let mut style = Style::default();
    let outcome = answer(&request, &services, payload, &ids, &mut style).await;
    let outcome = match outcome {
        Ok(Answer { lines: Some(lines), .. }) if request.method() != Method::HEAD => {
            return export_job::stream(&request, lines, &ids);
        }
        Ok(answer) if style.is_xml => xml::answer(answer, style, &ids.correlation).await,
        outcome => outcome,
    };
    respond(outcome, &ids, style)
}

/// Answers every path that nothing is mounted at.
pub async fn not_found(request: HttpRequest) -> HttpResponse {
    let ids = RequestIds::given_to(&request);
    respond(Err(Failure::not_found("There is nothing at this path.")), &ids, style_of(&request))
}

/// The form that a refused request asked for, the usual one where it cannot be told.
pub(super) fn style_of(request: &HttpRequest) -> Style {
    let query = query::Query::parse(request.query_string());
    query.and_then(|query| Style::asked(request.headers(), &query)).unwrap_or_default()
}

async fn answer(
    request: &HttpRequest,
    services: &Services,
    payload: Payload,
    ids: &RequestIds,
    style: &mut Style,
) -> Result<Answer, Failure> {
    let headers = request.headers();
    let name = |name| request.match_info().get(name).unwrap_or_default();
    // First of all, so that every refusal comes in the form that was asked for.
    let asked = query::Query::parse(request.query_string()).map(|query| {
        let asked = Style::asked(headers, &query);
        *style = *asked.as_ref().unwrap_or(style);
        (query, asked)
    });
    let service = services
        .find(name("workspace"), name("service"))
        .ok_or_else(|| Failure::not_found("There is no such workspace or service."))?;
    let path = below_base(request.uri().path());
    let place = Place::parse(path);
    let found = place.as_ref().ok().and_then(|place| interaction::find(request.method(), place));
    let noted = audited::access(request);
    if let Ok(place) = &place {
        audited::note_interaction(&noted, found, place, (path, request.query_string()));
    }
    // Before anything else is said, and before anything that is sent is read.
    let principal = access::admit(request, &service.gate, place.as_ref().ok()).await?;
    let (query, asked) = asked?;
    let place = place?;
    let is_raw = binary::is_wanted_raw(request.method(), &place, headers, &query);
    // What has a form of its own is given in no other.
    match is_raw || matches!(place, Place::ExportJob(_) | Place::ExportFile(..)) {
        true => *style = Style::default(),
        false => drop(asked?),
    }
    let label = found.map_or("fhir/none", Interaction::label);
    request.extensions_mut().insert(RouteLabel(label));
    let head = head(request, principal)?;
    access::check_request(service, &head, &place, &query)?;
    let (mut text, mut checked) = (request.query_string().to_owned(), Some(CheckedQuery(query)));
    let (came, share) = match receive(request, payload, service, &place).await? {
        (Came::Form(form), share) => {
            text.push('&');
            text.push_str(&form);
            // Criteria have come of which nothing was known before.
            checked = None;
            (Came::Body(Body::None), share)
        }
        received => received,
    };
    let read = Request {
        query: text,
        checked,
        base: base(request, service)?,
        path: path.to_owned(),
        correlation_id: ids.correlation.clone(),
        access: noted,
        ..head
    };
    let (is_large, service) = (came.bytes() > LARGE_BYTES_MIN, Arc::clone(service));
    let large = service.options.large.clone();
    let work = move || carry_out(service, place, read, (came, share));
    let outcome = if is_large { large.run(work).await? } else { work().await };
    if is_raw { binary::raw(outcome?) } else { outcome }
}

/// What the method and the headers say.
fn head(request: &HttpRequest, principal: Arc<Principal>) -> Result<Request, Failure> {
    let headers = request.headers();
    // How a search is done is for operators.
    let explicable = principal.actions.has(Action::Configuration) && !headers.contains_key(header::ORIGIN);
    Ok(Request {
        principal,
        method: request.method().clone(),
        conditions: conditions(headers)?,
        idempotency_key: idempotency::header(headers),
        provenance: only(headers, "X-Provenance")?,
        prefer: negotiate::prefer(headers),
        explicable,
        accepts_fhir_json: negotiate::accepts_fhir_json(headers),
        is_streamed: true,
        eventual: says(headers, "x-ms-consistency-level", "eventual"),
        partial: says(headers, "x-ms-use-partial-indices", "true"),
        parallel: says(headers, "x-bundle-processing-logic", "parallel"),
        profile_validation: validation::asked(headers)?,
        ..Request::default()
    })
}

/// Makes a resource of what came, where it is none yet, and serves the request. The share of the body is given back with the
/// answer.
async fn carry_out(
    service: Arc<Service>,
    place: Place,
    mut request: Request,
    (came, _share): (Came, Share),
) -> Result<Answer, Failure> {
    let was_xml = matches!(came, Came::Xml(_));
    request.body = match came {
        Came::Body(body) => body,
        Came::Form(_) => Body::None,
        Came::Content(binary, bytes) => Body::Bytes(binary.resource(&bytes)),
        Came::Xml(bytes) => {
            let is_checked = service.options.validation.checked != validation::Checked::Off;
            let converted = xml::received(bytes, service.options.inline_bytes_max, is_checked).await;
            Body::Bytes(converted?)
        }
    };
    match dispatch::serve(&service, place, request).await {
        Err(failure) if was_xml => Err(failure.without_places()),
        outcome => outcome,
    }
}

/// What came in the body.
enum Came {
    Body(Body),
    /// A resource, from which JSON is to be made.
    Xml(Vec<u8>),
    /// The content of a Binary.
    Content(Incoming, Vec<u8>),
    /// Parameters of a search, joined to those of the query (R4 http.html section 3.1.0.11).
    Form(String),
}

impl Came {
    /// How much it is.
    fn bytes(&self) -> usize {
        match self {
            Came::Body(Body::None | Body::Document(_)) => 0,
            Came::Body(Body::Bytes(bytes) | Body::JsonPatch(bytes)) => bytes.len(),
            Came::Xml(bytes) | Came::Content(_, bytes) => bytes.len(),
            Came::Form(form) => form.len(),
        }
    }
}

/// Reads the body where the method has one that matters.
async fn receive(
    request: &HttpRequest,
    payload: Payload,
    service: &Service,
    place: &Place,
) -> Result<(Came, Share), Failure> {
    let method = request.method();
    let nothing = || Ok((Came::Body(Body::None), Share::default()));
    if !matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
        return nothing();
    }
    if interaction::find(method, place).is_none() {
        return Err(Failure::not_allowed(interaction::allow(place)));
    }
    let headers = request.headers();
    // All that is asked for may stand in path and query.
    if (place.is_search() || matches!(place, Place::Operation(..))) && body::is_empty(headers) {
        return nothing();
    }
    let options = &service.options;
    let most = |bytes, what| Most { bytes, what, wait: options.body_wait };
    let read = async |most: Most| body::read(headers, payload, &most, &options.arriving).await;
    if place.is_search() {
        negotiate::form_type(headers)?;
        let (form, share) = read(most(FORM_BYTES_MAX, "the form of a search")).await?;
        let not_text = |_| Failure::invalid("The form is not UTF-8.");
        return Ok((Came::Form(String::from_utf8(form).map_err(not_text)?), share));
    }
    let bytes_max = options.body_bytes_max;
    if *method == Method::PATCH && patch::is_json_patch(headers)? {
        let (bytes, share) = read(most(bytes_max, "a body")).await?;
        return Ok((Came::Body(Body::JsonPatch(bytes)), share));
    }
    if let Some(binary) = Incoming::of(method, headers, place) {
        let most = most(binary::raw_bytes_max(bytes_max), "the content of a Binary");
        let (bytes, share) = read(most).await?;
        return Ok((Came::Content(binary, bytes), share));
    }
    let offer = negotiate::body_type(headers)?;
    let (bytes, share) = read(most(bytes_max, "a body")).await?;
    let came =
        if offer.is_xml && !bytes.is_empty() { Came::Xml(bytes) } else { Came::Body(Body::Bytes(bytes)) };
    Ok((came, share))
}

/// The path behind `/{workspace}/{service}`.
fn below_base(path: &str) -> &str {
    let mut slashes = path.match_indices('/').map(|(at, _)| at).skip(2);
    slashes.next().and_then(|at| path.get(at..)).unwrap_or("")
}

/// The service's address as the client knows it, without a last slash.
///
/// # Errors
/// 400 for a `Host` that is none (RFC 9112 section 3.2), or another header that names one: it would stand in links.
fn base(request: &HttpRequest, service: &Service) -> Result<String, Failure> {
    match &service.options.public_url {
        Some(public) => Ok(public.clone()),
        None => Ok(format!("{}/{}/{}", origin(request)?, service.workspace, service.name)),
    }
}

/// The address of something that stands beside the services of a workspace, as clients know it.
///
/// # Errors
/// As [`base`].
pub(super) fn base_of(
    request: &HttpRequest,
    services: &Services,
    (workspace, name): (&str, &str),
) -> Result<String, Failure> {
    let beside = |service: &Arc<Service>| {
        let public = service.options.public_url.as_deref()?;
        public.strip_suffix(service.name.as_str()).filter(|rest| rest.ends_with('/')).map(str::to_owned)
    };
    match services.of_workspace(workspace).find_map(beside) {
        Some(public) => Ok(format!("{public}{name}")),
        None => Ok(format!("{}/{workspace}/{name}", origin(request)?)),
    }
}

/// The server as the client names it.
fn origin(request: &HttpRequest) -> Result<String, Failure> {
    let connection = request.connection_info();
    let (scheme, host) = (connection.scheme(), connection.host());
    let is_host = |text: &str| !text.contains('@') && text.parse::<Authority>().is_ok();
    let mut sent = request.headers().get_all(header::HOST).map(|line| line.to_str().unwrap_or_default());
    if !sent.all(is_host) || !is_host(host) || !scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(Failure::invalid("The header Host, or what a proxy has made of it, names no host."));
    }
    Ok(format!("{scheme}://{host}"))
}

fn conditions(headers: &HeaderMap) -> Result<Conditions, Failure> {
    Ok(Conditions {
        if_match: list(headers, header::IF_MATCH),
        if_none_match: list(headers, header::IF_NONE_MATCH),
        if_modified_since: line(headers, header::IF_MODIFIED_SINCE),
        if_none_exist: only(headers, "If-None-Exist")?,
        if_unmodified_since: line(headers, header::IF_UNMODIFIED_SINCE),
    })
}

/// The value of a header that is sent once. Of two, one would be criteria, or a Provenance, that nobody looks at.
fn only(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Failure> {
    let mut lines = headers.get_all(name);
    let Some(value) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(Failure::invalid(format!("The header {name} is sent more than once.")).at(name));
    }
    let text = std::str::from_utf8(value.as_bytes())
        .map_err(|_| Failure::invalid(format!("The header {name} is not UTF-8.")).at(name))?;
    Ok(Some(text.to_owned()))
}

/// All values of a header that is a list, as one (RFC 9110 section 5.3).
fn list(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let values = headers.get_all(name).map(|value| value.to_str().unwrap_or_default());
    values.map(str::to_owned).reduce(|all, next| format!("{all}, {next}"))
}

fn says(headers: &HeaderMap, name: &'static str, word: &str) -> bool {
    line(headers, HeaderName::from_static(name)).is_some_and(|value| value.eq_ignore_ascii_case(word))
}

/// The first value of a header; what is not ASCII text becomes an empty one, which no condition accepts.
fn line(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default().to_owned())
}
