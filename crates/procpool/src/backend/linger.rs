//! A caller who is alone with its call looks for the answer itself, for a moment, before it leaves that to others.
//!
//! To be woken takes longer than a short task. Whether looking pays depends on the tasks, on the machine and on what else
//! runs there, so it is tried less and less while it does not.

use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// For so long a caller looks at the most.
pub(super) const PATIENCE: Duration = Duration::from_micros(10);

/// So many calls in a row may look in vain before looking becomes rare.
const TRUST: i32 = 16;

/// Then one in so many calls tries again.
const RARE: i32 = 64;

/// Whether the next caller is to look. Several threads may race here, for nothing worse than a look too many.
#[derive(Debug)]
pub(super) struct Lingering {
    is_on: bool,
    /// Above zero: how many failures there may be; below, how many calls are let go by before the next try.
    trust: AtomicI32,
}

impl Lingering {
    pub(super) fn new(is_on: bool) -> Lingering {
        Lingering { is_on, trust: AtomicI32::new(TRUST) }
    }

    /// Whether to look this time.
    pub(super) fn is_worth_it(&self) -> bool {
        if !self.is_on {
            return false;
        }
        let trust = self.trust.load(Relaxed);
        if trust < 0 {
            self.trust.store(trust + 1, Relaxed);
        }
        trust >= 0
    }

    /// What looking has brought.
    pub(super) fn learn(&self, found: bool) {
        let trust = self.trust.load(Relaxed);
        let learnt = match found {
            true => (trust + 2).min(TRUST),
            false if trust <= 0 => -RARE,
            false => trust - 1,
        };
        self.trust.store(learnt, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_pay_becomes_rare_and_what_pays_frequent() {
        let lingering = Lingering::new(true);
        let tries =
            |count: usize| (0..count).filter(|_| lingering.is_worth_it()).inspect(|_| lingering.learn(false)).count();
        assert_eq!(tries(17), 17);
        assert_eq!(tries(6500), 100);
        while !lingering.is_worth_it() {}
        lingering.learn(true);
        assert!(lingering.is_worth_it());
    }

    #[test]
    fn off_is_off() {
        assert!(!Lingering::new(false).is_worth_it());
    }
}
