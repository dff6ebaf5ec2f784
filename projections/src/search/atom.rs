//! What a search asks of a resource: criteria, each a choice of atoms that the index can answer.

use std::hash::{Hash, Hasher};

use super::key::type_number;
use super::label::LabelsAtom;
use super::shelf::Shelf;
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
    /// A folded text of the family that is this.
    Is { key: i64, text: String },
    /// A folded text of the family that contains this.
    Contains { key: i64, text: String },
    /// One of some labels.
    Labels(LabelsAtom),
    /// The time of the last update, in microseconds, within closed limits.
    Recorded { low: i64, high: i64 },
    /// A place of the family within a distance of this one, whose degrees are in parts, see [`super::near`].
    Near { key: i64, latitude: i64, longitude: i64, millimetres: i64 },
    /// A resource of the type with this number.
    Kind(i32),
    /// All of these.
    All(Vec<Criterion>),
    /// What another resource has.
    Join(Join),
}

/// Another resource, which the resource refers to or which refers to it, and what is asked of that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Join {
    /// True: the other one refers to the resource (`_has`). False: the resource refers to the other one (a chain).
    pub(crate) reverse: bool,
    /// The numbers of the parameters that the reference is one of, see [`super::key::ParameterKey::references`]; none for
    /// whatever reference.
    pub(crate) parameters: Vec<i64>,
    /// The other one's types, by number.
    pub(crate) kinds: Vec<i32>,
    pub(crate) criteria: Vec<Criterion>,
    /// Where the other one stands; `None` for anywhere, as queries ask.
    pub(crate) shelf: Option<Shelf>,
    /// That the other one can be seen.
    pub(crate) seen: Seen,
    /// The other one as it was at this position. Not part of the question.
    pub(crate) as_of: Option<i64>,
}

/// That a row can be seen by whoever asks, by the shelf on which it stands; nothing where all can.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) standing: Vec<Criterion>,
    pub(crate) contained: Vec<Criterion>,
}

impl Hash for Join {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.reverse, &self.parameters, &self.kinds, &self.criteria, self.shelf, &self.seen).hash(hasher);
    }
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
    /// The other criteria say it already: it is of use for what a search starts from, and no row is tested for it.
    pub(crate) implied: bool,
}

impl Criterion {
    pub(crate) fn any(atoms: Vec<Atom>, expected: Yield) -> Self {
        Self { any: atoms, negated: false, expected, implied: false }
    }

    /// Any of the tokens, which other criteria say already.
    pub(crate) fn implied(mut tokens: Vec<i64>, expected: Yield) -> Self {
        tokens.sort_unstable();
        tokens.dedup();
        Self { implied: true, ..Self::any(tokens.into_iter().map(Atom::Token).collect(), expected) }
    }

    pub(crate) fn none_of(atoms: Vec<Atom>) -> Self {
        Self { any: atoms, negated: true, expected: Yield::Most, implied: false }
    }

    /// All criteria of one of these lists.
    pub(crate) fn any_of(any: Vec<Vec<Self>>) -> Self {
        let (mut atoms, mut expected) = (Vec::new(), Yield::Few);
        for mut all in any {
            match all.as_slice() {
                [one] if !one.negated => {
                    expected = expected.max(one.expected);
                    atoms.append(&mut all.remove(0).any);
                }
                _ => {
                    expected = Yield::Most;
                    atoms.push(Atom::All(all));
                }
            }
        }
        Self::any(atoms, expected)
    }

    /// Not all of these criteria.
    pub(crate) fn not_all(mut all: Vec<Self>) -> Self {
        match all.as_slice() {
            [one] if !one.negated => Self::none_of(all.remove(0).any),
            _ => Self::none_of(vec![Atom::All(all)]),
        }
    }

    /// All of these criteria, as one.
    pub(crate) fn all(mut all: Vec<Self>) -> Self {
        let expected = all.iter().map(|one| one.expected).min().unwrap_or(Yield::Most);
        match all.len() {
            1 => all.remove(0),
            _ => Self::any(vec![Atom::All(all)], expected),
        }
    }

