//! The ends of processes.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Waits for the end of a process, which need not be a child.
pub async fn ended(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("the number of a process");
    let watch = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return,
        watch => watch.expect("a descriptor of the process"),
    };
    // On a thread of its own: tokio can register a foreign descriptor in unsafe code only.
    let wait = move || poll(&mut [PollFd::new(&watch, PollFlags::IN)], None);
    tokio::task::spawn_blocking(wait).await.expect("it does not panic").expect("the end of a process is an event");
}
