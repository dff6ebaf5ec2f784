//! `$versions`: the FHIR versions that the service speaks (R5's operation, which AHDS offers for R4 as well).

use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::operation::{Invocation, Work};

const BODY: &[u8] = br#"{"resourceType":"Parameters","parameter":[{"name":"version","valueString":"4.0"},{"name":"default","valueString":"4.0"}]}"#;

/// `GET /$versions`
pub(in crate::api) fn run(_call: &Call, _invocation: Invocation) -> Work<'_> {
    Box::pin(async { Ok(Answer::ok(BODY)) })
}
