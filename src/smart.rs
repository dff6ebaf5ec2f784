//! The authorization server of a FHIR service as a part of this server: what it asks of its host is answered here.

mod patients;
mod record;
mod seal;
mod words;

use std::fmt;
use std::sync::{Arc, OnceLock};

use actix_web::HttpRequest;
use anamnesis_events::keys::MasterKeys;
use anamnesis_smart::{
    Caller, Host, HostError, Occurrence, PatientPage, PatientQuestion, ScopeRefused, ScopesRead, SmartServer,
};
use chrono::{DateTime, Utc};
use futures::future::{BoxFuture, LocalBoxFuture};
use uuid::Uuid;

use crate::access::assignment::{Holder, Roles};
use crate::access::gate::{Revocations, Standing};
use crate::access::scope::unknown;
use crate::access::{Action, Actions, Gate, Scopes};
use crate::api::{Service, forwarded};
use crate::audit::{Audit, Networks};
use crate::clock;

/// What may be done with data: whoever has none of these has no rights to any.
const DATA: Actions =
    Actions::of(&[Action::ReadById, Action::Search, Action::Create, Action::Update, Action::Smart]);

/// This server, as the authorization server of one of its services sees it.
pub struct SmartHost {
    roles: Roles,
    /// The issuer: the service's base.
    issuer: Arc<str>,
    master: Option<Arc<dyn MasterKeys>>,
    proxies: Networks,
    late: OnceLock<Late>,
}

/// What there is only when the service is there, whose gate asks the authorization server.
struct Late {
    service: Arc<Service>,
    audit: Option<Audit>,
}

impl SmartHost {
    /// The host of a service. `roles` are those of its users, `issuer` is its base, private keys are sealed by `master`, and
    /// `proxies` are believed what they say of addresses.
    #[must_use]
    pub fn new(
        roles: Roles,
        issuer: &str,
        master: Option<Arc<dyn MasterKeys>>,
        proxies: Networks,
    ) -> Arc<Self> {
        Arc::new(Self { roles, issuer: issuer.into(), master, proxies, late: OnceLock::new() })
    }

    /// Gives it the service that it is of, and the audit log of its workspace. Before that no request may come.
    pub fn begin(&self, service: Arc<Service>, audit: Option<Audit>) {
        // Said once, by whoever puts the server together.
        let _again = self.late.set(Late { service, audit });
    }

    fn late(&self) -> Result<&Late, HostError> {
        self.late.get().ok_or(HostError::Unavailable)
    }

    fn gate(&self) -> Result<&Gate, HostError> {
        Ok(&self.late()?.service.gate)
    }

    /// What the roles of a user allow.
    fn actions(&self, user: Uuid) -> Actions {
        self.roles.of_subject(Holder::User, &user.to_string())
    }
}

impl Host for SmartHost {
    fn now(&self) -> DateTime<Utc> {
        clock::now()
    }

    fn read_scopes(&self, text: &str) -> Result<ScopesRead, ScopeRefused> {
        Scopes::parse(text)
            .map(|scopes| words::shown(&scopes))
            .map_err(|error| ScopeRefused(error.to_string()))
    }

    fn read_registered(&self, text: &str) -> Result<ScopesRead, ScopeRefused> {
        registered(text).map(|scopes| words::shown(&scopes))
    }

    fn narrow(&self, asked: &str, allowed: &str) -> Result<String, ScopeRefused> {
        // Whether they go together is looked at when they are asked for; a registration may have more than one token.
        Ok(registered(asked)?.within(&Scopes::of_registration(allowed)).to_string())
    }

    fn has_role(&self, user: Uuid) -> bool {
        !self.actions(user).within(DATA).is_empty()
    }

    fn may_break_glass(&self, user: Uuid) -> bool {
        self.actions(user).has(Action::BreakGlass)
    }

    fn patients(&self, asked: PatientQuestion) -> LocalBoxFuture<'_, Result<PatientPage, HostError>> {
        Box::pin(patients::find(self, asked))
    }

    fn record<'a>(
        &'a self,
        request: &'a HttpRequest,
        occurrence: Occurrence,
    ) -> LocalBoxFuture<'a, Result<(), HostError>> {
        record::note(&self.issuer, request, &occurrence);
        // It is written by the layer around all services, before the answer leaves.
        Box::pin(std::future::ready(Ok(())))
    }

    fn seal<'a>(&'a self, context: &'a str, clear: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, HostError>> {
        Box::pin(seal::seal(self.master.as_deref(), context, clear))
    }

    fn open<'a>(&'a self, context: &'a str, sealed: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, HostError>> {
        Box::pin(seal::open(self.master.as_deref(), context, sealed))
    }

    fn address(&self, request: &HttpRequest) -> String {
        let peer = request.peer_addr().map(|address| address.ip());
        self.proxies.path(peer, forwarded(request)).client.unwrap_or_default()
    }

    fn caller<'a>(&'a self, request: &'a HttpRequest) -> LocalBoxFuture<'a, Result<Caller, HostError>> {
        Box::pin(async move {
            let principal = crate::api::access::caller(request, self.gate()?).await;
            let principal = principal.map_err(|_told_by_the_caller| HostError::Refused)?;
            Ok(Caller {
                subject: principal.subject.to_string(),
                is_operator: principal.actions.has(Action::Configuration),
                // An app of one patient, or in an emergency, is no health record that could open others.
                may_launch: !principal.actions.within(DATA).is_empty()
                    && principal.emergency.is_none()
                    && principal.grant.as_ref().is_none_or(|grant| grant.owner().is_none()),
            })
        })
    }
}

/// Scopes that a client is registered for, each of which has to be known.
fn registered(text: &str) -> Result<Scopes, ScopeRefused> {
    match unknown(text) {
        Some(at) => Err(ScopeRefused(format!("scope {at} is none of SMART App Launch"))),
        None => Ok(Scopes::of_registration(text)),
    }
}

impl fmt::Debug for SmartHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SmartHost").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// The authorization server as the gate asks it.
#[derive(Debug)]
pub struct Own(pub SmartServer);

impl Revocations for Own {
    fn standing(&self, token: Uuid, family: Uuid) -> Standing {
        match self.0.standing(token, family) {
            anamnesis_smart::Standing::Good => Standing::Good,
            anamnesis_smart::Standing::Revoked => Standing::Revoked,
            _ => Standing::Unknown,
        }
    }
}
