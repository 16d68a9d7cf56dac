//! A benchmark that hangs says where, and ends.

use std::process;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// Watches over one step, until it is dropped.
pub(crate) struct Watch {
    _over: Sender<()>,
}

impl Watch {
    /// If the step takes longer than that, the program ends as failed. What it started ends with it.
    pub(crate) fn over(step: String, limit: Duration) -> Self {
        let (over, watched) = channel();
        thread::spawn(move || {
            if watched.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                eprintln!("procpool-bench: {step} still runs after {} s, so it hangs", limit.as_secs());
                process::exit(1);
            }
        });
        Watch { _over: over }
    }
}
