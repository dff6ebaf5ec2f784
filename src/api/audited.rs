//! A record in the audit log for every request to a workspace, written before the answer leaves.
//!
//! It is a layer around everything that a workspace serves, so that nothing is answered without it: refusals, orders of
//! operators and streams too. What the request is about is noted by those who serve it, in the [`Access`] that the layer
//! puts into the request.

mod asked;
mod custom;

use std::net::IpAddr;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpRequest};
use anamnesis_audit::{Action, Kind};
use anamnesis_events::{Event, Position};

use super::answer::respond;
use super::guard;
use super::http::style_of;
use super::service::Services;
use crate::audit::{Access, Audit, Surroundings};
use crate::telemetry::RequestIds;

pub(super) use asked::note_interaction;

/// What every path below a workspace begins with, when it names something for operators.
const SIGN: char = '$';

/// Where the audit log itself is read, beside the services.
const TRAIL: &str = "audit";

/// Of a request that is refused because there are too many like it.
struct OfMany;

/// Says that a request is refused because there are too many like it: so are their records, and they are gathered.
pub(super) fn is_of_many(request: &HttpRequest) {
    request.extensions_mut().insert(OfMany);
}

/// Puts on record what is refused before anybody has looked at what it asks for. `service` is one of the workspace's, or empty.
pub(super) fn refused(audit: &Audit, request: &HttpRequest, service: &str, status: u16) {
    let peer = request.peer_addr().map(|address| address.ip());
    let path = audit.proxies().path(peer, guard::forwarded(request));
    let surroundings = Surroundings {
        kind: Some(Kind::Rest),
        service: service.to_owned(),
        correlation: RequestIds::given_to(request).correlation,
        address: path.client,
        proxies: path.proxies,
        custom: Vec::new(),
    };
    Access::begin().records(&surroundings, Some(status)).into_iter().for_each(|record| audit.refused(record));
}

/// The access that a request is, or one that nothing is noted of.
pub(crate) fn access(request: &HttpRequest) -> Access {
    request.extensions().get::<Access>().cloned().unwrap_or_default()
}

/// The layer.
///
/// # Errors
/// Those of the layers within, unchanged.
pub(super) async fn audited<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let Some(audit) = audit_of(&request) else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let access = Access::begin();
    request.extensions_mut().insert(access.clone());
    let (surroundings, refused) = surroundings(request.request(), &audit, &access);
    request.extensions_mut().insert(Later { audit: audit.clone(), surroundings: surroundings.clone() });
    let under_way = UnderWay { audit, access, surroundings, is_told: false };
    let response = match refused {
        None => next.call(request).await?.map_into_left_body(),
        Some(failure) => {
            let request = request.request().clone();
            let told = respond(Err(failure), &RequestIds::given_to(&request), style_of(&request));
            ServiceResponse::new(request, told).map_into_right_body()
        }
    };
    if response.request().extensions().get::<OfMany>().is_some() {
        under_way.gathered(response.status().as_u16());
        return Ok(response);
    }
    match under_way.told(response.status().as_u16()).await {
        Ok(()) => Ok(response),
        Err(failure) => {
            let request = response.request().clone();
            let told = respond(Err(failure), &RequestIds::given_to(&request), style_of(&request));
            Ok(ServiceResponse::new(request, told).map_into_right_body())
        }
    }
}

/// The audit log of the workspace that is asked, where it has one.
fn audit_of(request: &ServiceRequest) -> Option<Audit> {
    let services = request.app_data::<Data<Services>>()?;
    let workspace = request.match_info().get("workspace")?;
    services.audit(workspace).cloned()
}

/// What is known of a request before anybody has looked at it; and why it is refused, where what is to be kept of it is too
/// much.
fn surroundings(
    request: &HttpRequest,
    audit: &Audit,
    access: &Access,
) -> (Surroundings, Option<crate::error::Failure>) {
    let (custom, refused) = match custom::of(request.headers()) {
        Ok(custom) => (custom, None),
        Err(failure) => (Vec::new(), Some(failure)),
    };
    let peer: Option<IpAddr> = request.peer_addr().map(|address| address.ip());
    let path = audit.proxies().path(peer, guard::forwarded(request));
    let own = request.path().rsplit('/').next().unwrap_or_default();
    let service = match request.path().split('/').nth(2) {
        Some(TRAIL) => TRAIL,
        _ => request.match_info().get("service").unwrap_or_default(),
    };
    let kind = match own.starts_with(SIGN) && matches!(service, "" | TRAIL) {
        true if own == "$events" => Kind::Export,
        true => Kind::Application,
        false => Kind::Rest,
    };
    if kind != Kind::Rest {
        access.asks(own, Action::E, None);
        if !request.query_string().is_empty() {
            access.queries(own, request.query_string());
        }
    }
    let surroundings = Surroundings {
        kind: Some(kind),
        service: service.to_owned(),
        correlation: RequestIds::given_to(request).correlation,
        address: path.client,
        proxies: path.proxies,
        custom,
    };
    (surroundings, refused)
}

/// What a record needs of something that goes on when its request is answered: the end of a stream.
#[derive(Debug, Clone)]
struct Later {
    audit: Audit,
    surroundings: Surroundings,
}

/// The end of a stream, which is put on record when this is dropped, however the stream ends.
#[derive(Debug)]
pub(super) struct End {
    later: Later,
    access: Access,
}

impl End {
    /// Of the stream that answers a request; `None` where nothing is put on record.
    pub(super) fn of(request: &HttpRequest, subtype: &str) -> Option<Self> {
        let later = request.extensions().get::<Later>().cloned()?;
        let again = access(request).again();
        again.asks(subtype, Action::E, None);
        Some(Self { later, access: again })
    }

    /// A version has been given.
    pub(super) fn gives(&self, event: &Event) {
        self.access.finds(event);
        self.access.reaches(event.position);
    }

    /// How far the stream has come.
    pub(super) fn reaches(&self, position: Position) {
        self.access.reaches(position);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.later.audit.leave(self.access.records(&self.later.surroundings, Some(200)));
    }
}

/// An access that has not been put on record yet. Where nobody waits for its answer any more, that is put on record.
struct UnderWay {
    audit: Audit,
    access: Access,
    surroundings: Surroundings,
    is_told: bool,
}

impl UnderWay {
    async fn told(mut self, status: u16) -> Result<(), crate::error::Failure> {
        let records = self.access.records(&self.surroundings, Some(status));
        // From here on it is written also where the client goes away.
        self.is_told = true;
        self.audit.record(records).await
    }

    /// Puts it on record together with those like it.
    fn gathered(mut self, status: u16) {
        self.is_told = true;
        let records = self.access.records(&self.surroundings, Some(status));
        records.into_iter().for_each(|record| self.audit.refused(record));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.is_told {
            self.audit.leave(self.access.records(&self.surroundings, None));
        }
    }
}
