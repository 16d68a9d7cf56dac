//! The thread pool of tokio.

use std::time::Instant;

use tokio::runtime::Builder;

use super::tasks::{burn, millis_since};
use crate::Error;

pub(crate) struct Threads;

impl Threads {
    pub(crate) fn parallel(&self, tasks: u64, millis: u64) -> Result<Vec<f64>, Error> {
        let runtime = Builder::new_multi_thread().enable_all().max_blocking_threads(super::cores()).build()?;
        runtime.block_on(async {
            let start = Instant::now();
            let handles: Vec<_> =
                (0..tasks).map(|_| tokio::task::spawn_blocking(move || burn(millis * 1000))).collect();
            for handle in handles {
                handle.await?;
            }
            Ok(vec![millis_since(start)])
        })
    }
}
