//! Signals to processes, and their ends.

use std::os::fd::OwnedFd;

pub use rustix::process::Signal;
use rustix::process::{Pid, PidfdFlags, kill_process, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

fn named(pid: u32) -> Pid {
    i32::try_from(pid).ok().and_then(Pid::from_raw).expect("the number of a process")
}

/// Sends a signal to a process that exists.
pub fn send(signal: Signal, pid: u32) {
    kill_process(named(pid), signal).expect("the process exists");
}

/// Waits for the end of a process, which need not be a child.
pub async fn ended(pid: u32) {
    let watch: OwnedFd = match pidfd_open(named(pid), PidfdFlags::NONBLOCK) {
        Err(rustix::io::Errno::SRCH) => return,
        watch => watch.expect("a descriptor of the process"),
    };
    let watch = AsyncFd::with_interest(watch, Interest::READABLE).expect("a pidfd can be polled");
    drop(watch.readable().await.expect("the end of a process is an event"));
}
