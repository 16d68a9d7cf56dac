//! The seed of it all: Python's pools. Their helper is a small script.

use std::process::{Command, Stdio};

use crate::Error;
use crate::helpers::Helper;

const SCRIPT: &str = include_str!("python.py");

/// A Python that has what is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Python {
    pub(crate) program: &'static str,
    /// Whether it has loky, too.
    pub(crate) loky: bool,
}

impl Python {
    /// `None` where there is none.
    pub(crate) fn find() -> Option<Self> {
        let program = "python3";
        let standard = "import concurrent.futures.process, multiprocessing.queues, multiprocessing.synchronize";
        can(program, standard).then(|| Python { program, loky: can(program, "import loky") })
    }

    pub(crate) fn helper(self) -> Result<Helper, Error> {
        Helper::start(Command::new(self.program).args(["-c", SCRIPT]))
    }
}

fn can(program: &str, script: &str) -> bool {
    let mut python = Command::new(program);
    python.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::helpers::{Request, Work};
    use crate::measurement::System;

    #[test]
    fn its_pools_do_all_that_they_are_asked_for() {
        let Some(python) = Python::find() else { return };
        let mut helper = python.helper().unwrap();
        let works = [
            (Work::Latency { calls: 3 }, 3),
            (Work::Calls { tasks: 3 }, 1),
            (Work::Map { tasks: 3, times: 2 }, 1),
            (Work::Echo { bytes: 1024, calls: 2 }, 2),
            (Work::Start { mib: 1 }, 1),
            (Work::Parallel { tasks: 2, millis: 1 }, 1),
            (Work::Idle, 0),
        ];
        let mut ask = |system, work| helper.ask(&Request { system, work }, Duration::from_secs(60));
        for (work, values) in works {
            for system in [System::Multiprocessing, System::Futures] {
                assert_eq!(ask(system, work).unwrap().len(), values, "{system:?} {work:?}");
            }
        }
        assert_eq!(ask(System::Multiprocessing, Work::Process { mib: 1 }).unwrap().len(), 1);
        assert_eq!(ask(System::Futures, Work::Death { spares: 0 }).unwrap().len(), 2);
        assert!(ask(System::Multiprocessing, Work::Death { spares: 0 }).is_err());
    }
}
