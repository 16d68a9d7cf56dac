//! How fast tasks are answered, and so how many of them a worker is to have in hand.

use std::time::Duration;

/// How much work a worker is given ahead. Long beside the 50 µs that it takes to wake a worker and to be woken by its
/// answer; short beside anything that a person, or another task, would notice.
pub(super) const AHEAD: Duration = Duration::from_millis(2);

/// A single task counts for at most this much, so that a long one among many short ones is soon forgotten.
const MOST: Duration = Duration::from_millis(10);

/// The weight of the last task, as a shift.
const WEIGHT: u32 = 3;

/// The mean time that tasks which may be handed over ahead have lately been at the front of a worker's hand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// In nanoseconds; `None` while nothing is known.
    mean: Option<u64>,
}

impl Pace {
    /// One more was answered, so long after its turn had come.
    pub(super) fn took(&mut self, time: Duration) {
        // At most ten million, so it fits.
        let time = time.min(MOST).as_nanos() as u64;
        self.mean = Some(self.mean.map_or(time, |mean| mean - (mean >> WEIGHT) + (time >> WEIGHT)));
    }

    /// How many a worker may have in hand, the one that it runs included: 1 while nothing is known, and where tasks take
    /// longer than the time to be bridged.
    pub(super) fn depth(&self, most: u32) -> u32 {
        let Some(mean) = self.mean else { return 1 };
        let ahead = AHEAD.as_nanos() as u64 / mean.max(1);
        u32::try_from(ahead).unwrap_or(u32::MAX).saturating_add(1).min(most).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_bridges_the_same_time_whatever_tasks_take() {
        let mut pace = Pace::default();
        assert_eq!(pace.depth(64), 1);
        for (time, depth) in [(3_000, 1), (900, 3), (95, 22), (48, 42), (0, 64)] {
            (0..100).for_each(|_| pace.took(Duration::from_micros(time)));
            assert_eq!(pace.depth(64), depth, "{time} µs");
        }
    }

    #[test]
    fn one_long_task_is_soon_forgotten() {
        let mut pace = Pace::default();
        (0..100).for_each(|_| pace.took(Duration::from_micros(2)));
        pace.took(Duration::from_secs(3600));
        assert_eq!(pace.depth(64), 2);
        (0..32).for_each(|_| pace.took(Duration::from_micros(2)));
        assert_eq!(pace.depth(64), 64);
        assert_eq!(pace.depth(1), 1);
    }
}
