//! Chance that can be repeated.

use std::time::{SystemTime, UNIX_EPOCH};

/// Set to a seed to repeat what a test printed.
const SEED: &str = "PROCPOOL_TEST_SEED";

/// A sequence of numbers that look random (SplitMix64), the same for the same seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A new sequence, whose seed is printed: a test that fails shows it, and repeats it when it is in
    /// `PROCPOOL_TEST_SEED`.
    #[must_use]
    pub fn new() -> Self {
        let given = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
        let seed = given.unwrap_or(now);
        eprintln!("to repeat: {SEED}={seed}");
        Random(seed)
    }

    /// The sequence of a seed that somebody else has taken.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Random(seed)
    }

    /// Another sequence, which this one decides.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Random(self.below(u64::MAX))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> Option<&'a T> {
        if among.is_empty() { None } else { among.get(self.below(among.len() as u64) as usize) }
    }
}

impl Default for Random {
    fn default() -> Self {
        Random::new()
    }
}
