//! Descriptors 0, 1 and 2 of a worker.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

/// The socket goes to a number that nobody chooses by accident: a task that closes what it can find and opens files
/// afterwards is given the lowest free numbers.
const HIGH: i32 = 200;

/// Standard input, which in a worker is its socket until [`take_stdin`].
pub(crate) fn stdin() -> BorrowedFd<'static> {
    // SAFETY: a borrow of descriptor 0 may be dead in theory (the process was started without one): then every call on
    // it fails with EBADF, and a descriptor opened meanwhile is only looked at, never closed, through this borrow.
    #[expect(unsafe_code, reason = "std's Stdin gives the same borrow only together with its buffer")]
    unsafe {
        BorrowedFd::borrow_raw(0)
    }
}

/// Moves descriptor 0 to a close-on-exec descriptor of its own, and puts /dev/null in its place; opens /dev/null on 1
/// and 2 where they are closed. After this, no task can read the protocol as its standard input, and no descriptor of
/// ours can be taken for standard output.
pub(crate) fn take_stdin() -> io::Result<OwnedFd> {
    let socket = out_of_the_way(stdin())?;
    // std opens these before `main`; a constructor runs before std.
    let (no_stdout, no_stderr) = (is_closed(rustix::stdio::raw_stdout()), is_closed(rustix::stdio::raw_stderr()));
    // Above 2, since where 1 or 2 is closed, the file would be given just that number, close-on-exec.
    let null = rustix::io::fcntl_dupfd_cloexec(OpenOptions::new().read(true).write(true).open("/dev/null")?, 3)?;
    rustix::stdio::dup2_stdin(&null)?;
    if no_stdout {
        rustix::stdio::dup2_stdout(&null)?;
    }
    if no_stderr {
        rustix::stdio::dup2_stderr(&null)?;
    }
    Ok(socket)
}

/// A copy of `fd` at a high number, close-on-exec.
pub(crate) fn out_of_the_way(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    match rustix::io::fcntl_dupfd_cloexec(fd, HIGH) {
        // A low limit on descriptors: any number above the standard ones will do.
        Err(Errno::INVAL | Errno::MFILE) => Ok(rustix::io::fcntl_dupfd_cloexec(fd, 3)?),
        result => Ok(result?),
    }
}

fn is_closed(raw: i32) -> bool {
    // SAFETY: the borrow is used for one question only, whose answer for a dead descriptor (EBADF) is what we ask for.
    #[expect(unsafe_code, reason = "asking about a descriptor that may not exist")]
    let fd = unsafe { BorrowedFd::borrow_raw(raw) };
    matches!(rustix::io::fcntl_getfd(fd), Err(Errno::BADF))
}

/// Reads what is there.
pub(crate) fn read(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| rustix::io::read(fd.as_fd(), &mut *buffer))?)
}
