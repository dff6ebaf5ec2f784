//! How clients are told of purges and legal holds: 423 where one is in the way (RFC 4918 section 11.3).

use anamnesis_events::PurgeError;
use chrono::{DateTime, SecondsFormat, Utc};

use super::{Failure, FailureKind, IssueCode};
use crate::purges::PurgesError;

/// Groups that are named.
const NAMED_MAX: usize = 10;
/// When to come again to a patient that is being purged.
const RETRY_AFTER_S: u32 = 5;

/// What is under a hold is not taken away. The reason is told by the hold alone, to who may see it.
pub(super) fn held(since: DateTime<Utc>) -> Failure {
    let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
    let text = format!(
        "There is a legal hold on this patient since {since}: nothing of the patient is erased, and no second hold is placed."
    );
    Failure::new(FailureKind::Locked, IssueCode::BusinessRule, text)
}

/// What is being purged takes no writes.
pub(super) fn purging() -> Failure {
    let text = "The patient is being purged: until that has ended nothing is written that belongs to it or names it.";
    Failure::new(FailureKind::Locked, IssueCode::Transient, text).retry_after(RETRY_AFTER_S)
}

impl From<PurgesError> for Failure {
    fn from(error: PurgesError) -> Self {
        match error {
            PurgesError::Purge(error) => error.into(),
            PurgesError::Busy => Self::unavailable("Too many purges wait for their turn; try again later."),
            PurgesError::Stopped => {
                Self::unavailable("The server stops; a purge that has begun goes on when it starts.")
            }
        }
    }
}

impl From<PurgeError> for Failure {
    fn from(error: PurgeError) -> Self {
        match error {
            PurgeError::NotFound => Self::not_found("There is no such patient and never was."),
            PurgeError::Held { since } => held(since),
            PurgeError::Shared(shared) => {
                let named: Vec<String> =
                    shared.first.iter().take(NAMED_MAX).map(ToString::to_string).collect();
                let text = format!(
                    "{} groups are kept with this patient, their first member, and would be lost to their others: {}. Take the \
                     patient out of them, or delete them by themselves, first.",
                    shared.count,
                    named.join(", ")
                );
                Self::new(FailureKind::Conflict, IssueCode::BusinessRule, text)
            }
            PurgeError::Append(error) => error.into(),
            PurgeError::Log(error) => error.into(),
            _ => Self::unavailable(
                "Others write what is to be erased, again and again; what has begun goes on, and can be asked for again.",
            ),
        }
    }
}
