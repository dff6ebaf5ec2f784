//! What a search asks of a resource: criteria, each a choice of atoms that the index can answer.

use super::span::SpanBox;

/// One thing that a resource has or has not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Atom {
    /// A hashed token among the resource's tokens.
    Token(i64),
    /// A span in a box.
    Span(SpanBox),
    /// A folded text of the family that begins so.
    Starts { key: i64, text: String },
    /// A folded text of the family that contains this.
    Contains { key: i64, text: String },
    /// The time of the last update, in microseconds, within closed limits.
    Recorded { low: i64, high: i64 },
}

/// How many resources a criterion is expected to leave: decides what the index is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Yield {
    /// About one resource, or one patient's.
    Few,
    /// Texts and dates that are closed on both sides.
    Some,
    /// A code that many resources share.
    Many,
    /// Half of the resources or more: nothing to start from.
    Most,
}

/// Any of the atoms, or none of them. Criteria are joined by AND.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Criterion {
    /// No atom at all: no resource can have it.
    pub(crate) any: Vec<Atom>,
    /// True: the resource must have none of the atoms.
    pub(crate) negated: bool,
    pub(crate) expected: Yield,
}

impl Criterion {
    pub(crate) fn any(atoms: Vec<Atom>, expected: Yield) -> Self {
        Self { any: atoms, negated: false, expected }
    }

    pub(crate) fn none_of(atoms: Vec<Atom>) -> Self {
        Self { any: atoms, negated: true, expected: Yield::Most }
    }

    /// The tokens, where the criterion consists of nothing else.
    pub(crate) fn tokens(&self) -> Option<Vec<i64>> {
        let token = |atom: &Atom| if let Atom::Token(token) = atom { Some(*token) } else { None };
        self.any.iter().map(token).collect()
    }
}
