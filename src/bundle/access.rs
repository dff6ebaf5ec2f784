//! Whether whoever sends a transaction may do all that is in it. It is refused whole where they may not, before anything in
//! it is looked up; the entries of a batch are checked one by one, as the requests that they are.

use super::entry::Entry;
use crate::access::{Action, Actions};
use crate::api::access::check_entry;
use crate::api::{Call, Conditions};
use crate::error::Failure;

/// Refuses a transaction with entries that may not be done.
///
/// # Errors
/// 403 with an issue for each of them.
pub(super) fn check(call: &Call, entries: &[Entry<'_>]) -> Result<(), Failure> {
    let mut refused: Option<Failure> = None;
    for entry in entries {
        let (path, mut query) = entry.target.path_and_query();
        entry.own.add_to(&mut query);
        let conditions = Conditions {
            if_match: entry.if_match.clone(),
            if_none_exist: entry.if_none_exist.clone(),
            ..Conditions::default()
        };
        if let Err(failure) = check_entry(call, &entry.method.http(), (&path, &query), &conditions) {
            let failure = failure.at(entry.path());
            refused = Some(match refused {
                None => failure,
                Some(before) => before.and(failure),
            });
        }
    }
    refused.map_or(Ok(()), Err)
}

/// Refuses references that are searches to who may not search.
///
/// # Errors
/// 403.
pub(super) fn check_references(call: &Call, are_there: bool) -> Result<(), Failure> {
    let search = Actions::of(&[Action::Search]);
    match are_there && !call.principal.actions.contain(search) {
        true => Err(Failure::lacking(search)),
        false => Ok(()),
    }
}
