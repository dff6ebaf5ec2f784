//! Searches of several types of which some can be seen as a whole and others in part: each of the two by itself, because
//! no one start is right for both. Where some rows of a type can be seen, a search starts from what they have.

use std::borrow::Cow;
use std::collections::HashSet;

use anamnesis_events::Position;

use super::SearchIndex;
use super::rows::Found;
use crate::ProjectionError;
use crate::search::atom::{Atom, Criterion};
use crate::search::sql::Window;

/// The types of a search, and what is asked of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) kinds: Cow<'a, [i32]>,
    pub(super) criteria: Cow<'a, [Criterion]>,
}

/// The parts of a search: one, or two where a criterion holds for all resources of some types.
pub(super) fn parts<'a>(kinds: &'a [i32], criteria: &'a [Criterion]) -> Vec<Part<'a>> {
    let whole = || vec![Part { kinds: Cow::Borrowed(kinds), criteria: Cow::Borrowed(criteria) }];
    let holds_for = |one: &Criterion| {
        let kind = |atom: &Atom| if let Atom::Kind(kind) = atom { Some(*kind) } else { None };
        let of_types: HashSet<i32> = one.any.iter().filter_map(kind).collect();
        let is_mixed = !one.negated && !one.implied && !of_types.is_empty();
        (is_mixed && of_types.len() < one.any.len()).then_some(of_types)
    };
    let Some((at, of_types)) = criteria.iter().enumerate().find_map(|(at, one)| Some((at, holds_for(one)?)))
    else {
        return whole();
    };
    let (all, some): (Vec<i32>, Vec<i32>) = kinds.iter().partition(|kind| of_types.contains(kind));
    if all.is_empty() || some.is_empty() {
        return whole();
    }
    let others = |index: usize| criteria.iter().enumerate().filter(move |(other, _)| *other != index);
    let of_all = others(at).map(|(_, one)| one.clone()).collect();
    let mut of_some: Vec<Criterion> = others(at).map(|(_, one)| one.clone()).collect();
    of_some.extend(criteria.get(at).into_iter().flat_map(|one| {
        let any = one.any.iter().filter(|atom| !matches!(atom, Atom::Kind(_))).cloned().collect();
        let left = Criterion { any, ..one.clone() };
        left.necessary().into_iter().chain([left])
    }));
    vec![
        Part { kinds: Cow::Owned(all), criteria: Cow::Owned(of_all) },
        Part { kinds: Cow::Owned(some), criteria: Cow::Owned(of_some) },
    ]
}

impl SearchIndex {
    /// The rows of all parts in one order, as of a position.
    pub(super) async fn rows_of_parts(
        &self,
        window: &Window<'_>,
        parts: &[Part<'_>],
        position: Position,
    ) -> Result<Found, ProjectionError> {
        let mut all: Option<Found> = None;
        for Part { kinds, criteria } in parts {
            let part = Window { kinds, criteria, ..window.clone() };
            let found = self.rows_of_joins(&part, position).await?;
            match &mut all {
                None => all = Some(found),
                Some(all) => {
                    all.incomplete |= found.incomplete;
                    all.reached = all.reached.min(found.reached);
                    all.add(found, window);
                }
            }
        }
        all.ok_or_else(|| self.unknown(window.tables))
    }

    /// The number of matches of all parts, and a position that it is of.
    pub(super) async fn count_of_parts(
        &self,
        window: &Window<'_>,
        parts: &[Part<'_>],
    ) -> Result<(u64, Position), ProjectionError> {
        let mut all: Option<(u64, Position)> = None;
        for Part { kinds, criteria } in parts {
            let part = Window { kinds, criteria, ..window.clone() };
            let (count, reached) = self.count(&part, None).await?;
            all = Some(all.map_or((count, reached), |(other, before)| (other + count, before.min(reached))));
        }
        all.ok_or_else(|| self.unknown(window.tables))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::atom::Yield;

    #[test]
    fn types_that_are_seen_as_a_whole_are_searched_apart() {
        let tokens = |all: &[i64]| all.iter().map(|token| Atom::Token(*token)).collect::<Vec<_>>();
        let code = Criterion::any(tokens(&[1]), Yield::Many);
        let clause = Criterion::any([tokens(&[7, 8]), vec![Atom::Kind(2)]].concat(), Yield::Few);
        let criteria = [code.clone(), clause.clone()];
        let kinds = [1, 2, 3];
        let parts = parts(&kinds, &criteria);
        let [whole, part] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!(
            (whole.kinds.as_ref(), whole.criteria.as_ref()),
            ([2].as_slice(), [code.clone()].as_slice())
        );
        assert_eq!(part.kinds.as_ref(), [1, 3]);
        assert_eq!(part.criteria.as_ref(), [code.clone(), Criterion::any(tokens(&[7, 8]), Yield::Few)]);
        for (kinds, criteria) in [
            (vec![2], vec![clause.clone()]),
            (vec![1, 3], vec![clause.clone()]),
            (vec![1, 2], vec![code]),
            (vec![1, 2], vec![Criterion { negated: true, ..clause }]),
            (vec![1, 2], vec![Criterion::any(vec![Atom::Kind(1)], Yield::Most)]),
        ] {
            assert_eq!(super::parts(&kinds, &criteria).len(), 1, "{kinds:?} {criteria:?}");
        }
    }
}
