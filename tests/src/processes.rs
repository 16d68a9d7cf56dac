//! Signals to processes, and their ends.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};
pub use rustix::process::Signal;
use rustix::process::{Pid, PidfdFlags, kill_process, kill_process_group, pidfd_open, pidfd_send_signal};

use crate::leaks::{is_alive, parent_of, state_of, until};

fn named(pid: u32) -> Pid {
    i32::try_from(pid).ok().and_then(Pid::from_raw).expect("the number of a process")
}

/// Sends a signal to a process that exists.
pub fn send(signal: Signal, pid: u32) {
    kill_process(named(pid), signal).expect("the process exists");
}

/// Sends a signal to every process of the group that this process leads.
pub fn send_to_group(signal: Signal, leader: u32) {
    kill_process_group(named(leader), signal).expect("the group exists");
}

/// Sends a signal to a child of this process that may be gone; whether it was there. It cannot hit a stranger that got
/// the child's number: the number is looked up once, and belonged to a child after that.
pub fn send_to_child(signal: Signal, pid: u32) -> bool {
    let Ok(child) = pidfd_open(named(pid), PidfdFlags::empty()) else { return false };
    parent_of(pid) == Some(std::process::id()) && is_alive(pid) && pidfd_send_signal(&child, signal).is_ok()
}

/// Stops a process, and waits until it stands still.
pub fn freeze(pid: u32) {
    send(Signal::STOP, pid);
    until("the process is stopped", || state_of(pid) == Some('T'));
}

/// Waits until a process does nothing but wait.
pub fn until_it_waits(pid: u32) {
    until("the process waits", || state_of(pid) == Some('S'));
}

/// Waits for the end of a process, which need not be a child.
pub async fn ended(pid: u32) {
    let watch: OwnedFd = match pidfd_open(named(pid), PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => return,
        watch => watch.expect("a descriptor of the process"),
    };
    let end = tokio::task::spawn_blocking(move || {
        while poll(&mut [PollFd::new(&watch, PollFlags::IN)], None) == Err(rustix::io::Errno::INTR) {}
    });
    end.await.expect("the end of a process is an event");
}
