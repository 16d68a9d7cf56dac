//! How fast tasks are answered, and so how many of them a worker is to have in hand.

use std::time::Duration;

/// How much work a worker is given ahead. Long beside the 50 µs that it takes to wake a worker and to be woken by its
/// answer; short beside anything that a person, or another task, would notice.
pub(super) const AHEAD: Duration = Duration::from_millis(2);

/// What is to travel in lots takes less than this, in nanoseconds: by itself it would cost as much on its way.
const SHORT: u64 = 20_000;

/// How much work a lot is to be, in nanoseconds.
const LOT: u64 = 1_000_000;

/// A single task counts for at most this much, so that a long one among many short ones is soon forgotten.
const MOST: Duration = Duration::from_millis(10);

/// The weight of the last task, as a shift.
const WEIGHT: u32 = 3;

/// The mean time that tasks which may be handed over ahead have lately been at the front of a worker's hand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// In nanoseconds; `None` while nothing is known.
    mean: Option<u64>,
    /// Answers that were read together, and what they took together: one after the other they seem to take all or
    /// nothing.
    together: (u32, u64),
}

impl Pace {
    /// So many were answered that were handed over together, after so long for all of them.
    pub(super) fn took_all(&mut self, items: u32, time: Duration) {
        let (count, total) = self.together;
        let most = MOST.saturating_mul(items);
        let time = u64::try_from(time.min(most).as_nanos()).unwrap_or(u64::MAX);
        self.together = (count.saturating_add(items), total.saturating_add(time));
    }

    /// There are no more that were read with those.
    pub(super) fn settle(&mut self) {
        let (count, total) = std::mem::take(&mut self.together);
        let Some(time) = total.checked_div(u64::from(count)) else { return };
        // After so many of one kind nothing else counts.
        for _ in 0..count.min(8 << WEIGHT) {
            self.mean = Some(self.mean.map_or(time, |mean| mean - (mean >> WEIGHT) + (time >> WEIGHT)));
        }
    }

    /// How many items a lot is to have: 0 where they had better go by themselves, since they take long, or nothing is
    /// known.
    pub(super) fn lot(&self) -> u32 {
        match self.mean {
            Some(mean) if mean < SHORT => u32::try_from(LOT / mean.max(1)).unwrap_or(u32::MAX),
            _ => 0,
        }
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

    fn took(pace: &mut Pace, micros: u64) {
        pace.took_all(1, Duration::from_micros(micros));
        pace.settle();
    }

    #[test]
    fn the_depth_bridges_the_same_time_whatever_tasks_take() {
        let mut pace = Pace::default();
        assert_eq!(pace.depth(64), 1);
        for (time, depth) in [(3_000, 1), (900, 3), (95, 22), (48, 42), (0, 64)] {
            (0..100).for_each(|_| took(&mut pace, time));
            assert_eq!(pace.depth(64), depth, "{time} µs");
        }
    }

    #[test]
    fn one_long_task_is_soon_forgotten() {
        let mut pace = Pace::default();
        (0..100).for_each(|_| took(&mut pace, 2));
        took(&mut pace, 3_600_000_000);
        assert_eq!(pace.depth(64), 2);
        (0..32).for_each(|_| took(&mut pace, 2));
        assert_eq!(pace.depth(64), 64);
        assert_eq!(pace.depth(1), 1);
    }

    #[test]
    fn answers_that_are_read_together_share_the_time() {
        let (mut one_by_one, mut together) = (Pace::default(), Pace::default());
        for _ in 0..10 {
            together.took_all(1, Duration::from_millis(1));
            (0..9).for_each(|_| together.took_all(1, Duration::ZERO));
            together.settle();
            (0..10).for_each(|_| took(&mut one_by_one, 100));
        }
        assert_eq!(together.depth(64), one_by_one.depth(64));
    }
}
