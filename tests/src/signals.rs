//! Signals to workers, from outside.

use std::process::Command;

use crate::leaks::{state_of, until};

/// Sends a signal by name (`"KILL"`) to one process.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().expect("`kill` runs");
    assert!(status.success(), "process {pid} could not be sent {name}: {status}");
}

/// Stops a process, and waits until it stands still.
pub fn freeze(pid: u32) {
    signal(pid, "STOP");
    until("the process is stopped", || state_of(pid) == Some('T'));
}

/// Waits until a process does nothing but wait.
pub fn until_asleep(pid: u32) {
    until("the process waits", || state_of(pid) == Some('S'));
}
