//! What the workloads play on.

use crate::Error;
use crate::helpers::Crew;
use crate::runtimes::Runtimes;

pub(crate) struct Stage {
    pub(crate) runtimes: Runtimes,
    pub(crate) crew: Crew,
}

impl Stage {
    pub(crate) fn set() -> Result<Self, Error> {
        Ok(Stage { runtimes: Runtimes::start()?, crew: Crew::new() })
    }
}
