//! `$versions`: the FHIR versions that the service speaks (R5's operation, which AHDS offers for R4 as well).

use super::answer::Answer;
use super::call::Call;
use crate::error::Failure;

/// `GET /$versions`
pub(crate) fn versions(_call: &Call) -> Result<Answer, Failure> {
    Ok(Answer::ok(
        &br#"{"resourceType":"Parameters","parameter":[{"name":"version","valueString":"4.0"},{"name":"default","valueString":"4.0"}]}"#[..],
    ))
}
