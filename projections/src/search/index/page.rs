//! What a search has found: a page of results.

use anamnesis_events::Position;

use crate::search::issue::Issue;

/// A resource that a search has found. Its content is in the log, at its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchMatch {
    /// The event that holds the resource.
    pub position: Position,
    /// The resource type.
    pub resource_type: &'static str,
    /// The id.
    pub id: String,
    /// The resource that matched, where that is one that the other contains and it is to be shown alone.
    pub contained: Option<ContainedMatch>,
}

/// A contained resource that a search has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainedMatch {
    /// The id within the container.
    pub id: String,
    /// Its place in `contained`, from 0 on.
    pub place: usize,
}

/// One page of results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPage {
    /// The resources, in their order; none where only the total was asked for.
    pub matches: Vec<SearchMatch>,
    /// The number of all matches, where it was asked for.
    pub total: Option<u64>,
    /// The page token of the next page, if there is one.
    pub next: Option<String>,
    /// The page token of the page before, if there is one.
    pub previous: Option<String>,
    /// The position that the index had reached.
    pub reached: Position,
    /// The position as of which the page shows its resources.
    pub as_of: Position,
    /// What the client should know about the results, without what is parked.
    pub issues: Vec<Issue>,
    /// The resources of the types asked for that were parked when the query began or when it ended, in the version
    /// that answered it: the page may lack them, or hold them as they were.
    pub parked: Option<Issue>,
    /// The position up to which this process knew what is parked when the query began. Of an event after it, `parked`
    /// may say nothing.
    pub parked_known: Position,
}

impl SearchPage {
    /// A total alone, as of a position.
    pub(super) fn of_total(total: u64, reached: Position) -> Self {
        Self {
            matches: vec![],
            total: Some(total),
            next: None,
            previous: None,
            reached,
            as_of: reached,
            issues: vec![],
            parked: None,
            parked_known: Position::ZERO,
        }
    }
}
