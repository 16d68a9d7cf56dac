//! What programs and C libraries do to a process that a pool lives in, or that a task runs in.

use std::process::{Child, Command, Stdio};

use rustix::process::{WaitOptions, wait};

use crate::gate::visit;
use crate::tasks::spin;

/// Forks without exec: a process that holds every descriptor that this one holds, and does nothing until it is killed.
#[must_use]
pub fn fork_a_holder() -> u32 {
    #[expect(unsafe_code, reason = "forking without exec, as some C libraries do")]
    // SAFETY: the child of a process with several threads calls nothing but `pause`, which needs no lock.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            loop {
                libc::pause();
            }
        }
        u32::try_from(pid).expect("fork works")
    }
}

/// Declares that this program's children are nobody's business: the kernel collects them.
pub fn ignore_children() {
    #[expect(unsafe_code, reason = "dispositions are libc's")]
    // SAFETY: no handler is installed, so nothing can run at a bad moment.
    let former = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    assert_ne!(former, libc::SIG_ERR);
}

/// Collects whichever child ends next, whoever it belongs to; its number, or `None` where there is no child.
#[must_use]
pub fn reap_any_child() -> Option<u32> {
    let (pid, _) = wait(WaitOptions::empty()).ok().flatten()?;
    Some(pid.as_raw_nonzero().get().unsigned_abs())
}

/// Closes every descriptor but the standard ones, whoever owns it.
pub fn close_everything() {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers: Vec<i32> = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|&number| number > 2) {
        #[expect(unsafe_code, reason = "closing what others own, as some C libraries do")]
        // SAFETY: others find their descriptors closed, on purpose, in a process that is meant to end for it.
        unsafe {
            libc::close(number);
        }
    }
}

/// A program that does nothing, and ends of nothing but signals.
#[must_use]
pub fn start_idler() -> Child {
    Command::new("tail").args(["-f", "/dev/null"]).stdin(Stdio::null()).spawn().expect("`tail` runs")
}

/// Starts something, tells of it at the gate, and never ends. It may close all descriptors in between.
pub fn start_something_and_spin(gate: String, closes: bool) {
    let started = start_idler().id();
    // First, while it is still sure to live: whoever closes every descriptor may be found out and killed at once.
    visit(gate, u64::from(started));
    if closes {
        close_everything();
    }
    spin();
}
