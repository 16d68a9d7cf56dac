//! Notices that a pool waits for itself: tasks wait, and every worker is blocked in a queue call.
//!
//! Nothing tells a pool that its worker has begun to wait at a queue: that is between the worker and the broker, which is
//! not even in this process where the pool is one in a worker. A message to the pool for each wait would cost every
//! pipeline a system call that it does not need. So the worker notes it in a word that the pool can read
//! (`queue/waiting.rs`), and the pool reads: once a second, by the clock that it has, and only while tasks wait and no
//! worker is free, starting or to be replaced. Workers that are found twice in the very same wait, a second apart, have
//! been blocked all the time between. A pipeline that flows, however slowly, is not warned of.

use std::time::Duration;

use super::scheduler::{Now, WorkerId};
use super::view::worker_name;
use crate::panics;
use crate::queue::waiting::{Call, Reading};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Stall {
    /// When to look. `None` while there is no reason to.
    due: Option<Now>,
    /// What was found at the last look.
    seen: Vec<(WorkerId, Reading)>,
    /// Whether this was told already, so that each time it comes to this it is told once.
    told: bool,
}

impl Stall {
    /// Takes note of how things are. `held_up`: tasks wait, and no worker can take them. `look` reads what the workers
    /// say. Answers with what is to be told, if anything is.
    pub(super) fn note(
        &mut self,
        held_up: bool,
        now: Now,
        look: impl FnOnce() -> Vec<(WorkerId, Reading)>,
    ) -> Option<Vec<(WorkerId, Call)>> {
        if !held_up {
            if self.due.take().is_some() {
                *self = Stall::default();
            }
            return None;
        }
        match self.due {
            None => {
                self.due = Some(now.after(LOOK));
                return None;
            }
            Some(due) if now < due => return None,
            Some(_) => self.due = Some(now.after(LOOK)),
        }
        let found = look();
        let calls: Option<Vec<_>> = found.iter().map(|&(worker, read)| Some((worker, read.call()?))).collect();
        let same = found == self.seen;
        self.seen = found;
        let calls = calls.filter(|calls| same && !calls.is_empty());
        let told = std::mem::replace(&mut self.told, calls.is_some());
        calls.filter(|_| !told)
    }

    /// When it wants to look.
    pub(super) fn next(&self) -> Option<Now> {
        self.due
    }
}

/// What a warning says.
#[derive(Debug)]
pub(super) struct Stalled {
    pub(super) workers: Vec<(WorkerId, Call)>,
    /// How many tasks wait.
    pub(super) tasks: usize,
}

impl Stalled {
    /// To be called without a lock: a subscriber is foreign code.
    pub(super) fn warn(self) {
        let Stalled { workers, tasks } = self;
        let count = |call| workers.iter().filter(|(_, other)| *other == call).count();
        let (sending, receiving) = (count(Call::Sending), count(Call::Receiving));
        let first = workers.first().map(|&(worker, _)| worker_name(worker));
        panics::by_the_way(|| {
            tracing::warn!(
                target: "procpool::pool",
                workers = workers.len(), sending, receiving, tasks, first,
                "every worker of the pool is blocked in a queue call while tasks wait; if one of these tasks is to make \
                 room at the queue, or to send what is waited for, none of them goes on: give the pool more workers than \
                 tasks that wait for each other, or run the two ends of a queue in different pools"
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One who waits for a message: this is its `serial`-th wait.
    fn waiting(slot: u32, serial: u64) -> (WorkerId, Reading) {
        (WorkerId { slot, generation: 0 }, Reading(serial << 48 | 1 << 16))
    }

    fn at(ms: u64) -> Now {
        Now(Duration::from_millis(ms))
    }

    #[test]
    fn workers_that_stay_in_one_wait_are_told_once() {
        let mut stall = Stall::default();
        let both = || vec![waiting(0, 1), waiting(1, 5)];
        assert_eq!((stall.note(true, at(0), || unreachable!()), stall.next()), (None, Some(at(1000))));
        assert_eq!(stall.note(true, at(999), || unreachable!()), None);
        assert_eq!((stall.note(true, at(1000), both), stall.next()), (None, Some(at(2000))));
        assert_eq!(stall.note(true, at(2000), both).map(|told| told.len()), Some(2));
        assert_eq!(stall.note(true, at(3000), both), None);
        // One of them got what it waited for, and waits again: another story, which may be told again.
        let changed = || vec![waiting(0, 1), waiting(1, 7)];
        assert_eq!(stall.note(true, at(4000), changed), None);
        assert_eq!(stall.note(true, at(5000), changed).map(|told| told.len()), Some(2));
        assert_eq!((stall.note(false, at(5001), || unreachable!()), stall.next()), (None, None));
    }

    #[test]
    fn one_that_works_is_enough() {
        let mut stall = Stall::default();
        let one_works = || vec![waiting(0, 1), (WorkerId { slot: 1, generation: 0 }, Reading(6 << 48))];
        for second in 0..5 {
            assert_eq!(stall.note(true, at(second * 1000), one_works), None);
        }
        // Nobody at all is not everybody.
        for second in 5..10 {
            assert_eq!(stall.note(true, at(second * 1000), Vec::new), None);
        }
    }
}
