//! What a worker does to itself that it cannot take back.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::thread::{CapabilitySet, CapabilitySets};

/// Whether the calling thread is the only one of its process.
pub(crate) fn has_one_thread() -> io::Result<bool> {
    // SAFETY: asks for what a process of one thread has already, so that nothing changes; one of several is refused.
    #[expect(unsafe_code, reason = "rustix has no such flag, and without /proc nothing else tells")]
    let result = unsafe { libc::unshare(libc::CLONE_THREAD) };
    if result == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        error => Err(error),
    }
}

/// Nothing that this thread executes gains privileges any more.
pub(crate) fn gain_no_privileges() -> io::Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Gives up all capabilities of this thread, and of those that it starts.
pub(crate) fn drop_privileges() -> io::Result<()> {
    let none = CapabilitySet::empty();
    Ok(rustix::thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?)
}

/// Whether the kernel has filters of system calls that can end a process.
pub(crate) fn has_filters() -> io::Result<()> {
    let action = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: reads four bytes, which `action` has, and changes nothing.
    #[expect(unsafe_code, reason = "neither rustix nor seccompiler asks")]
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Closes all descriptors but the standard ones and these. To be called before anything of the program's has opened any.
pub(crate) fn close_others(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd().unsigned_abs()).collect();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = first.max(fd + 1);
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: closes descriptors that nobody in this process owns: it is a worker that has just begun, whose only thread is
    // here, and its own are left out. What code before `main` has opened is closed as well, as documented: such code owns
    // nothing in Rust's terms that outlives it.
    #[expect(unsafe_code, reason = "rustix has no close_range")]
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
