//! What the workloads play on.

use std::time::Duration;

use crate::Error;
use crate::helpers::Crew;
use crate::runtimes::Runtimes;

pub(crate) struct Stage {
    pub(crate) runtimes: Runtimes,
    pub(crate) crew: Crew,
}

impl Stage {
    /// `patience`: how long a helper may take for one answer.
    pub(crate) fn set(patience: Duration) -> Result<Self, Error> {
        Ok(Stage { runtimes: Runtimes::start()?, crew: Crew::new(patience) })
    }
}
