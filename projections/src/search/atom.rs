//! What a search asks of a resource: criteria, each a choice of atoms that the index can answer.

use super::key::type_number;
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
    /// A place of the family within a distance of this one, whose degrees are in parts, see [`super::near`].
    Near { key: i64, latitude: i64, longitude: i64, millimetres: i64 },
    /// A resource of the type with this number.
    Kind(i32),
    /// All of these.
    All(Vec<Criterion>),
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

    /// This one or the other, for the same resources; both are negated, and then it is neither, or none of them.
    pub(crate) fn or(mut self, other: Self) -> Self {
        self.any.extend(other.any);
        self.expected = self.expected.max(other.expected);
        self
    }

    /// What is asked of resources of several types, of each by its own criterion. Keys have the type in them, so that
    /// the criteria can stand beside each other, unless some say what a resource must have and others what it must not.
    pub(crate) fn of_types(of_types: Vec<(&str, Self)>) -> Option<Self> {
        let negated = of_types.iter().filter(|(_, criterion)| criterion.negated).count();
        if negated == 0 || negated == of_types.len() {
            return of_types.into_iter().map(|(_, criterion)| criterion).reduce(Self::or);
        }
        let of_type = |(name, criterion): (&str, Self)| {
            let of_type = Self::any(vec![Atom::Kind(type_number(name))], Yield::Most);
            Atom::All(vec![of_type, criterion])
        };
        Some(Self::any(of_types.into_iter().map(of_type).collect(), Yield::Most))
    }

    /// The tokens, where the criterion consists of nothing else.
    pub(crate) fn tokens(&self) -> Option<Vec<i64>> {
        let token = |atom: &Atom| if let Atom::Token(token) = atom { Some(*token) } else { None };
        self.any.iter().map(token).collect()
    }

    /// A criterion of tokens that holds wherever this one does, where there is one: a search can start from it.
    pub(crate) fn necessary(&self) -> Option<Self> {
        if self.negated || self.any.is_empty() || self.tokens().is_some() {
            return None;
        }
        let of_atom = |atom: &Atom| match atom {
            Atom::Token(token) => Some(vec![*token]),
            Atom::All(all) => {
                let tokens = all.iter().filter(|one| !one.negated && !one.any.is_empty());
                tokens.filter(|one| one.tokens().is_some()).min_by_key(|one| one.expected)?.tokens()
            }
            _ => None,
        };
        let tokens: Vec<Vec<i64>> = self.any.iter().map(of_atom).collect::<Option<_>>()?;
        let atoms = tokens.into_iter().flatten().map(Atom::Token).collect();
        Some(Self::any(atoms, self.expected))
    }
}
