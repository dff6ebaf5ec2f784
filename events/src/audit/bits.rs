//! A set of positions of a part of the log: one bit each.

use crate::Position;

/// A set of positions after one and up to another. A bit each: 120 MiB for a thousand million events.
#[derive(Debug, Clone, Default)]
pub struct Positions {
    after: u64,
    length: u64,
    words: Vec<u64>,
}

impl Positions {
    /// The empty set over the positions after `after` up to `until`.
    #[must_use]
    pub fn new(after: Position, until: Position) -> Self {
        let length = until.get().saturating_sub(after.get());
        let words = usize::try_from(length.div_ceil(64)).unwrap_or(usize::MAX);
        Self { after: after.get(), length, words: vec![0; words] }
    }

    /// Puts a position in. False when it was there before; positions outside of the range are not kept, and new.
    pub fn insert(&mut self, position: Position) -> bool {
        let Some((word, bit)) = self.place(position) else { return true };
        let Some(word) = self.words.get_mut(word) else { return true };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Whether a position is in.
    #[must_use]
    pub fn contains(&self, position: Position) -> bool {
        let word = self.place(position).and_then(|(word, bit)| Some(self.words.get(word)? & bit));
        word.is_some_and(|word| word != 0)
    }

    /// The positions that are not in, in order.
    pub fn missing(&self) -> impl Iterator<Item = Position> + '_ {
        // Whole words that are full are passed by at once.
        self.words.iter().zip(0_u64..).filter(|(word, _)| **word != u64::MAX).flat_map(|(word, at)| {
            let bits = (0..64).filter(move |bit| word & (1 << bit) == 0);
            let indexes = bits.map(move |bit| at * 64 + bit).filter(|index| *index < self.length);
            indexes.map(|index| Position::new(self.after + index + 1))
        })
    }

    /// The positions that are in, in order.
    pub fn iter(&self) -> impl Iterator<Item = Position> + '_ {
        let (words, after) = (self.words.iter().zip(0_u64..).filter(|(word, _)| **word != 0), self.after);
        words.flat_map(move |(word, at)| {
            let bits = (0..64).filter(move |bit| word & (1 << bit) != 0);
            bits.map(move |bit| Position::new(after + at * 64 + bit + 1))
        })
    }

    /// The positions that are in this set and not in another, in order.
    pub fn except<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Position> + 'a {
        self.iter().filter(|position| !other.contains(*position))
    }

    fn place(&self, position: Position) -> Option<(usize, u64)> {
        let index = position.get().checked_sub(self.after)?.checked_sub(1)?;
        (index < self.length).then_some(())?;
        Some((usize::try_from(index / 64).ok()?, 1 << (index % 64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_in_and_the_rest_is_missing() {
        let mut positions = Positions::new(Position::new(10), Position::new(210));
        for position in (11..=210).filter(|position| position % 67 != 0) {
            assert!(positions.insert(Position::new(position)));
            assert!(!positions.insert(Position::new(position)));
        }
        let missing: Vec<u64> = positions.missing().map(Position::get).collect();
        assert_eq!(missing, [67, 134, 201]);
        assert_eq!(positions.iter().count(), 197);
        let few = positions.iter().filter(|position| position.get() > 12);
        let mut others = Positions::new(Position::new(10), Position::new(210));
        few.for_each(|position| assert!(others.insert(position)));
        assert_eq!(positions.except(&others).map(Position::get).collect::<Vec<_>>(), [11, 12]);
        assert!(positions.contains(Position::new(11)) && !positions.contains(Position::new(67)));
        for outside in [0, 10, 211] {
            assert!(positions.insert(Position::new(outside)));
            assert!(!positions.contains(Position::new(outside)));
        }
    }
}
