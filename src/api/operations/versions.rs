//! `$versions`: the FHIR versions that the service speaks (R5's operation, which AHDS offers for R4 as well).

use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::operation::{Invocation, Work};
use crate::api::operations::{Input, Takes};

const BODY: &[u8] = br#"{"resourceType":"Parameters","parameter":[{"name":"version","valueString":"4.0"},{"name":"default","valueString":"4.0"}]}"#;

const TAKES: Takes = Takes { operation: "$versions", ..Takes::NOTHING };

/// `GET /$versions`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(async {
        // The answer is Parameters, which have no place for a warning.
        let _left_out = TAKES.check(call, &Input::read(call, invocation.body).await?)?;
        Ok(Answer::ok(BODY))
    })
}
