//! An alarm by the time that this process has spent on processors.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// Sends SIGXCPU to this process once it has used so much more processor time, by all its threads.
#[derive(Debug)]
pub(crate) struct CpuTimer(libc::timer_t);

impl CpuTimer {
    /// One that is not set.
    pub(crate) fn new() -> io::Result<CpuTimer> {
        // SAFETY: all zeros is a value of this type of integers and pointers.
        #[expect(unsafe_code, reason = "a struct of the kernel's")]
        let mut event: libc::sigevent = unsafe { MaybeUninit::zeroed().assume_init() };
        (event.sigev_notify, event.sigev_signo) = (libc::SIGEV_SIGNAL, libc::SIGXCPU);
        let mut timer = MaybeUninit::uninit();
        // SAFETY: the kernel reads `event`, and fills `timer` if it succeeds; both live through the call.
        #[expect(unsafe_code, reason = "rustix has no timers of this kind")]
        let result = unsafe { libc::timer_create(libc::CLOCK_PROCESS_CPUTIME_ID, &mut event, timer.as_mut_ptr()) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has succeeded, so it has been filled.
        #[expect(unsafe_code, reason = "see there")]
        Ok(CpuTimer(unsafe { timer.assume_init() }))
    }

    /// From now on; anew if it was set before.
    pub(crate) fn set(&self, time: Duration) -> io::Result<()> {
        self.arm(libc::timespec {
            tv_sec: time.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: time.subsec_nanos().into(),
        })
    }

    /// Not any more.
    pub(crate) fn unset(&self) -> io::Result<()> {
        self.arm(ZERO)
    }

    fn arm(&self, it_value: libc::timespec) -> io::Result<()> {
        let setting = libc::itimerspec { it_interval: ZERO, it_value };
        // SAFETY: the timer is one that `new` has made and nobody deletes; the kernel reads `setting`, which lives through
        // the call, and is asked for no former one.
        #[expect(unsafe_code, reason = "rustix has no timers of this kind")]
        let result = unsafe { libc::timer_settime(self.0, 0, &setting, std::ptr::null_mut()) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

const ZERO: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
