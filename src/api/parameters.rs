//! Which parameters the interactions with one resource understand, and what becomes of others. A search and an operation
//! have their own.

use super::as_of;
use super::call::Call;
use super::delete;
use super::interaction::Interaction;
use super::query::{GENERAL, Query, encode};
use crate::error::{Failure, FailureKind, IssueCode};

/// Whether a version is kept where the next one changes `meta` only (as AHDS has it).
pub(crate) const META_HISTORY: &str = "_meta-history";

/// Refuses what would otherwise go unheard: a condition where there is none, and parameters that are not known, where the
/// client or the configuration wants that. A delete knows no such leniency: a misspelt `hardDelete` would keep what its
/// client wants to be gone.
///
/// # Errors
/// 400 that names the header or the parameter.
pub(super) fn check(call: &Call, interaction: Interaction) -> Result<(), Failure> {
    if call.conditions.if_none_exist.is_some() && interaction.is_write() && interaction != Interaction::Create
    {
        let text = "If-None-Exist is a condition of creates; here it would go unheard.";
        return Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text).at("If-None-Exist"));
    }
    let known: &[&str] = match interaction {
        Interaction::Read => &["_summary", "_elements", as_of::PARAMETER],
        Interaction::VersionRead => &["_summary", "_elements"],
        Interaction::Create | Interaction::Update | Interaction::Patch => &[META_HISTORY],
        Interaction::Delete => &delete::HARD,
        _ => &[],
    };
    meta_history(&call.query)?;
    if known.is_empty() {
        return Ok(());
    }
    let unknown = call.query.others(known).find(|(name, _)| !GENERAL.contains(&name.as_str()));
    match unknown {
        Some((name, _)) if interaction == Interaction::Delete || call.refuses_unknown() => {
            let text = format!(
                "The parameter {} is not known here, where there are {} and those of every request.",
                encode(name),
                known.join(", ")
            );
            Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text))
        }
        _ => Ok(()),
    }
}

/// Whether the version before is kept where only `meta` changes.
///
/// # Errors
/// 400 for what is neither yes nor no, or both.
pub(crate) fn meta_history(query: &Query) -> Result<bool, Failure> {
    Ok(query.flag(&[META_HISTORY])?.unwrap_or(true))
}

/// The criteria of a conditional write: its query without what says how to write.
pub(super) fn criteria(query: &Query) -> Query {
    Query(query.others(&[META_HISTORY]).cloned().collect())
}
