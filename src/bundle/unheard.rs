//! Conditions of an entry that nobody would look at: refused. The headers of the same names are, on writes.

use super::entry::{Entry, Method, Problem, calls};
use super::target::Target;
use crate::api::interaction::Called;
use crate::error::IssueCode;

/// The first condition that means nothing for what the entry asks for.
pub(super) fn problem(entry: &Entry<'_>) -> Option<Problem> {
    let (takes_version, takes_time) = match entry.method {
        Method::Post => (is_purge(entry), false),
        Method::Put | Method::Patch | Method::Delete => (true, false),
        Method::Get | Method::Head => (false, true),
    };
    let refused = |element| Some((IssueCode::NotSupported, WHAT, element));
    match entry {
        _ if !takes_version && entry.if_match.is_some() => refused("request.ifMatch"),
        // A read takes it: what its client has already is not sent again.
        _ if !takes_version && !takes_time && entry.if_none_match.is_some() => refused("request.ifNoneMatch"),
        _ if !takes_time && entry.if_modified_since.is_some() => refused("request.ifModifiedSince"),
        _ => None,
    }
}

/// A purge looks at the version, whichever way it is asked for.
fn is_purge(entry: &Entry<'_>) -> bool {
    match &entry.target {
        Target::Other(path, _) => matches!(calls(entry.method, path), Some(Called::Purge(_))),
        _ => false,
    }
}

const WHAT: &str = "This is no condition of what the entry asks for; it would go unheard.";
