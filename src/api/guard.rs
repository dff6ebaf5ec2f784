//! What stands before the services: bounds of what a request may be, how many there may be, how long one may take, and the
//! headers that browsers want (CORS, and those that keep answers out of caches and frames).
//!
//! Whoever asks is known here by an address only: that of the connection, or what proxies that are trusted tell. A token is looked
//! at further in, and whose it is counts there ([`admit_principal`]).

mod cors;
mod headers;
mod overdue;
mod rates;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpRequest};
use arc_swap::ArcSwap;

use super::answer::respond;
use super::audited;
use super::http::style_of;
use super::service::Services;
use crate::access::Principal;
use crate::audit::Networks;
use crate::error::{Failure, FailureKind, IssueCode};
use crate::telemetry::RequestIds;

pub use cors::Cors;
use headers::Wanted;
use overdue::Overdue;
use rates::{Client, Clients};
pub use rates::{Limits, Rate};

/// What is allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct GuardOptions {
    /// The longest address with its query, in bytes.
    pub url_bytes_max: usize,
    /// The most lines of headers.
    pub headers_max: usize,
    /// The bytes of all headers.
    pub header_bytes_max: usize,
    /// How long a request may take until its answer begins; not bounded where not set.
    pub request_wait: Option<Duration>,
    /// For how long browsers are told to come by TLS only, in seconds, where they came by TLS.
    pub strict_transport_s: u64,
    /// The limits of each workspace that has any.
    pub limits: HashMap<String, Limits>,
    /// The proxies that each workspace believes what they say about addresses.
    pub proxies: HashMap<String, Networks>,
    /// The web pages that may use a service, by workspace and service.
    pub cors: HashMap<(String, String), Cors>,
}

impl Default for GuardOptions {
    fn default() -> Self {
        Self {
            // Twice what proxies usually take; longer searches are sent as forms.
            url_bytes_max: 16 << 10,
            // Browsers send about twenty; one with a large token has half of these bytes.
            headers_max: 80,
            header_bytes_max: 32 << 10,
            // A body has ten minutes to arrive, and what is done with it one more.
            request_wait: Some(Duration::from_secs(660)),
            strict_transport_s: 31_536_000,
            limits: HashMap::new(),
            proxies: HashMap::new(),
            cors: HashMap::new(),
        }
    }
}

/// Keeps what is allowed: a handle, free to clone.
#[derive(Debug, Clone, Default)]
pub struct Guard(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    options: ArcSwap<GuardOptions>,
    clients: Clients,
}

impl Guard {
    /// A guard with these options.
    #[must_use]
    pub fn new(options: GuardOptions) -> Self {
        let inner = Inner { options: ArcSwap::from_pointee(options), clients: Clients::default() };
        Self(Arc::new(inner))
    }

    /// Allows something else from now on. What clients have used up of the limits before is forgotten.
    pub fn set(&self, options: GuardOptions) {
        if **self.0.options.load() != options {
            self.0.options.store(Arc::new(options));
            self.0.clients.forget();
        }
    }
}

