//! Whether this process is a copy of one that had things which cannot be copied.

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::mm::Advice;

use super::memory::SharedWords;

static IS_COPY: AtomicBool = AtomicBool::new(false);

/// From now on, [`is_copy`] is true in processes that `fork` makes of this one (without an exec).
pub(crate) fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        // SAFETY: the handler is a function of the C convention without arguments that lives as long as the program. It
        // only touches an atomic, which is allowed in the child of a process with threads. Where memory is so short that it
        // cannot be registered, copies are not noticed.
        #[expect(unsafe_code, reason = "rustix has no pthread_atfork")]
        unsafe {
            libc::pthread_atfork(None, None, Some(copied));
        }
    });
}

/// Whether this process is a copy of one that had called [`watch`]. About as cheap as reading a variable.
///
/// A link to the outside is not to be used in the copy: the original goes on using it, and a lock that another thread held
/// while the process was copied is never given back in the copy.
pub(crate) fn is_copy() -> bool {
    IS_COPY.load(Ordering::Relaxed)
}

/// Tells a process from its copies, also from those that are made behind the C library's back, of which [`watch`] does
/// not learn. As cheap as reading a variable, where asking for the process's number is a system call.
#[derive(Debug)]
pub(crate) enum Original {
    /// Memory that the kernel clears in copies holds a word that is not zero.
    Word(SharedWords),
    /// Where the kernel does not do that.
    Pid(u32),
}

impl Original {
    /// This process.
    pub(crate) fn here() -> Original {
        match marked() {
            Ok(words) => Original::Word(words),
            Err(_) => Original::Pid(std::process::id()),
        }
    }

    /// Whether this is still that process.
    pub(crate) fn is_here(&self) -> bool {
        match self {
            Original::Word(words) => words[0].load(Ordering::Relaxed) != 0,
            Original::Pid(pid) => *pid == std::process::id(),
        }
    }
}

fn marked() -> io::Result<SharedWords> {
    let words = SharedWords::private(1)?;
    // SAFETY: the range is within one mapping of our own, private and anonymous, whose words are atomics for which zero
    // is a value. What is advised changes nothing in this process.
    #[expect(unsafe_code, reason = "advice about memory")]
    unsafe {
        rustix::mm::madvise(words.as_ptr().cast_mut().cast(), size_of::<AtomicU64>(), Advice::LinuxWipeOnFork)?;
    }
    words[0].store(1, Ordering::Relaxed);
    Ok(words)
}

extern "C" fn copied() {
    IS_COPY.store(true, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs this in a copy of the process that the C library knows nothing of, and gives what the copy says.
    fn in_a_copy(ask: impl FnOnce() -> bool) -> bool {
        // SAFETY: a plain fork, as a raw system call. The child reads memory and ends, and takes no lock in between.
        #[expect(unsafe_code, reason = "forking behind the C library's back")]
        unsafe {
            let pid = libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as libc::pid_t;
            if pid == 0 {
                libc::_exit(i32::from(ask()));
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
            assert!(libc::WIFEXITED(status));
            libc::WEXITSTATUS(status) == 1
        }
    }

    #[test]
    fn a_copy_is_told_from_the_original() {
        for original in [Original::here(), Original::Pid(std::process::id())] {
            assert!(original.is_here());
            assert!(!in_a_copy(|| original.is_here()), "{original:?}");
            assert!(original.is_here());
        }
        assert!(in_a_copy(|| Original::here().is_here()), "a copy is the original of its own copies");
    }

    #[test]
    fn the_kernel_clears_the_word() {
        assert!(matches!(Original::here(), Original::Word(_)));
    }
}
