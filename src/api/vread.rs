//! Version read: one version of a resource (R4 http.html section 3.1.0.3).

use anamnesis_events::{ResourceKey, Version};

use super::answer::Answer;
use super::call::Call;
use super::read;
use crate::error::Failure;

/// `GET /Patient/1/_history/2`
pub(crate) async fn vread(call: &Call, key: &ResourceKey, version: Version) -> Result<Answer, Failure> {
    let event = call.service.log.version(key, version).await?;
    let missing = || Failure::not_found("The resource has no such version.");
    let event = event.filter(|event| !event.is_gone()).ok_or_else(missing)?;
    // Each version by itself: what it was before may have been another patient's.
    if call.can_read(&event).await? { read::answer(call, &event) } else { Err(missing()) }
}