    /// The criteria that it is all of, where it is no more than that.
    pub(crate) fn apart(mut self) -> Vec<Self> {
        match self.any.as_mut_slice() {
            [Atom::All(all)] if !self.negated => std::mem::take(all),
            _ => vec![self],
        }
    }

    /// This one or the other, for the same resources; both are negated, and then it is neither, or none of them. Joins that
    /// differ in the parameter only become one.
    pub(crate) fn or(mut self, other: Self) -> Self {
        for atom in other.any {
            let Atom::Join(join) = &atom else {
                self.any.push(atom);
                continue;
            };
            let is_alike = |known: &&mut Join| {
                !known.parameters.is_empty()
                    && (known.reverse, &known.kinds, &known.criteria)
                        == (join.reverse, &join.kinds, &join.criteria)
            };
            let joins = self.any.iter_mut().filter_map(|atom| match atom {
                Atom::Join(known) => Some(known),
                _ => None,
            });
            match { joins }.find(is_alike) {
                Some(known) => known.parameters.extend(&join.parameters),
                None => self.any.push(atom),
            }
        }
        self.expected = self.expected.max(other.expected);
        self
    }

    /// What is asked of resources of several types, of each by its own criterion. Keys have the type in them, so that
    /// the criteria can stand beside each other, unless some say what a resource must have and others what it must not.
    pub(crate) fn of_types(of_types: Vec<(&str, Self)>) -> Option<Self> {
        let negated = of_types.iter().filter(|(_, criterion)| criterion.negated).count();
        let is_plain = !of_types.iter().any(|(_, criterion)| criterion.negates_within());
        // Of one type the search is of that type alone, and can start from what stands within.
        if of_types.len() == 1 || is_plain && (negated == 0 || negated == of_types.len()) {
            return of_types.into_iter().map(|(_, criterion)| criterion).reduce(Self::or);
        }
        let of_type = |(name, criterion): (&str, Self)| {
            let of_type = Self::any(vec![Atom::Kind(type_number(name))], Yield::Most);
            Atom::All(vec![of_type, criterion])
        };
        Some(Self::any(of_types.into_iter().map(of_type).collect(), Yield::Most))
    }

    /// Whether something in it asks for what a resource must not have: a resource of any type could have it.
    fn negates_within(&self) -> bool {
        let of_atom = |atom: &Atom| match atom {
            Atom::All(all) => all.iter().any(|one| one.negated || one.negates_within()),
            _ => false,
        };
        self.any.iter().any(of_atom)
    }

    /// The atoms of the criterion, those of joined resources included.
    pub(crate) fn atoms(&self) -> usize {
        let of_atom = |atom: &Atom| match atom {
            Atom::All(criteria) => criteria.iter().map(Self::atoms).sum(),
            Atom::Join(join) => 1 + join.criteria.iter().map(Self::atoms).sum::<usize>(),
            _ => 1,
        };
        self.any.iter().map(of_atom).sum()
    }

    /// The joins of the criterion, those within others included.
    pub(crate) fn joins(&self) -> usize {
        let inner = |atom: &Atom| match atom {
            Atom::All(criteria) => criteria.iter().map(Self::joins).sum(),
            Atom::Join(join) => 1 + join.criteria.iter().map(Self::joins).sum::<usize>(),
            _ => 0,
        };
        self.any.iter().map(inner).sum()
    }

    /// Whether something has to be looked up before the criterion can be asked for: what other resources have, or labels.
    pub(crate) fn is_looked_up(&self) -> bool {
        self.any.iter().any(|atom| match atom {
            Atom::Join(_) | Atom::Labels(_) => true,
            Atom::All(criteria) => criteria.iter().any(Self::is_looked_up),
            _ => false,
        })
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
        Some(Self::implied(tokens.into_iter().flatten().collect(), self.expected))
    }
}
