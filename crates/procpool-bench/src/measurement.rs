//! One figure of the benchmark.

use serde::{Deserialize, Serialize};

/// Who was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum System {
    #[serde(rename = "procpool")]
    Procpool,
    /// A pool that does not record how long tasks take: what the statistics cost.
    #[serde(rename = "procpool_without_timings")]
    WithoutTimings,
    #[serde(rename = "tokio_spawn_blocking")]
    SpawnBlocking,
    #[serde(rename = "procspawn")]
    Procspawn,
    /// Messages of the same types as procpool's; calls are made by hand of them.
    #[serde(rename = "ipc-channel")]
    IpcChannel,
    /// The same library's channel for bytes.
    #[serde(rename = "ipc-channel-bytes")]
    IpcChannelBytes,
    /// Python's `Pool`, and its `Queue`.
    #[serde(rename = "multiprocessing")]
    Multiprocessing,
    /// Python's `ProcessPoolExecutor`.
    #[serde(rename = "concurrent.futures")]
    Futures,
    #[serde(rename = "loky")]
    Loky,
    /// Between threads, without encoding: what no queue between processes reaches.
    #[serde(rename = "async_channel_threads")]
    AsyncChannel,
    /// What the machine itself needs: no library can be faster by the same means.
    #[serde(rename = "limit")]
    Limit,
    /// What it needs if both sides spin on shared memory.
    #[serde(rename = "limit_spinning")]
    LimitSpinning,
}

impl System {
    pub(crate) fn name(self) -> &'static str {
        match self {
            System::Procpool => "procpool",
            System::WithoutTimings => "procpool_without_timings",
            System::SpawnBlocking => "tokio_spawn_blocking",
            System::Procspawn => "procspawn",
            System::IpcChannel => "ipc-channel",
            System::IpcChannelBytes => "ipc-channel-bytes",
            System::Multiprocessing => "multiprocessing",
            System::Futures => "concurrent.futures",
            System::Loky => "loky",
            System::AsyncChannel => "async_channel_threads",
            System::Limit => "limit",
            System::LimitSpinning => "limit_spinning",
        }
    }

    /// Whether it needs a Python.
    pub(crate) fn is_python(self) -> bool {
        matches!(self, System::Multiprocessing | System::Futures | System::Loky)
    }
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Key {
    pub(crate) workload: &'static str,
    /// How; peers carry the variant of what they are compared with.
    pub(crate) variant: &'static str,
    pub(crate) system: System,
    pub(crate) metric: &'static str,
    pub(crate) unit: &'static str,
}

impl Key {
    /// Whether the two differ in nothing but the system.
    pub(crate) fn compares_with(&self, other: &Key) -> bool {
        (self.workload, self.variant, self.metric) == (other.workload, other.variant, other.metric)
    }
}

/// A figure over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Measurement {
    #[serde(flatten)]
    pub(crate) key: Key,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) rounds: usize,
}

impl Measurement {
    /// `None` if there are no samples.
    pub(crate) fn of(key: Key, samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Measurement { key, median, min, max, rounds: sorted.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key {
        workload: "W2",
        variant: "join_all-mt",
        system: System::SpawnBlocking,
        metric: "per_second",
        unit: "1/s",
    };

    #[test]
    fn a_median_of_an_even_number_lies_between() {
        let measurement = Measurement::of(KEY, &[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((measurement.min, measurement.median, measurement.max), (1.0, 2.5, 4.0));
        assert_eq!(Measurement::of(KEY, &[]), None);
    }

    #[test]
    fn systems_have_one_name() {
        let systems = [
            System::Procpool,
            System::WithoutTimings,
            System::SpawnBlocking,
            System::Procspawn,
            System::IpcChannel,
            System::IpcChannelBytes,
            System::Multiprocessing,
            System::Futures,
            System::Loky,
            System::AsyncChannel,
            System::Limit,
            System::LimitSpinning,
        ];
        for system in systems {
            assert_eq!(serde_json::to_value(system).unwrap(), system.name());
        }
    }

    #[test]
    fn json_has_the_agreed_fields() {
        let json = serde_json::to_value(Measurement::of(KEY, &[2.0]).unwrap()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "workload": "W2", "variant": "join_all-mt", "system": "tokio_spawn_blocking", "metric": "per_second",
                "unit": "1/s", "median": 2.0, "min": 2.0, "max": 2.0, "rounds": 1
            })
        );
    }
}
