//! What a helper can be asked to do, and what it says. One JSON value a line, each way: the helper of Python speaks it,
//! too.

use serde::{Deserialize, Serialize};

use crate::measurement::System;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) system: System,
    #[serde(flatten)]
    pub(crate) work: Work,
}

/// What is to be measured. Pools have a worker a core unless another number is given here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
pub(crate) enum Work {
    /// Empty tasks, one at a time: the microseconds of each.
    Latency { calls: usize },
    /// Tiny tasks, one call for each, as many at once as the system bears: how many a second.
    Calls { tasks: u64 },
    /// Tiny tasks in one call for all of them, so often: how many a second.
    Map { tasks: u64, times: u64 },
    /// So many bytes there and back: the milliseconds of each call.
    Echo { bytes: usize, calls: usize },
    /// A new pool of two workers to its first result, under a parent in which so many MiB more are resident:
    /// milliseconds. A helper that is this program was started with them.
    Start { mib: usize },
    /// A fresh process for one call, from nothing to its result, under such a parent: milliseconds.
    Process { mib: usize },
    /// The only worker of a pool is killed in a task: the milliseconds from there to the error, and to the result of
    /// the next call. So many spare workers stand by.
    Death { spares: u32 },
    /// So many tasks that need this much processor time each: milliseconds for all together.
    Parallel { tasks: u64, millis: u64 },
    /// Makes a pool of two workers, uses both, and keeps it: nothing but `true`.
    Idle,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    Values(Vec<f64>),
    Error(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_what_the_script_of_python_reads_and_writes() {
        let request = Request { system: System::Futures, work: Work::Echo { bytes: 1024, calls: 3 } };
        let line = r#"{"system":"concurrent.futures","work":"echo","bytes":1024,"calls":3}"#;
        assert_eq!(serde_json::to_string(&request).unwrap(), line);
        assert_eq!(serde_json::from_str::<Request>(line).unwrap().work, request.work);
        assert_eq!(serde_json::from_str::<Reply>(r#"{"values": [1, 2.5]}"#).unwrap(), Reply::Values(vec![1.0, 2.5]));
    }
}
