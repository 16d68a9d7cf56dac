//! Where workloads write what they measured, round by round.

use crate::measurement::{Key, Measurement, System};

/// All samples of a run; one a round for each [`Key`].
#[derive(Default)]
pub(crate) struct Book {
    /// In the order in which they first came, which is the order of the table.
    entries: Vec<(Key, Vec<f64>)>,
}

impl Book {
    pub(crate) fn add(&mut self, key: Key, value: f64) {
        match self.entries.iter_mut().find(|(known, _)| *known == key) {
            Some((_, samples)) => samples.push(value),
            None => self.entries.push((key, vec![value])),
        }
    }

    /// Adds the two figures of a workload that measures single calls, in microseconds.
    pub(crate) fn add_latencies(
        &mut self,
        workload: &'static str,
        variant: &'static str,
        system: System,
        mut latencies: Vec<f64>,
    ) {
        latencies.sort_unstable_by(f64::total_cmp);
        for (metric, share) in [("p50", 0.50), ("p99", 0.99)] {
            if let Some(value) = quantile(&latencies, share) {
                self.add(Key { workload, variant, system, metric, unit: "µs" }, value);
            }
        }
    }

    /// Adds the middle one of the values; nothing if there are none.
    pub(crate) fn add_median(&mut self, key: Key, values: &[f64]) {
        if let Some(measurement) = Measurement::of(key, values) {
            self.add(measurement.key, measurement.median);
        }
    }

    pub(crate) fn measurements(&self) -> Vec<Measurement> {
        self.entries.iter().filter_map(|(key, samples)| Measurement::of(key.clone(), samples)).collect()
    }
}

/// The value that this share of the sorted samples does not exceed (the nearest rank).
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&sorted, 0.5), Some(50.0));
        assert_eq!(quantile(&sorted, 0.99), Some(99.0));
        assert_eq!(quantile(&[7.0], 0.99), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn rounds_of_one_key_become_one_measurement() {
        let mut book = Book::default();
        for latencies in [[3.0, 1.0, 2.0], [30.0, 10.0, 20.0], [6.0, 4.0, 5.0]] {
            book.add_latencies("W1", "block_on-mt", System::Procpool, latencies.to_vec());
        }
        let measurements = book.measurements();
        assert_eq!(measurements.len(), 2);
        let p50 = &measurements[0];
        assert_eq!((p50.key.metric, p50.min, p50.median, p50.max, p50.rounds), ("p50", 2.0, 5.0, 20.0, 3));
    }
}
