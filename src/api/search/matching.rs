//! Criteria of conditional interactions, searched: every one is understood, and the index has all that the log has.

use anamnesis_events::Position;
use anamnesis_projections::search::{
    COUNT_MAX, Handling, IssueKind, ParseOptions, Scope, SearchPage, SearchQuery,
};

use super::{lists, options, outdated, read, refuse};
use crate::api::call::Call;
use crate::error::{Failure, FailureKind, IssueCode};

/// When a client may try again where resources are parked, in seconds: an operator has to do something first.
const PARKED_RETRY_S: u32 = 60;

/// The query for the resources of a type that criteria match. Every criterion must be understood.
///
/// # Errors
/// 400 for criteria that are not understood, find more than they say, or would be matched by what a search parameter said
/// before it was changed.
pub(crate) async fn of_criteria(
    call: &Call,
    resource_type: &str,
    criteria: &[(String, String)],
    count_max: usize,
) -> Result<SearchQuery, Failure> {
    let mut parameters = criteria.to_vec();
    parameters.push(("_count".to_owned(), count_max.to_string()));
    let options = ParseOptions { handling: Handling::Strict, count_max: COUNT_MAX, ..options(call) };
    let scope = Scope::Type(resource_type.to_owned());
    // Never one that is being built: what it lacks would be created twice.
    let index = call.service.index()?;
    let (query, mut issues) = read(call, index, &scope, &parameters, options).await?;
    // Such as words that need not stand together: more would be changed or deleted than what is written says.
    issues.retain(|issue| issue.kind == IssueKind::Incomplete);
    if !issues.is_empty() {
        return Err(refuse(issues));
    }
    outdated::refuse(call, &scope, criteria)?;
    Ok(query)
}

/// The resources of a type that criteria match, with the positions of the versions that do; at most `count_max`. Every
/// criterion must be understood, and the index must have all that the log has.
///
/// # Errors
/// 400 for criteria that are not understood, 503 where the index is late or resources of the type are parked.
pub(crate) async fn matching(
    call: &Call,
    resource_type: &str,
    criteria: &[(String, String)],
    count_max: usize,
) -> Result<Vec<(String, Position)>, Failure> {
    let index = call.service.index()?;
    let query = of_criteria(call, resource_type, criteria, count_max).await?;
    let head = call.service.compartments.reads().head().await?;
    // Whether it was in time, the page itself tells.
    let _ = index.wait_for(head, call.service.options.criteria_wait).await;
    let page = index.search(&query).await?;
    // A database that has crashed may have lost what the index was known to have; and what is parked, this process
    // knows for sure only up to where it has come itself.
    let reached = page.reached.min(page.parked_known);
    if reached < head {
        return Err(Failure::unavailable(format!(
            "The search index has reached position {reached}, not yet {head}; criteria cannot be matched now."
        )));
    }
    refuse_parked(&page)?;
    if !lists::are_still(call, &query).await? {
        let text = "A List that is asked for is changed at the same time; criteria cannot be matched now.";
        return Err(Failure::unavailable(text));
    }
    Ok(page.matches.into_iter().map(|found| (found.id, found.position)).collect())
}

/// A resource that is parked may match or not, and nobody can tell: a second one could be created beside it, or it could
/// be changed or deleted although it does not match any more.
fn refuse_parked(page: &SearchPage) -> Result<(), Failure> {
    let Some(parked) = &page.parked else { return Ok(()) };
    let text = format!(
        "Criteria cannot be matched now: {}. An identifier with its system can be used all the same.",
        parked.text
    );
    Err(Failure::new(FailureKind::Unavailable, IssueCode::Incomplete, text).retry_after(PARKED_RETRY_S))
}
