//! How long things took, as a distribution.

use std::fmt;
use std::time::Duration;

/// What is told apart at the low end: half a microsecond, as hdrhistogram rounds it down.
const LOWEST_NS: u64 = 1_000;
/// Longer times count as this: an hour.
const HIGHEST_NS: u64 = 3_600_000_000_000;
/// Two significant digits: what is told is at most one per cent off.
const DIGITS: u8 = 2;

/// How long things took: made by [`Pool::stats`](crate::Pool::stats).
///
/// Times are told to within one per cent, or half a microsecond where that is more; what took longer than an hour counts
/// as an hour. However many times were recorded, it takes 28 KiB (and nothing before the first one).
///
/// ```no_run
/// # fn f(pool: procpool::Pool) {
/// let waited = pool.stats().wait;
/// println!("{} tasks waited {:?} on average; one in a hundred longer than {:?}", waited.count(), waited.mean(), waited.quantile(0.99));
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Histogram {
    /// Made by the first record, so that pools that never run a task do not pay for it.
    times: Option<Box<hdrhistogram::Histogram<u64>>>,
}

impl Histogram {
    /// Enters a time. Takes memory the first time only.
    pub(crate) fn record(&mut self, time: Duration) {
        self.record_many(time, 1);
    }

    /// Enters the same time so many times.
    pub(crate) fn record_many(&mut self, time: Duration, count: u32) {
        if self.times.is_none() {
            // These bounds are valid ones; a histogram that could not be made would stay empty.
            self.times = hdrhistogram::Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, DIGITS).ok().map(Box::new);
        }
        if let Some(times) = &mut self.times {
            let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            times.saturating_record_n(time, u64::from(count));
        }
    }

    fn read(&self, read: impl FnOnce(&hdrhistogram::Histogram<u64>) -> u64) -> Duration {
        Duration::from_nanos(self.times.as_deref().map_or(0, read))
    }

    /// How many times were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.times.as_ref().map_or(0, |times| times.len())
    }

    /// The shortest; zero if there is none.
    #[must_use]
    pub fn min(&self) -> Duration {
        self.read(|times| times.min())
    }

    /// The longest; zero if there is none.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.read(|times| times.max())
    }

    /// The average; zero if there is none.
    #[must_use]
    pub fn mean(&self) -> Duration {
        self.read(|times| times.mean() as u64)
    }

    /// The time that this share of all, from 0 to 1, did not exceed: `quantile(0.5)` is the median, `quantile(0.99)` was
    /// exceeded by one in a hundred. Zero if there is none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        self.read(|times| times.value_at_quantile(share))
    }

    /// What was recorded since `earlier`, which was read from the same pool before.
    #[must_use]
    pub(super) fn since(&self, earlier: &Histogram) -> Histogram {
        let mut recent = self.clone();
        if let (Some(times), Some(earlier)) = (&mut recent.times, &earlier.times)
            && times.subtract(earlier.as_ref()).is_err()
        {
            // It has what this one has not: it is not earlier, or not the same pool's.
            return Histogram::default();
        }
        recent
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .field("min", &self.min())
            .field("mean", &self.mean())
            .field("p99", &self.quantile(0.99))
            .field("max", &self.max())
            .finish()
    }
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count() == 0 {
            return f.write_str("-");
        }
        let [p50, p99] = [0.5, 0.99].map(|share| self.quantile(share));
        write!(f, "p50 {p50:.1?}, p99 {p99:.1?}, max {:.1?}", self.max())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: impl IntoIterator<Item = Duration>) -> Histogram {
        let mut histogram = Histogram::default();
        times.into_iter().for_each(|time| histogram.record(time));
        histogram
    }

    fn assert_near(time: Duration, expected: Duration) {
        let off = time.abs_diff(expected);
        assert!(off <= (expected / 100).max(Duration::from_nanos(512)), "{time:?} for {expected:?}");
    }

    #[test]
    fn what_is_told_is_near_what_was_recorded() {
        for micros in [0, 1, 2, 17, 999, 12_345, 1_000_000, 77_777_777, 3_000_000_000] {
            let time = Duration::from_micros(micros);
            let histogram = of([time; 3]);
            assert_eq!(histogram.count(), 3);
            for told in [histogram.min(), histogram.mean(), histogram.quantile(0.5), histogram.max()] {
                assert_near(told, time);
            }
        }
        assert_near(of([Duration::MAX]).max(), Duration::from_secs(3600));
    }

    #[test]
    fn quantiles_are_shares_of_all() {
        let histogram = of((1..=1000).map(Duration::from_millis));
        assert_near(histogram.quantile(0.5), Duration::from_millis(500));
        assert_near(histogram.quantile(0.99), Duration::from_millis(990));
        assert_near(histogram.quantile(7.0), Duration::from_secs(1));
        assert_near(histogram.quantile(f64::NAN), Duration::from_millis(1));
        assert_near(histogram.mean(), Duration::from_micros(500_500));
    }

    #[test]
    fn an_empty_one_takes_no_memory_and_tells_zero() {
        let empty = Histogram::default();
        assert!(empty.times.is_none());
        assert_eq!((empty.count(), empty.max(), empty.quantile(0.5)), (0, Duration::ZERO, Duration::ZERO));
        assert_eq!(empty.to_string(), "-");
    }

    #[test]
    fn its_size_is_what_the_documentation_says() {
        let histogram = of([Duration::from_secs(1)]);
        let bytes = histogram.times.unwrap().distinct_values() * size_of::<u64>();
        assert!(bytes.div_ceil(1024) <= 28, "{bytes}");
    }

    #[test]
    fn a_difference_has_what_came_since() {
        let mut histogram = of([Duration::from_millis(1); 5]);
        let before = histogram.clone();
        histogram.record(Duration::from_millis(80));
        let recent = histogram.since(&before);
        assert_eq!(recent.count(), 1);
        assert_near(recent.min(), Duration::from_millis(80));
        assert_eq!(before.since(&histogram).count(), 0);
        assert_eq!(before.since(&Histogram::default()).count(), 5);
    }
}
