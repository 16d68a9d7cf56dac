//! Looking before sleeping.

use std::time::Duration;

use crate::sys::cores;

/// For how long a worker may look for its next task.
const WORKER: Duration = Duration::from_micros(50);

/// Whether those who wait for each other look for a moment before they sleep; see
/// [`PoolBuilder::spin`](crate::PoolBuilder::spin).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Spin {
    /// Where it pays: not with more workers than processors, not under a processor quota, and less and less where looking
    /// has not found anything lately.
    #[default]
    Auto,
    /// Never.
    Off,
}

impl Spin {
    /// Whether a pool of so many workers does it.
    pub(crate) fn is_on(self, workers: u32) -> bool {
        match self {
            Spin::Off => false,
            Spin::Auto => cores::undivided().is_some_and(|cores| cores > 1 && workers as usize <= cores),
        }
    }

    /// How long its workers may look for their next task, in microseconds.
    pub(crate) fn worker_us(self, workers: u32) -> u32 {
        if self.is_on(workers) { WORKER.as_micros() as u32 } else { 0 }
    }
}
