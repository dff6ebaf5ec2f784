//! Random numbers from a seed that is printed, so that a failure can be had again.

/// A stream of numbers that depends on nothing but its seed (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// With the seed of `ANAMNESIS_TEST_SEED`, or one that is another each time.
    #[expect(clippy::disallowed_methods, reason = "whoever had a failure gives its seed")]
    pub(crate) fn of_this_run() -> Self {
        let given = std::env::var("ANAMNESIS_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(uuid::Uuid::new_v4().as_fields().0));
        println!("ANAMNESIS_TEST_SEED={seed}");
        Self(seed)
    }

    /// With this seed.
    pub(crate) fn of(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + usize::try_from(self.next() % (high - low + 1) as u64).unwrap()
    }

    /// Another stream.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }
}
