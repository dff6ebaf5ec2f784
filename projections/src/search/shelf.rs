//! The two shelves of the index: resources that stand for themselves, and resources that others contain.
//!
//! Contained resources have tables of their own, of the same form, so that a search that does not ask for them never
//! meets one and pays nothing for them. What stands at one position of the log may contain many: there a row's `seq`
//! is the position of the container, shifted, with the place among the contained ones behind it, so that rows are in
//! the order of the log and each has its own.

use anamnesis_events::Position;

use crate::checkpoint::{number, unsigned};

/// Bits of a place among the contained resources. Positions up to 2^43 are left: those of centuries.
const PLACE_BITS: u32 = 20;
/// The bits of the place.
const PLACE_MASK: i64 = (1 << PLACE_BITS) - 1;
/// Contained resources of one container that are indexed, all written by one transaction. Records have some dozen.
pub(crate) const CONTAINED_MAX: usize = 100_000;

/// Which resources a table is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Shelf {
    /// Those that stand for themselves.
    Standing,
    /// Those that others contain.
    Contained,
}

impl Shelf {
    /// What the names of its tables begin with.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Standing => "",
            Self::Contained => "contained_",
        }
    }

    /// As what this shelf holds a position until which rows were true; before the first `seq` that came with it.
    pub(crate) fn first(self, position: Position) -> i64 {
        match self {
            Self::Standing => number(position),
            Self::Contained => seq_of(position, 0),
        }
    }

    /// The last `seq` that a row of this position can have.
    pub(crate) fn last(self, position: Position) -> i64 {
        match self {
            Self::Standing => number(position),
            Self::Contained => seq_of(position, 0) | PLACE_MASK,
        }
    }

    /// In SQL: the rows `row` of this shelf that came with the position in this column.
    pub(crate) fn came_with(self, row: &str, position: &str) -> String {
        match self {
            Self::Standing => format!("{row}.seq = {position}"),
            Self::Contained => format!(
                "{row}.seq BETWEEN {position} << {PLACE_BITS} AND ({position} << {PLACE_BITS}) | {PLACE_MASK}"
            ),
        }
    }

    /// [`Self::first`] in SQL.
    pub(crate) fn until(self, position: &str) -> String {
        match self {
            Self::Standing => position.to_owned(),
            Self::Contained => format!("({position} << {PLACE_BITS})"),
        }
    }

    /// In SQL: the position in the log of what this shelf holds as a `seq` or as an `until`.
    pub(crate) fn position(self, seq: &str) -> String {
        match self {
            Self::Standing => seq.to_owned(),
            Self::Contained => format!("({seq} >> {PLACE_BITS})"),
        }
    }
}

/// The `seq` of a contained resource, or with the place 0 where its container stands among the contained ones.
pub(crate) fn seq_of(position: Position, place: i64) -> i64 {
    number(position).saturating_mul(1 << PLACE_BITS).saturating_add(place)
}

/// The same of the `seq` of what stands for itself.
pub(crate) fn among_contained(seq: i64) -> i64 {
    seq.saturating_mul(1 << PLACE_BITS)
}

/// The position and the place that a `seq` is made of.
pub(crate) fn apart(seq: i64) -> (Position, i64) {
    (Position::new(unsigned(seq >> PLACE_BITS)), seq & PLACE_MASK)
}

/// The beginning and the end of what came with the same position.
pub(crate) fn ends(seq: i64) -> (i64, i64) {
    (seq & !PLACE_MASK, seq | PLACE_MASK)
}

/// The `seq` among those that stand for themselves that has the same before it and behind it as this one.
pub(crate) fn among_standing(seq: i64, is_ascending: bool) -> i64 {
    let (first, _) = ends(seq);
    // What has this position itself comes before its first contained resource where the order ascends, and after it
    // where it does not.
    let beyond = i64::from(!is_ascending && seq != first);
    (seq >> PLACE_BITS) + beyond
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seq_is_taken_apart_again() {
        for (position, place) in [(1, 1), (7, 0), (1 << 42, PLACE_MASK)] {
            let seq = seq_of(Position::new(position), place);
            assert_eq!(apart(seq), (Position::new(position), place));
        }
        assert_eq!(seq_of(Position::new(u64::MAX), 1), i64::MAX);
    }

    #[test]
    fn both_shelves_have_the_same_before_a_place() {
        let seqs: Vec<i64> =
            (1..4).flat_map(|at| (0..3).map(move |place| seq_of(Position::new(at), place))).collect();
        for seq in seqs {
            for standing in 0..5 {
                let other = among_contained(standing);
                assert_eq!(other > seq, standing > among_standing(seq, true), "{seq} {standing}");
                assert_eq!(other < seq, standing < among_standing(seq, false), "{seq} {standing}");
            }
        }
    }
}
