//! Chance that can be had again: each lane of each round has its own, so that no lane's draws depend on another's speed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub(crate) struct Chance(StdRng);

impl Chance {
    pub(crate) fn new(seed: u64, lane: u64, round: u64) -> Chance {
        let mut key = [0; 32];
        for (place, part) in key.chunks_exact_mut(8).zip([seed, lane, round, 0x50a6]) {
            place.copy_from_slice(&part.to_le_bytes());
        }
        Chance(StdRng::from_seed(key))
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.random_range(0..end)
    }

    /// Once in so many times.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Up to so long.
    pub(crate) fn time(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.below(most.as_micros() as u64 + 1))
    }

    /// One of these, by their weights.
    pub(crate) fn one_of<T: Copy>(&mut self, weights: &[(u64, T)]) -> T {
        let mut at = self.below(weights.iter().map(|(weight, _)| weight).sum());
        for (weight, what) in weights {
            if at < *weight {
                return *what;
            }
            at -= weight;
        }
        unreachable!("a number below the sum")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_chance_to_the_same_lane() {
        let draw = |seed, lane, round| {
            let mut chance = Chance::new(seed, lane, round);
            (0..20).map(|_| chance.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, 2, 3), draw(1, 2, 3));
        for other in [draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4)] {
            assert_ne!(draw(1, 2, 3), other);
        }
    }

    #[test]
    fn weights_are_kept_to() {
        let mut chance = Chance::new(0, 0, 0);
        let drawn: Vec<_> = (0..4000).map(|_| chance.one_of(&[(3, 'a'), (0, 'b'), (1, 'c')])).collect();
        let count = |wanted| drawn.iter().filter(|one| **one == wanted).count();
        assert!(count('b') == 0 && (2800..3200).contains(&count('a')));
    }
}
