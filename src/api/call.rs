//! One request as the interactions see it: read once, checked once.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName};
use anamnesis_events::{ResourceKey, Version};

use super::negotiate::{self, Prefer};
use super::query::Query;
use super::service::Service;
use crate::clock;
use crate::decide::Provenance;
use crate::error::Failure;

/// The ids of a request (AHDS: `X-Request-Id` is taken from the client, `X-Correlation-Id` is the server's).
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    pub(crate) request: String,
    pub(crate) correlation: String,
}

impl Ids {
    /// Takes the client's request id where it is harmless to send back and to log.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        const LENGTH_MAX: usize = 128;
        let fits = |text: &&str| {
            (1..=LENGTH_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte))
        };
        let sent = headers.get(HeaderName::from_static("x-request-id")).and_then(|line| line.to_str().ok());
        let correlation = clock::new_request_id();
        let request = sent.filter(fits).map_or_else(|| correlation.clone(), str::to_owned);
        Self { request, correlation }
    }
}

/// What an interaction needs of its request.
pub(crate) struct Call {
    pub(crate) service: Arc<Service>,
    pub(crate) request: HttpRequest,
    pub(crate) query: Query,
    pub(crate) prefer: Prefer,
    pub(crate) ids: Ids,
}

impl Call {
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// The service's address as the client knows it, without a last slash.
    pub(crate) fn base(&self) -> String {
        if let Some(public) = &self.service.options.public_url {
            return public.clone();
        }
        let connection = self.request.connection_info();
        let Service { workspace, name, .. } = &*self.service;
        format!("{}://{}/{workspace}/{name}", connection.scheme(), connection.host())
    }

    /// The address of a version, for the header `Location`.
    pub(crate) fn location(&self, key: &ResourceKey, version: Version) -> String {
        format!("{}/{key}/_history/{version}", self.base())
    }

    /// Who writes, for the event.
    pub(crate) fn provenance(&self) -> Provenance {
        // Until a service has an authority configured there is one agent: whoever can reach the loopback.
        thread_local! {
            static ANONYMOUS: Arc<str> = Arc::from("anonymous");
        }
        Provenance { agent: ANONYMOUS.with(Arc::clone), source: None }
    }

    /// What the client expects of the resource that it writes.
    ///
    /// # Errors
    /// 400 for a malformed header.
    pub(crate) fn expected(&self) -> Result<crate::decide::Expected, Failure> {
        negotiate::expected(self.headers())
    }
}
