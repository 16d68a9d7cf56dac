//! Signal masks, and what a worker does about the signals that people and service managers send around.

use std::io;
use std::mem::MaybeUninit;

/// Signals that are held back from a child until it has decided how to treat them; see
/// [`spawn`](super::process::spawn).
pub(crate) const HELD_WHILE_STARTING: [i32; 4] = [libc::SIGTSTP, libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// Signals from outside that ask a program to end.
const REQUESTS_TO_END: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// Blocks signals for the calling thread, and puts its former mask back when dropped (on the same thread).
#[derive(Debug)]
pub(crate) struct SignalMask {
    former: libc::sigset_t,
    /// Masks belong to threads: this value stays on its own.
    _thread: std::marker::PhantomData<*const ()>,
}

impl SignalMask {
    /// Blocks these signals, in addition to those already blocked.
    pub(crate) fn block(signals: &[i32]) -> io::Result<SignalMask> {
        Self::add(&set_of(signals))
    }

    /// Blocks every signal: for threads of ours, on which no handler of the user's code is to run. (A fault's signal
    /// cannot be held back this way.)
    pub(crate) fn block_all() -> io::Result<SignalMask> {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigfillset` writes the whole set behind the pointer, and cannot fail for a valid one.
        #[expect(unsafe_code, reason = "signal sets are libc's")]
        let all = unsafe {
            libc::sigfillset(all.as_mut_ptr());
            all.assume_init()
        };
        Self::add(&all)
    }

    fn add(set: &libc::sigset_t) -> io::Result<SignalMask> {
        Ok(SignalMask { former: change_mask(libc::SIG_BLOCK, set)?, _thread: std::marker::PhantomData })
    }
}

impl Drop for SignalMask {
    fn drop(&mut self) {
        let _ = change_mask(libc::SIG_SETMASK, &self.former);
    }
}

/// Lets every signal through to the calling thread (and the threads that it starts from now on).
pub(crate) fn unblock_all() -> io::Result<()> {
    change_mask(libc::SIG_SETMASK, &set_of(&[])).map(drop)
}

fn change_mask(how: i32, set: &libc::sigset_t) -> io::Result<libc::sigset_t> {
    let mut former = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both pointers are valid for the call; the second is written whole when the call succeeds.
    #[expect(unsafe_code, reason = "rustix leaves signal masks to libc")]
    unsafe {
        match libc::pthread_sigmask(how, set, former.as_mut_ptr()) {
            0 => Ok(former.assume_init()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` writes the whole set; `sigaddset` changes an initialised one, and refuses numbers that are
    // no signals.
    #[expect(unsafe_code, reason = "signal sets are libc's")]
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for &signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}

extern "C" fn do_nothing(_signal: i32) {}

/// Takes no notice of requests to end (a service manager sends TERM to every process while the service drains) nor of
/// broken pipes (they become errors of `write`).
///
/// By handlers that do nothing, not by ignoring: an ignored signal stays ignored in what a task executes, where a
/// handler is reset to the default.
pub(crate) fn shrug_off_requests_to_end() -> io::Result<()> {
    shrug_off_broken_pipes()?;
    REQUESTS_TO_END.iter().try_for_each(|&signal| set_disposition(signal, handler(do_nothing)))
}

/// Makes requests to end what they are by default: deadly. Also where the parent ignores them.
pub(crate) fn obey_requests_to_end() -> io::Result<()> {
    shrug_off_broken_pipes()?;
    REQUESTS_TO_END.iter().try_for_each(|&signal| set_disposition(signal, libc::SIG_DFL))
}

fn shrug_off_broken_pipes() -> io::Result<()> {
    set_disposition(libc::SIGPIPE, handler(do_nothing))
}

/// Undoes a parent's "children are nobody's business": with it inherited, tasks could not wait for what they start.
pub(crate) fn reset_child_signal() -> io::Result<()> {
    set_disposition(libc::SIGCHLD, libc::SIG_DFL)
}

/// A function as libc wants it.
fn handler(function: extern "C" fn(i32)) -> libc::sighandler_t {
    function as *const () as libc::sighandler_t
}

fn set_disposition(signal: i32, disposition: libc::sighandler_t) -> io::Result<()> {
    // RESTART: code in tasks that does not know EINTR is not to meet it because somebody sent a TERM.
    let action = libc::sigaction {
        sa_sigaction: disposition,
        sa_mask: set_of(&[]),
        sa_flags: libc::SA_RESTART,
        sa_restorer: None,
    };
    // SAFETY: `action` is a whole `sigaction` whose handler, if it is one, takes the signal's number as the flags say
    // (no SA_SIGINFO), and does nothing: safe at any moment.
    #[expect(unsafe_code, reason = "rustix leaves signal handlers to libc")]
    let result = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_blocked(signal: i32) -> bool {
        let mask = change_mask(libc::SIG_BLOCK, &set_of(&[])).unwrap();
        // SAFETY: the set is initialised.
        #[expect(unsafe_code, reason = "signal sets are libc's")]
        unsafe {
            libc::sigismember(&raw const mask, signal) == 1
        }
    }

    #[test]
    fn a_mask_lasts_as_long_as_its_guard() {
        assert!(!is_blocked(libc::SIGTSTP));
        let outer = SignalMask::block(&[libc::SIGTSTP]).unwrap();
        {
            let _inner = SignalMask::block_all().unwrap();
            assert!(is_blocked(libc::SIGTERM));
        }
        assert!(is_blocked(libc::SIGTSTP) && !is_blocked(libc::SIGTERM));
        drop(outer);
        assert!(!is_blocked(libc::SIGTSTP));
    }
}
