//! The two flavours of tokio's runtime, each with a pool of its own, since a pool belongs to the runtime it was made
//! in.

use procpool::Pool;
use tokio::runtime::{Builder, Runtime};

use crate::Error;

/// A runtime and its pool, both in their default configuration.
pub(crate) struct Home {
    /// `mt` or `ct`, as it ends the names of variants.
    pub(crate) flavour: Flavour,
    pub(crate) runtime: Runtime,
    pub(crate) pool: Pool,
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
        let pool = runtime.block_on(async {
            let pool = Pool::new()?;
            pool.ready().await?;
            Ok::<_, Error>(pool)
        })?;
        Ok(Home { flavour, runtime, pool })
    }
}
