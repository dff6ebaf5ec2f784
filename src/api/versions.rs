//! `$versions`: the FHIR versions that the service speaks (R5's operation, which AHDS offers for R4 as well).

use super::call::Call;
use super::reply::Reply;
use crate::error::Failure;

/// `GET /$versions`
pub(crate) fn versions(_call: &Call) -> Result<Reply, Failure> {
    Ok(Reply::ok(
        &br#"{"resourceType":"Parameters","parameter":[{"name":"version","valueString":"4.0"},{"name":"default","valueString":"4.0"}]}"#[..],
    ))
}
