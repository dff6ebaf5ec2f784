//! `$includes`: the included resources of a page that did not fit beside its matches (AHDS has it; R4 leaves open how a
//! server bounds includes). Its address stands in the `related` link of the page.

use anamnesis_projections::search::{INCLUDES_PARAMETER, IncludesToken, Scope};

use crate::api::answer::Answer;
use crate::api::operation::{Invocation, Level, Work};
use crate::api::{Call, search};
use crate::error::Failure;

/// `GET /Patient/$includes?…&includesCt=…`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(includes(call, invocation.level))
}

async fn includes(call: &Call, level: Level) -> Result<Answer, Failure> {
    let token = call.query.once(&[INCLUDES_PARAMETER])?.and_then(IncludesToken::decode);
    let token = token.ok_or_else(|| {
        Failure::invalid("$includes is called by the related link of a page of results, with its includesCt.")
    })?;
    let resource_type = match level {
        Level::Type(name) => Some(name.to_string()),
        Level::System | Level::Instance(_) => None,
    };
    let scope = match (token.owner.clone(), resource_type) {
        (Some((owner_type, owner_id)), resource_type) => {
            Scope::Compartment { owner_type, owner_id, resource_type }
        }
        (None, Some(name)) => Scope::Type(name),
        (None, None) => Scope::System,
    };
    search::further_includes(call, scope, token).await
}
