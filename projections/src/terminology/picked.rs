//! Some of the concepts of an order: a bit for each, 44 kB for 350,000.

/// Numbers of concepts out of an order of so many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picked(Vec<u64>);

const BITS: usize = u64::BITS as usize;

impl Picked {
    /// None of so many.
    pub(super) fn none(len: usize) -> Self {
        Self(vec![0; len.div_ceil(BITS)])
    }

    /// All of so many.
    pub(super) fn all(len: usize) -> Self {
        let mut all = Self(vec![u64::MAX; len.div_ceil(BITS)]);
        if let (Some(last), rest @ 1..) = (all.0.last_mut(), len % BITS) {
            *last = (1 << rest) - 1;
        }
        all
    }

    /// These numbers, all below `len`.
    pub(super) fn of(len: usize, numbers: impl IntoIterator<Item = u32>) -> Self {
        let mut picked = Self::none(len);
        for number in numbers {
            picked.insert(number);
        }
        picked
    }

    /// Adds a number; whether it was not there and there is room for it.
    pub(super) fn insert(&mut self, number: u32) -> bool {
        let (index, bit) = place(number);
        let Some(word) = self.0.get_mut(index) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Takes a number away.
    pub(super) fn remove(&mut self, number: u32) {
        let (index, bit) = place(number);
        if let Some(word) = self.0.get_mut(index) {
            *word &= !bit;
        }
    }

    /// Leaves those that are in the other as well.
    pub(super) fn keep(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= other;
        }
    }

    /// Takes those away that are in the other.
    pub(super) fn drop(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= !other;
        }
    }

    /// Whether a number is among them.
    pub(super) fn has(&self, number: u32) -> bool {
        let (index, bit) = place(number);
        self.0.get(index).is_some_and(|word| word & bit != 0)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The numbers behind the first `offset` ones, `count` of them at most.
    pub(super) fn page(&self, (offset, count): (usize, usize)) -> Vec<u32> {
        let (mut passed, mut page) = (0, Vec::new());
        for (first, word) in (0_u32..).step_by(BITS).zip(&self.0) {
            let ones = word.count_ones() as usize;
            if passed + ones <= offset {
                passed += ones;
                continue;
            }
            for bit in (0..u64::BITS).filter(|bit| word >> bit & 1 == 1) {
                if passed >= offset && page.len() < count {
                    page.push(first + bit);
                }
                passed += 1;
            }
            if page.len() >= count {
                break;
            }
        }
        page
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.0.len() * size_of::<u64>()
    }
}

fn place(number: u32) -> (usize, u64) {
    (number as usize / BITS, 1 << (number as usize % BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_over_the_ends_of_words() {
        let numbers: Vec<u32> = (0..1_000).filter(|number| number % 7 == 0 || number % 64 > 60).collect();
        let picked = Picked::of(1_000, numbers.clone());
        assert_eq!(picked.count(), numbers.len());
        for count in [1, 3, 64, 2_000] {
            let pages = (0..numbers.len()).step_by(count).flat_map(|offset| picked.page((offset, count)));
            assert_eq!(pages.collect::<Vec<_>>(), numbers, "pages of {count}");
        }
        for window in [(numbers.len(), 5), (0, 0), (usize::MAX, usize::MAX)] {
            assert!(picked.page(window).is_empty(), "{window:?}");
        }
    }

    #[test]
    fn what_is_in_both_is_kept() {
        let (mut even, third) = (Picked::of(200, (0..200).step_by(2)), Picked::of(200, (0..200).step_by(3)));
        even.keep(&third);
        assert_eq!(even, Picked::of(200, (0..200).step_by(6)));
        even.remove(0);
        assert!(!even.insert(6) && even.insert(7) && !even.insert(1_000));
        assert_eq!(even.page((0, 3)), [6, 7, 12]);
        assert_eq!(even.bytes(), 32);
        assert!(even.has(7) && !even.has(8) && !even.has(1_000));
        even.drop(&Picked::of(200, [6, 7, 8]));
        assert_eq!(even.page((0, 1)), [12]);
    }

    #[test]
    fn all_are_as_many_as_there_are() {
        for len in [0, 1, 63, 64, 65, 128, 130] {
            assert_eq!(Picked::all(len), Picked::of(len, 0..u32::try_from(len).unwrap()), "{len}");
        }
    }
}
