//! How long a worker that has nothing to do looks for its next task before it sleeps.
//!
//! To be woken takes ten times as long as a short task, and costs the parent a system call. So a worker looks for a while;
//! for how long depends on what looking has brought lately, and it never is longer than the parent has said.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

/// For so long it keeps the processor to itself. After that it offers it to others between two looks: what it waits for
/// may need it.
const ALONE: Duration = Duration::from_micros(3);

/// How many turns it takes between two looks at the clock.
const TURNS: u32 = 16;

#[derive(Debug)]
pub(super) struct Patience {
    most: Duration,
    now: Duration,
}

impl Patience {
    pub(super) fn new(most: Duration) -> Patience {
        Patience { most, now: most }
    }

    /// Waits until there is something: looks for it first, and then sleeps.
    pub(super) fn wait(&mut self, mut is_there: impl FnMut() -> bool, sleep: impl FnOnce()) {
        if self.most.is_zero() {
            return sleep();
        }
        let began = Instant::now();
        if self.now.is_zero() || !look(&mut is_there, began, self.now) {
            sleep();
        }
        self.learn(began.elapsed());
    }

    /// It came after so long.
    fn learn(&mut self, took: Duration) {
        // To look for all of that time would have been worth it. Otherwise less and less, down to nothing.
        self.now = if took <= self.most { self.most } else { self.now / 2 };
        if self.now < Duration::from_micros(1) {
            self.now = Duration::ZERO;
        }
    }
}

fn look(is_there: &mut impl FnMut() -> bool, began: Instant, patience: Duration) -> bool {
    loop {
        for _ in 0..TURNS {
            if is_there() {
                return true;
            }
            spin_loop();
        }
        match began.elapsed() {
            over if over >= patience => return false,
            long if long >= ALONE => std::thread::yield_now(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_micros(50);

    #[test]
    fn what_comes_late_makes_it_sleep_sooner_and_what_comes_soon_makes_it_look() {
        let mut patience = Patience::new(MOST);
        for _ in 0..6 {
            patience.learn(Duration::from_millis(1));
        }
        assert_eq!(patience.now, Duration::ZERO);
        patience.learn(MOST);
        assert_eq!(patience.now, MOST);
    }

    #[test]
    fn it_sleeps_only_if_there_is_nothing() {
        let mut patience = Patience::new(Duration::from_secs(3600));
        let mut looks = 0;
        let third = || {
            looks += 1;
            looks == 3
        };
        patience.wait(third, || panic!("it was there"));
        let mut slept = false;
        Patience::new(Duration::ZERO).wait(|| panic!("it is not to look"), || slept = true);
        assert!(slept);
        let mut slept = false;
        Patience::new(MOST).wait(|| false, || slept = true);
        assert!(slept);
    }
}
