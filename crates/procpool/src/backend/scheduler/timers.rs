//! What is due when.

use std::collections::BTreeSet;

use super::api::{Now, ReservationId, TaskId, WorkerId};

/// Everything the scheduler ever waits for. There is at most one of each, so a timer can be taken away by its name
/// and nothing outdated stays behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The one thing this worker's phase waits for: start, initialiser, run limit, grace, late answer or exit hook.
    Worker(WorkerId),
    /// The task's time to its first claim is up.
    Queue(TaskId),
    /// Somebody has waited long enough for a place in the queue.
    Reservation(ReservationId),
    /// The time that the task shares with others is up.
    Deadline(TaskId),
    /// Some offer may have gone unclaimed for too long. One for all workers.
    Claims,
    /// Some worker may have been idle for too long. One for all workers.
    Idle,
    /// The pause after a death before Ready is over.
    Backoff,
    /// A close has run out of patience.
    Close,
}

/// The set of armed timers, soonest first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Now, Timer)>,
}

impl Timers {
    /// Arms `timer`, whose present setting (if any) is `slot`, for `at`. An instant that no clock reaches is "never".
    pub(super) fn arm(&mut self, slot: &mut Option<Now>, at: Now, timer: Timer) {
        self.disarm(slot, timer);
        if at < Now::NEVER {
            self.due.insert((at, timer));
            *slot = Some(at);
        }
    }

    /// Takes `timer` away. `slot` is where its owner keeps the setting; nothing happens if it was not armed.
    pub(super) fn disarm(&mut self, slot: &mut Option<Now>, timer: Timer) {
        if let Some(at) = slot.take() {
            self.due.remove(&(at, timer));
        }
    }

    /// The soonest timer that is due at `now`. Its owner still has to clear its own note of the setting.
    pub(super) fn pop_due(&mut self, now: Now) -> Option<Timer> {
        let &(at, timer) = self.due.first()?;
        (at <= now).then(|| {
            self.due.pop_first();
            timer
        })
    }

    pub(super) fn next(&self) -> Option<Now> {
        self.due.first().map(|&(at, _)| at)
    }
}
