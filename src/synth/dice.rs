//! Randomness that gives the same numbers on every machine and in every version.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::bundle::Id;

/// A stream of pseudo-random numbers, fixed by a seed and the number of the stream.
///
/// Only integers and the four basic operations on `f64` are used, which IEEE 754 defines exactly; no
/// function of the platform's mathematical library takes part.
pub(super) struct Dice(ChaCha8Rng);

/// Marks the key as this generator's, so that other uses of the same seed share no numbers with it.
const KEY_TAG: &[u8; 24] = b"anamnesis synthetic data";

impl Dice {
    /// The stream `stream` of `seed`. Streams of one seed are independent of each other.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut key = [0_u8; 32];
        for (slot, byte) in key.iter_mut().zip(seed.to_le_bytes().into_iter().chain(KEY_TAG.iter().copied()))
        {
            *slot = byte;
        }
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(stream);
        Self(generator)
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        let wide = u64::from(self.0.next_u32()) * u64::from(bound);
        (wide >> 32) as u32
    }

    /// A number in `low..=high`; `low` when the range is empty.
    pub(super) fn between(&mut self, low: i32, high: i32) -> i32 {
        let width = high.saturating_sub(low).saturating_add(1).max(1);
        low.saturating_add(self.below(width.unsigned_abs()).cast_signed())
    }

    /// True in `per_mille` of a thousand cases.
    pub(super) fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < per_mille
    }

    /// A number from a bell curve around 0 with standard deviation 1, never beyond ±6.
    ///
    /// The sum of twelve uniform numbers, which needs no logarithm and no cosine.
    pub(super) fn bell(&mut self) -> f64 {
        let mut sum = 0_u32;
        for _ in 0..3 {
            let bits = self.0.next_u64();
            for shift in [0, 16, 32, 48] {
                sum += ((bits >> shift) & 0xFFFF) as u32;
            }
        }
        f64::from(sum) / 65_536.0 - 6.0
    }

    /// One of `items`, each as likely as the others.
    #[expect(clippy::indexing_slicing, reason = "the code tables are constants and never empty")]
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u32) as usize]
    }

    /// The place of one of `weights`, each as likely as its weight; `None` when all are 0.
    pub(super) fn weighted(&mut self, weights: impl Iterator<Item = u32> + Clone) -> Option<usize> {
        let total = weights.clone().sum();
        let mut left = self.below(total);
        if total == 0 {
            return None;
        }
        for (place, weight) in weights.enumerate() {
            if left < weight {
                return Some(place);
            }
            left -= weight;
        }
        None
    }

    /// A fresh identity, in the form of a random UUID (RFC 9562 version 4).
    pub(super) fn id(&mut self) -> Id {
        let mut bytes = [0_u8; 16];
        self.0.fill_bytes(&mut bytes);
        Id::new(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_repeatable_and_differ() {
        let draw = |seed, stream| {
            let mut dice = Dice::new(seed, stream);
            (0..8).map(|_| dice.below(1_000_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, 1), draw(1, 1));
        assert_ne!(draw(1, 1), draw(1, 2));
        assert_ne!(draw(1, 1), draw(2, 1));
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        let mut dice = Dice::new(7, 7);
        let mut seen = [false; 5];
        for _ in 0..2_000 {
            seen[dice.below(5) as usize] = true;
            assert!((-3..=3).contains(&dice.between(-3, 3)));
            assert!(dice.bell().abs() <= 6.0);
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!((dice.below(0), dice.between(4, 4), dice.weighted([0, 0].into_iter())), (0, 4, None));
    }

    #[test]
    fn the_bell_has_the_mean_and_width_it_promises() {
        let mut dice = Dice::new(3, 1);
        let numbers: Vec<f64> = (0..20_000).map(|_| dice.bell()).collect();
        let mean = numbers.iter().sum::<f64>() / 20_000.0;
        let variance = numbers.iter().map(|number| (number - mean) * (number - mean)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "mean {mean}, variance {variance}");
    }

    #[test]
    fn weights_decide_how_often_a_place_comes() {
        let mut dice = Dice::new(3, 2);
        let mut counts = [0_u32; 3];
        for _ in 0..4_000 {
            counts[dice.weighted([1, 0, 3].into_iter()).unwrap()] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((800..1_200).contains(&counts[0]), "{counts:?}");
    }
}
