//! The thread that sees the parent die.
//!
//! The main thread may be in a loop that never looks at anything, so this one waits, for two things at once:
//!
//! - **The end of the parent's process**, by a pidfd. The socket's end would not tell: something that the parent forked
//!   without exec may hold the parent's end of it (seen).
//! - **The end of the connection**, by `RDHUP`: a parent that has let go of this worker while it lives.
//!
//! `PR_SET_PDEATHSIG` would do neither: it fires when the *thread* that spawned us ends, is lost when the parent was
//! dead already, and spares what this worker has started.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use crate::sys::signals::SignalMask;
use crate::sys::{poll, process};

/// Little is called here, and only half of a page is used; the rest is for what static thread-locals of C libraries
/// take out of every stack.
const STACK: usize = 256 * 1024;

/// A pidfd of the parent, which is known to be the process with this number. `None`: it is gone.
pub(super) fn open_parent(expected: u32) -> io::Result<Option<OwnedFd>> {
    let pidfd = match process::open_pid(expected) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
        result => result?,
    };
    // Between the marker's check and now the parent may have died and its number may have been given away. If it is
    // still our parent after the opening, it was at the opening.
    Ok((process::parent_id() == expected).then_some(pidfd))
}

/// Starts the watch, which lasts as long as the process.
pub(super) fn start(parent: OwnedFd, socket: Arc<OwnedFd>) -> io::Result<()> {
    // The new thread inherits the mask: handlers that a task installs run on the task's thread.
    let _blocked = SignalMask::block_all()?;
    std::thread::Builder::new().name("procpool-watch".to_owned()).stack_size(STACK).spawn(move || {
        // Whatever ends the wait ends this process: the parent's end, the connection's, a descriptor that a task has
        // closed under us, or an error of the wait itself (a task has lowered the limit on descriptors). What cannot
        // be watched must not go on.
        let _ = poll::wait_for_parent(parent.as_fd(), socket.as_fd(), false);
        process::kill_own_group();
    })?;
    Ok(())
}
