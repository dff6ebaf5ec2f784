//! One request as the interactions see it: read once, checked once, and without HTTP, so that the entries of a
//! bundle are served by the same code.

use std::sync::Arc;

use actix_web::http::Method;
use anamnesis_events::{Position, ResourceKey, Version};
use anamnesis_fhir::json::Document;
use anamnesis_projections::search::SearchIndex;

use super::bounds::Bounds;
use super::idempotency::Once;
use super::negotiate::{self, Prefer};
use super::provenance::{self, Sent};
use super::query::{self, GENERAL, Query};
use super::service::Service;
use super::turns::Held;
use crate::access::Principal;
use crate::actors::{Kept, Outcome, Terms, WriteError};
use crate::audit::Access;
use crate::decide::{self, Command, Expected, Provenance};
use crate::error::Failure;

/// A request to a FHIR service, from HTTP or from an entry of a bundle. By default a GET of somebody who may do nothing.
#[derive(Debug, Default)]
pub struct Request {
    /// Who asks.
    pub principal: Arc<Principal>,
    /// The method; HEAD is served as GET.
    pub method: Method,
    /// The path below the service, percent-encoded, without a leading slash: `Patient/1`.
    pub path: String,
    /// The query as it was sent, without the question mark; the form of a POST `_search` is joined to it.
    pub query: String,
    /// The conditions of the request.
    pub conditions: Conditions,
    /// `Idempotency-Key`, as it was sent.
    pub idempotency_key: Option<String>,
    /// `X-Provenance`, as it was sent.
    pub provenance: Option<String>,
    /// What the client prefers.
    pub prefer: Prefer,
    /// `x-ms-consistency-level: eventual`: a search does not wait for what was just written.
    pub eventual: bool,
    /// `x-ms-use-partial-indices: true`: a search is answered by the index that is being built, where one is.
    pub partial: bool,
    /// A read shows the log as it stood at this position: an entry of a transaction, whose reads see one state.
    pub at: Option<Position>,
    /// It may ask how it is done: it stands for itself, and no web page sends it.
    pub explicable: bool,
    /// `Accept` names `application/fhir+json`.
    pub accepts_fhir_json: bool,
    /// Its answer may be a stream: it is no entry of a bundle.
    pub is_streamed: bool,
    /// `x-bundle-processing-logic: parallel`: the entries of a batch may be done side by side.
    pub parallel: bool,
    /// `x-ms-profile-validation`: whether declared profiles are checked, where the request says.
    pub profile_validation: Option<bool>,
    /// The resource that comes with it.
    pub body: Body,
    /// The service's address as the client knows it, without a last slash.
    pub base: String,
    /// Names the request in logs and outcomes.
    pub correlation_id: String,
    /// What is noted of it for the audit log.
    pub access: Access,
    /// Its query as it was read, where the request has been noted and checked already.
    pub checked: Option<CheckedQuery>,
}

/// The query of a request that was put on record and found to be allowed.
#[derive(Debug)]
pub struct CheckedQuery(pub(super) Query);

/// Headers that a request depends on, as they were sent (`Bundle.entry.request` has the same).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `If-Match`
    pub if_match: Option<String>,
    /// `If-None-Match`
    pub if_none_match: Option<String>,
    /// `If-Modified-Since`
    pub if_modified_since: Option<String>,
    /// `If-None-Exist`, a query
    pub if_none_exist: Option<String>,
    /// `If-Unmodified-Since`, which entries of bundles do not have
    pub if_unmodified_since: Option<String>,
}

/// What comes with a request.
#[derive(Debug, Default)]
pub enum Body {
    /// Nothing, or nothing that matters.
    #[default]
    None,
    /// JSON as received.
    Bytes(Vec<u8>),
    /// A JSON Patch as received: JSON, but no resource.
    JsonPatch(Vec<u8>),
    /// JSON that was parsed already; not yet validated.
    Document(Document),
}

/// What an interaction needs of its request.
pub struct Call {
    pub(crate) service: Arc<Service>,
    /// Who asks.
    pub(crate) principal: Arc<Principal>,
    /// What its scopes leave of the resources; `None` where it has none.
    pub(crate) bounds: Option<Arc<Bounds>>,
    pub(crate) query: Query,
    pub(crate) conditions: Conditions,
    /// Of a write with an idempotency key.
    pub(crate) once: Option<Once>,
    /// Of a write of a SearchParameter: kept until it has been answered.
    pub(crate) turn_of_parameters: Option<Arc<Held>>,
    /// What is recorded together with the write.
    pub(crate) sent_provenance: Option<Sent>,
    pub(crate) prefer: Prefer,
    pub(crate) eventual: bool,
    pub(crate) partial: bool,
    pub(crate) at: Option<Position>,
    pub(crate) explicable: bool,
    pub(crate) accepts_fhir_json: bool,
    pub(crate) is_streamed: bool,
    pub(crate) parallel: bool,
    pub(crate) profile_validation: Option<bool>,
    pub(crate) base: String,
    pub(crate) correlation_id: String,
    pub(crate) access: Access,
}

