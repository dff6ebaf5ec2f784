//! A span, an id and figures for every HTTP request: method, route, status and position; nothing of its content.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::clock;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
static POSITION: HeaderName = HeaderName::from_static("x-anamnesis-position");

/// The longest id that is taken from a client.
const ID_BYTES_MAX: usize = 64;
/// A request that takes longer is worth a line in the log.
const SLOW_S: f64 = 1.0;

/// The ids of a request, to be found in its extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestIds {
    /// This request: the client's `X-Request-Id` where it is a plain one, else a new id.
    pub request: String,
    /// What the request belongs to: the client's `X-Correlation-Id`, else the request's id.
    pub correlation: String,
}

impl RequestIds {
    /// The ids of a request; new ones where it has not passed [`observe`].
    #[must_use]
    pub fn given_to(request: &HttpRequest) -> RequestIds {
        request.extensions().get().cloned().unwrap_or_else(|| {
            let id = clock::new_request_id();
            RequestIds { request: id.clone(), correlation: id }
        })
    }

    fn of(headers: &HeaderMap) -> RequestIds {
        let request = plain(headers.get(&REQUEST_ID)).unwrap_or_else(clock::new_request_id);
        let correlation = plain(headers.get(&CORRELATION_ID)).unwrap_or_else(|| request.clone());
        RequestIds { request, correlation }
    }
}

/// An id from a client, if it can be repeated in a header and a log without harm, and be the id of an outcome (R4
/// datatypes.html#id).
fn plain(value: Option<&HeaderValue>) -> Option<String> {
    let text = value?.to_str().ok()?;
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    ((1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(harmless)).then(|| text.to_owned())
}

/// What a request is in metrics and spans where its route's pattern says too little: put into its extensions by
/// whoever serves it. One of few fixed names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteLabel(pub &'static str);

/// Counts a request as under way until it is dropped, however it ends.
struct InFlight;

impl InFlight {
    fn begin() -> InFlight {
        metrics::gauge!("anamnesis_http_requests_in_flight").increment(1.0);
        InFlight
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics::gauge!("anamnesis_http_requests_in_flight").decrement(1.0);
    }
}

/// The outermost middleware: gives the request its ids and span, and records how it went.
///
/// The span names the route's pattern, because a path or a query may name a person.
///
/// # Errors
/// Those of the handler, unchanged.
pub async fn observe<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let begun = clock::elapsed();
    let _under_way = InFlight::begin();
    let ids = RequestIds::of(request.headers());
    let method = method_label(request.method().as_str());
    let span = tracing::info_span!(
        "request",
        method,
        request.id = ids.request,
        route = Empty,
        status = Empty,
        position = Empty
    );
    request.extensions_mut().insert(ids.clone());
    let mut outcome = next.call(request).instrument(span.clone()).await;
    let (status, route) = match &mut outcome {
        Ok(response) => {
            finish(response, &ids, &span);
            let label = response.request().extensions().get::<RouteLabel>().copied();
            let route = match label {
                Some(RouteLabel(label)) => Some(label.to_owned()),
                None => response.request().match_pattern(),
            };
            (response.status(), route)
        }
        Err(error) => (error.as_response_error().status_code(), None),
    };
    let route = route.unwrap_or_else(|| "(none)".to_owned());
    let seconds = (clock::elapsed() - begun).as_secs_f64();
    span.record("route", &route).record("status", status.as_u16());
    span.in_scope(|| report(status, seconds));
    metrics::counter!("anamnesis_http_requests_total",
        "method" => method, "route" => route.clone(), "status" => status.as_str().to_owned())
    .increment(1);
    metrics::histogram!("anamnesis_http_request_duration_seconds", "method" => method, "route" => route)
        .record(seconds);
    outcome
}

fn finish<B>(response: &mut ServiceResponse<B>, ids: &RequestIds, span: &Span) {
    if let Some(position) = response.headers().get(&POSITION).and_then(|value| value.to_str().ok()) {
        span.record("position", position);
    }
    for (name, id) in [(&REQUEST_ID, &ids.request), (&CORRELATION_ID, &ids.correlation)] {
        // A plain id is a valid header value.
        if let Ok(value) = HeaderValue::from_str(id) {
            response.headers_mut().insert(name.clone(), value);
        }
    }
}

fn report(status: StatusCode, seconds: f64) {
    let duration_ms = (seconds * 1e6).round() / 1e3;
    if status.is_server_error() {
        tracing::warn!(duration_ms, "a request failed");
    } else if seconds > SLOW_S {
        tracing::info!(duration_ms, "a request was slow");
    } else {
        tracing::debug!(duration_ms, "answered");
    }
}

/// A method as a label: clients may send any word, and every label costs memory.
fn method_label(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::middleware::from_fn;
    use actix_web::{App, HttpResponse, test, web};

    async fn answer(request: HttpRequest) -> HttpResponse {
        let correlation = request.extensions().get::<RequestIds>().unwrap().correlation.clone();
        HttpResponse::Ok().body(correlation)
    }

    async fn headers_for(ids: &[(&'static str, &str)]) -> (String, String, String) {
        let app = App::new().wrap(from_fn(observe)).route("/{id}", web::get().to(answer));
        let app = test::init_service(app).await;
        let mut request = test::TestRequest::get().uri("/secret");
        for id in ids {
            request = request.insert_header(*id);
        }
        let response = test::call_service(&app, request.to_request()).await;
        let header = |name| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
        let (request, correlation) = (header(&REQUEST_ID), header(&CORRELATION_ID));
        let body = test::read_body(response).await;
        (request, correlation, String::from_utf8(body.to_vec()).unwrap())
    }

    #[actix_web::test]
    async fn a_plain_id_of_the_client_is_kept() {
        let ids = [("x-request-id", "a-1.b"), ("x-correlation-id", "c")];
        assert_eq!(headers_for(&ids).await, ("a-1.b".into(), "c".into(), "c".into()));
    }

    #[actix_web::test]
    async fn without_a_usable_id_a_new_one_is_given_and_stands_for_both() {
        for bad in ["", "a b", "x\"y", "a_b", &"a".repeat(65)] {
            let (request, correlation, seen) = headers_for(&[("x-request-id", bad)]).await;
            assert_eq!(request.len(), 36, "{bad}");
            assert_eq!((&correlation, &seen), (&request, &request));
        }
        assert_ne!(headers_for(&[]).await.0, headers_for(&[]).await.0);
    }

    #[actix_web::test]
    async fn unknown_methods_share_one_label() {
        assert_eq!(method_label("PATCH"), "PATCH");
        assert_eq!(method_label("BREW"), "other");
    }
}
