//! Puts on record what happens before it is answered.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};

use crate::error::SmartError;
use crate::host::{HostError, Occurrence};
use crate::refusal::Refusal;
use crate::server::SmartServer;

/// How long the audit log may take. Nobody waits longer for a token, and no row is locked longer.
const RECORDED_WITHIN: Duration = Duration::from_secs(5);

impl SmartServer {
    /// Keeps what has happened in the audit log.
    ///
    /// # Errors
    /// It cannot be kept, so that nothing may come of it.
    pub(crate) async fn put_on_record(
        &self,
        request: &HttpRequest,
        occurrence: Occurrence,
    ) -> Result<(), SmartError> {
        let kept = tokio::time::timeout(RECORDED_WITHIN, self.host.record(request, occurrence)).await;
        kept.unwrap_or(Err(HostError::Unavailable)).map_err(SmartError::Host)
    }

    /// The answer to a request: what was made of it and is on record already, or its refusal, once that is on record.
    pub(crate) async fn concluded(
        &self,
        request: &HttpRequest,
        occurrence: Occurrence,
        outcome: Result<HttpResponse, Refusal>,
    ) -> HttpResponse {
        let refusal = match outcome {
            Ok(answer) => return answer,
            Err(refusal) => refusal,
        };
        let refused = Occurrence { refused: Some(refusal.why()), scope: None, ..occurrence };
        match self.put_on_record(request, refused).await {
            Ok(()) => refusal.answer(&self.options.base),
            Err(error) => Refusal::from(error).answer(&self.options.base),
        }
    }
}
