//! Conditions that an interaction does not look at: refused where leaving them out would do harm.

use crate::api::call::Call;
use crate::api::interaction::Interaction;
use crate::error::{Failure, FailureKind, IssueCode};

/// Refuses conditions of a write that would go unheard. A read with one does no harm.
///
/// # Errors
/// 400 that names the header.
pub(super) fn check(call: &Call, interaction: Interaction) -> Result<(), Failure> {
    if !interaction.is_write() {
        return Ok(());
    }
    let given = &call.conditions;
    if given.if_none_exist.is_some() && interaction != Interaction::Create {
        return Err(refuse(
            "If-None-Exist",
            "If-None-Exist is a condition of creates; here it would go unheard.",
        ));
    }
    // RFC 9110 section 13.1.4: where If-Match is there, it goes before.
    if given.if_unmodified_since.is_some() && given.if_match.is_none() {
        return Err(refuse(
            "If-Unmodified-Since",
            "If-Unmodified-Since is no condition of this server, which counts versions and not seconds: If-Match is.",
        ));
    }
    let is_of_a_version = match interaction {
        Interaction::Create | Interaction::Transaction | Interaction::Batch => false,
        Interaction::Operation(operation) => operation.name == "$purge-history",
        _ => true,
    };
    if is_of_a_version {
        return Ok(());
    }
    match (&given.if_match, &given.if_none_match) {
        (Some(_), _) => Err(refuse("If-Match", OF_A_VERSION)),
        (None, Some(_)) => Err(refuse("If-None-Match", OF_A_VERSION)),
        (None, None) => Ok(()),
    }
}

const OF_A_VERSION: &str = "This is a condition on the version of one resource; here it would go unheard.";

fn refuse(header: &'static str, text: &'static str) -> Failure {
    Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text).at(header)
}