/// The middleware. Without a [`Guard`] among the application's data it only puts its headers.
///
/// # Errors
/// Those of the layers within, and the one of a request that takes too long.
pub async fn guard<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let guard = request.app_data::<Data<Guard>>().map(|guard| guard.get_ref().clone()).unwrap_or_default();
    let options = guard.0.options.load_full();
    let mut names = request.path().trim_start_matches('/').split('/');
    let workspace = names.next().unwrap_or_default().to_owned();
    let service = names.next().unwrap_or_default().to_owned();
    let is_secure = request.app_config().secure();
    let cors = options.cors.get(&(workspace.clone(), service.clone()));
    let (shared, origin) = match cors {
        Some(cors) => (true, cors.allowed(request.headers())),
        None => (false, None),
    };
    let wanted =
        Wanted { strict_transport_s: if is_secure { options.strict_transport_s } else { 0 }, shared, origin };
    let permit = match admit(&guard, &options, &request, &workspace) {
        Ok(permit) => permit,
        Err((failure, status)) => {
            let status = status.unwrap_or_else(|| failure.status());
            record(request.request(), (&workspace, &service), status);
            let ids = RequestIds::given_to(request.request());
            let mut refused = respond(Err(failure), &ids, style_of(request.request()));
            *refused.status_mut() = status;
            wanted.put(refused.headers_mut());
            return Ok(request.into_response(refused).map_into_right_body());
        }
    };
    if let (Some(cors), Some(_)) = (cors, &wanted.origin)
        && let Some(mut answer) = cors.preflight(&request)
    {
        wanted.put(answer.headers_mut());
        return Ok(request.into_response(answer).map_into_right_body());
    }
    let overdue = Overdue::of(&request);
    let mut response = match options.request_wait {
        None => next.call(request).await?,
        Some(wait) => match tokio::time::timeout(wait, next.call(request)).await {
            Ok(response) => response?,
            Err(_) => return Err(overdue.into()),
        },
    };
    drop(permit);
    wanted.put(response.headers_mut());
    Ok(response.map_into_left_body())
}

/// Whether a request may come in; what it holds until it is answered.
fn admit(
    guard: &Guard,
    options: &GuardOptions,
    request: &ServiceRequest,
    workspace: &str,
) -> Result<rates::Permit, (Failure, Option<StatusCode>)> {
    let too_long = |text: String, status: StatusCode| {
        (Failure::new(FailureKind::Invalid, IssueCode::TooLong, text), Some(status))
    };
    let url_bytes = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if url_bytes > options.url_bytes_max {
        let text = format!(
            "The address is longer than {} bytes; a search can be sent as a form, with POST to _search.",
            options.url_bytes_max
        );
        return Err(too_long(text, StatusCode::URI_TOO_LONG));
    }
    let headers = request.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() > options.headers_max || bytes > options.header_bytes_max {
        let text = format!(
            "The headers are more than {} lines or {} bytes.",
            options.headers_max, options.header_bytes_max
        );
        return Err(too_long(text, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    let Some(limits) = options.limits.get(workspace) else { return Ok(rates::Permit::default()) };
    let client = client(options, request.request(), workspace).map(Client::of);
    guard.0.clients.admit(workspace, client, limits).map_err(|failure| (failure, None))
}

/// Puts a refusal on record, where the workspace keeps an audit log. What else the path says is not looked at.
fn record(request: &HttpRequest, (workspace, service): (&str, &str), status: StatusCode) {
    let Some(services) = request.app_data::<Data<Services>>() else { return };
    let Some(audit) = services.audit(workspace) else { return };
    let service = if services.find(workspace, service).is_some() { service } else { "" };
    audited::refused(audit, request, service, status.as_u16());
}

/// The address that a request comes from.
fn client(options: &GuardOptions, request: &HttpRequest, workspace: &str) -> Option<IpAddr> {
    let peer = request.peer_addr().map(|address| address.ip());
    match options.proxies.get(workspace) {
        None => peer,
        Some(proxies) => proxies.client(peer, forwarded(request)),
    }
}

/// What proxies say of the way of a request, in the order of the lines.
pub(crate) fn forwarded(request: &HttpRequest) -> impl Iterator<Item = &str> {
    request.headers().get_all("x-forwarded-for").filter_map(|line| line.to_str().ok())
}

/// Counts a request of somebody whose token was good. Without a [`Guard`] among the application's data nothing is counted.
///
/// # Errors
/// 429 with the time after which another one is taken.
pub(super) fn admit_principal(request: &HttpRequest, principal: &Principal) -> Result<(), Failure> {
    let Some(guard) = request.app_data::<Data<Guard>>() else { return Ok(()) };
    let options = guard.0.options.load();
    let workspace = request.match_info().get("workspace").unwrap_or_default();
    let Some(limits) = options.limits.get(workspace) else { return Ok(()) };
    guard.0.clients.admit_principal(workspace, principal, limits)
}
