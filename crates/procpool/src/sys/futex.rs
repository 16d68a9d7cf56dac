//! Waiting until a word of memory changes, also between processes that share it.

use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Timespec};

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Waited {
    /// Somebody woke this thread, or the word was another one, or nothing of the kind: look.
    Roused,
    TimedOut,
}

/// Waits until somebody wakes the word, if it still is `seen`; `None` waits without a limit.
///
/// No error is told apart: whoever waits has to look at what it waits for anyway.
pub(crate) fn wait(word: &AtomicU32, seen: u32, deadline: Option<Instant>) -> Waited {
    let left = match deadline {
        None => None,
        Some(deadline) => match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => return Waited::TimedOut,
            left => Some(left),
        },
    };
    let timeout = left.map(|left| {
        // Cut at a day: kernels refuse what does not fit their counters, and coming back early is allowed.
        let left = left.min(Duration::from_secs(86_400));
        Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(86_400), tv_nsec: left.subsec_nanos().into() }
    });
    match futex::wait(word, Flags::empty(), seen, timeout.as_ref()) {
        Err(Errno::TIMEDOUT) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => Waited::TimedOut,
        _ => Waited::Roused,
    }
}

/// Wakes everybody who waits for the word.
pub(crate) fn wake_all(word: &AtomicU32) {
    // It can only fail for an address that is none.
    let _ = futex::wake(word, Flags::empty(), i32::MAX as u32);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;

    #[test]
    fn a_wait_ends_by_a_wake_by_another_value_or_by_the_deadline() {
        let word = AtomicU32::new(7);
        assert_eq!(wait(&word, 8, None), Waited::Roused);
        assert_eq!(wait(&word, 7, Some(Instant::now())), Waited::TimedOut);
        let soon = Instant::now() + Duration::from_millis(2);
        while wait(&word, 7, Some(soon)) != Waited::TimedOut {}
        assert!(Instant::now() >= soon);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                while word.load(SeqCst) == 7 {
                    let _ = wait(&word, 7, None);
                }
            });
            word.store(8, SeqCst);
            while !waiter.is_finished() {
                wake_all(&word);
            }
        });
    }
}