impl Call {
    /// Whether a parameter that is not known is an error: the client says, else the configuration (R4
    /// search.html#errors leaves it to both).
    pub(crate) fn refuses_unknown(&self) -> bool {
        self.prefer.strict || self.service.options.refuse_unknown && !self.prefer.lenient
    }

    /// The index that a search of this request is answered from: where the client wants it so, the one that is being
    /// built.
    ///
    /// # Errors
    /// 503 where there is none.
    pub(crate) fn index(&self) -> Result<SearchIndex, Failure> {
        let index = self.service.index()?;
        let partial = if self.partial { index.partial() } else { None };
        Ok(partial.unwrap_or_else(|| index.clone()))
    }

    /// The address of a resource, as it stands in `fullUrl`.
    pub(crate) fn full_url(&self, key: &ResourceKey) -> String {
        format!("{}/{key}", self.base)
    }

    /// The address of a page. It goes on in the form that the client has asked for in its query (R4 http.html#paging).
    pub(crate) fn link<'a>(
        &'a self,
        address: &str,
        parameters: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> String {
        let form = self.query.0.iter().filter(|(name, _)| GENERAL.contains(&name.as_str()));
        query::url(address, parameters.chain(form.map(|(name, value)| (name.as_str(), value.as_str()))))
    }

    /// The addresses that mean this service: the configured ones and the one that the client uses.
    pub(crate) fn own_addresses(&self) -> Vec<String> {
        let mut all = self.service.compartments.rules().bases.clone();
        if !all.contains(&self.base) {
            all.push(self.base.clone());
        }
        all
    }

    /// The address of a version, for the header `Location`.
    pub(crate) fn location(&self, key: &ResourceKey, version: Version) -> String {
        format!("{}/{key}/_history/{version}", self.base)
    }

    /// Who writes, for the event.
    pub(crate) fn provenance(&self) -> Provenance {
        let bounds = self.bounds.clone().map(|bounds| bounds as Arc<dyn decide::Bounds>);
        Provenance { bounds, ..writer(&self.principal) }
    }

    /// Carries out a command, once where the request has an idempotency key.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn submit(&self, command: Command) -> Result<Outcome, WriteError> {
        self.submit_in_turn(command, None).await
    }

    /// [`Call::submit`] in the turn of the criteria that led to the command. The turn ends with the write, not with the
    /// client: who has gone away may have begun a write that the next one with these criteria has to find.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn submit_in_turn(
        &self,
        command: Command,
        turn: Option<&Arc<Held>>,
    ) -> Result<Outcome, WriteError> {
        if turn.into_iter().chain(&self.turn_of_parameters).any(|turn| turn.is_lost()) {
            return Err(WriteError::TurnLost);
        }
        let outcome = match &self.sent_provenance {
            Some(sent) => provenance::submit(self, sent, &command, turn).await?,
            None => {
                let idempotency = self.once.as_ref().map(|once| once.noting(Vec::new()));
                let terms = Terms { idempotency, kept: self.kept(turn) };
                self.service.compartments.submit_on(command, self.provenance(), terms).await?
            }
        };
        if let Outcome::Written { key, recorded, touches, .. } = &outcome {
            self.access.writes(key, recorded.version, recorded.position, touches);
        }
        Ok(outcome)
    }

    /// What is kept until the write has been answered.
    pub(super) fn kept(&self, turn: Option<&Arc<Held>>) -> Option<Kept> {
        match (turn, &self.turn_of_parameters) {
            (None, None) => None,
            (turn, parameters) => Some(Arc::new((turn.cloned(), parameters.clone()))),
        }
    }

    /// What the client expects of the resource that it writes.
    ///
    /// # Errors
    /// 400 for a malformed header.
    pub(crate) fn expected(&self) -> Result<Expected, Failure> {
        negotiate::expected(&self.conditions)
    }
}

/// Who writes, for the event: the subject alone, since a name has no place in a log that is never changed.
fn writer(principal: &Principal) -> Provenance {
    Provenance::of(principal.subject.clone())
}
