//! How fast things end, as of late.

use std::time::Duration;

/// What happened so long ago counts about a third.
const MEMORY: Duration = Duration::from_secs(5);

/// Events a second, the newest counting most. Each event's weight fades by e in [`MEMORY`]; what has not been
/// observed yet is left out of the average, so that the first seconds are not taken for slow ones.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    weight: f64,
    /// When `weight` was right, counted from the beginning.
    at: Duration,
}

impl Rate {
    fn faded(&self, now: Duration) -> f64 {
        self.weight * (-now.saturating_sub(self.at).div_duration_f64(MEMORY)).exp()
    }

    /// One more, so long after the beginning.
    pub(super) fn count(&mut self, now: Duration) {
        self.count_many(now, 1);
    }

    /// So many more.
    pub(super) fn count_many(&mut self, now: Duration, count: u64) {
        self.weight = self.faded(now) + count as f64;
        self.at = self.at.max(now);
    }

    /// How many a second, so long after the beginning; 0 before the first.
    pub(super) fn per_second(&self, now: Duration) -> f64 {
        // At least a microsecond: what happened in no time happened infinitely fast.
        let observed = now.max(Duration::from_micros(1)).div_duration_f64(MEMORY);
        let full = -(-observed).exp_m1() * MEMORY.as_secs_f64();
        self.faded(now) / full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady(rate: &mut Rate, from: u64, to: u64, gap_ms: u64) {
        for ms in (from..to).step_by(gap_ms as usize) {
            rate.count(Duration::from_millis(ms + gap_ms));
        }
    }

    fn assert_near(seen: f64, wanted: f64) {
        assert!((seen - wanted).abs() < wanted * 0.05, "{seen}, not {wanted}");
    }

    #[test]
    fn it_is_right_from_the_first_second_on_and_follows_changes() {
        let mut rate = Rate::default();
        assert!(rate.per_second(Duration::from_secs(1)) < f64::EPSILON);
        steady(&mut rate, 0, 1_000, 10);
        assert_near(rate.per_second(Duration::from_secs(1)), 100.0);
        steady(&mut rate, 1_000, 60_000, 100);
        assert_near(rate.per_second(Duration::from_secs(60)), 10.0);
        // Nothing for a minute.
        assert!(rate.per_second(Duration::from_secs(120)) < 0.01);
    }

    #[test]
    fn what_comes_at_once_is_no_division_by_zero() {
        let mut rate = Rate::default();
        rate.count(Duration::ZERO);
        assert!(rate.per_second(Duration::ZERO).is_finite());
    }
}
