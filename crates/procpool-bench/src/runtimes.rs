//! The two flavours of tokio's runtime, each with pools of its own, since a pool belongs to the runtime it was made in.

use procpool::Pool;
use tokio::runtime::{Builder, Runtime};

use crate::Error;

/// A runtime and its pool, both in their default configuration, and another pool beside it.
pub(crate) struct Home {
    /// `mt` or `ct`, as it ends the names of variants.
    pub(crate) flavour: Flavour,
    pub(crate) runtime: Runtime,
    pub(crate) pool: Pool,
    /// It does not record how long tasks take; idle while the other one is measured.
    pub(crate) untimed: Pool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    MultiThread,
    CurrentThread,
}

pub(crate) struct Runtimes {
    homes: [Home; 2],
}

impl Runtimes {
    /// Starts both, and waits until their workers are ready: what start-up costs is a workload of its own.
    pub(crate) fn start() -> Result<Self, Error> {
        Ok(Runtimes { homes: [Home::start(Flavour::MultiThread)?, Home::start(Flavour::CurrentThread)?] })
    }

    pub(crate) fn homes(&self) -> &[Home] {
        &self.homes
    }

    pub(crate) fn stop(self) -> Result<(), Error> {
        for home in self.homes {
            home.runtime.block_on(home.pool.shutdown())?;
            home.runtime.block_on(home.untimed.shutdown())?;
        }
        Ok(())
    }
}

impl Home {
    fn start(flavour: Flavour) -> Result<Self, Error> {
        let runtime = match flavour {
            Flavour::MultiThread => Builder::new_multi_thread().enable_all().build()?,
            Flavour::CurrentThread => Builder::new_current_thread().enable_all().build()?,
        };
        let (pool, untimed) = runtime.block_on(async {
            let (pool, untimed) = (Pool::new()?, Pool::builder().without_timings().build()?);
            pool.ready().await?;
            untimed.ready().await?;
            Ok::<_, Error>((pool, untimed))
        })?;
        Ok(Home { flavour, runtime, pool, untimed })
    }
}
