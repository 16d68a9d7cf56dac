//! How many items are on their way.

use crate::pool::PoolHandle;

/// Fewer would leave workers idle whose results come out of order.
const LEAST: usize = 16;
/// For each worker: one in hand and some that wait, so that each finds its next one at once.
const A_WORKER: usize = 4;
/// Chunks for each worker: one in hand, one on its way.
const CHUNKS: usize = 2;

/// How many items may be on their way at a time, results that nobody has taken included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    /// As many as the workers want.
    Auto,
    Fixed(usize),
}

impl Window {
    /// The size just now. `chunk`: how many items a worker is given at a time, if that has been said.
    pub(super) fn size(self, pool: &PoolHandle, chunk: Option<usize>) -> usize {
        match self {
            Window::Fixed(items) => items,
            Window::Auto => {
                let chunk =
                    chunk.unwrap_or_else(|| pool.backend().batch_hint().max(pool.backend().lot_hint()) as usize);
                automatic(pool.max_workers() as usize, chunk)
            }
        }
    }
}

fn automatic(workers: usize, chunk: usize) -> usize {
    let a_worker = A_WORKER.max(chunk.saturating_mul(CHUNKS));
    workers.saturating_mul(a_worker).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_work_for_all_and_chunks_are_whole() {
        assert_eq!(automatic(1, 1), 16);
        assert_eq!(automatic(8, 1), 32);
        assert_eq!(automatic(8, 16), 256);
        assert_eq!(automatic(1, 1000), 2000);
        assert_eq!(automatic(4096, usize::MAX), usize::MAX);
    }
}
