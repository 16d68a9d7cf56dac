//! The ledger of tasks that have not been resolved.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use super::api::{Began, Now, Placement, Resolution, SchedulerConfig, TaskId, TaskOptions, WorkerId};
use super::facts::Timing;
use super::payload::Payload;
use super::queue::Rank;

/// One unresolved task.
pub(super) struct Task<P: Payload> {
    pub(super) job: P::Job,
    pub(super) options: TaskOptions,
    /// Where it stands among those that wait; kept while it runs, since it may come back.
    pub(super) rank: Rank,
    pub(super) place: Place,
    /// Since when it is in that place.
    pub(super) since: Now,
    /// Where its time went before that.
    pub(super) spent: Spent,
    /// The attempt it is in, from 1.
    pub(super) attempt: u32,
    /// How many workers have been lost in this attempt, by silence or death, while it was their turn to claim it.
    pub(super) offers: u32,
    /// The setting of its [`Timer::Queue`](super::timers::Timer::Queue).
    pub(super) queue_timer: Option<Now>,
    /// The setting of its [`Timer::Deadline`](super::timers::Timer::Deadline).
    pub(super) deadline_timer: Option<Now>,
    /// How its last attempt ended, if it is in a further one. Boxed: nearly no task has it.
    pub(super) lost: Option<Box<Lost<P>>>,
}

/// Where the time of a task went, up to its last change of place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    waited: Duration,
    ran: Option<Duration>,
}

/// The end of an attempt that is followed by another one. Whatever happens to the task from here on, its code *may*
/// have begun, and a caller who asks whether it is safe to try again must be told so.
pub(super) struct Lost<P: Payload> {
    pub(super) worker: WorkerId,
    pub(super) began: Began,
    pub(super) death: P::Death,
}

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the queue or in the waiting list.
    Queued,
    /// Its own worker is starting.
    Bound(WorkerId),
    /// This worker has it in hand.
    Assigned(WorkerId),
}

impl<P: Payload> Task<P> {
    /// A task that no worker has had.
    pub(super) fn new(job: P::Job, options: TaskOptions, rank: Rank, now: Now) -> Task<P> {
        Task {
            job,
            options,
            rank,
            place: Place::Queued,
            since: now,
            spent: Spent::default(),
            attempt: 1,
            offers: 0,
            queue_timer: None,
            deadline_timer: None,
            lost: None,
        }
    }

    /// Whether its time to wait for a worker is over.
    pub(super) fn is_overdue(&self, now: Now) -> bool {
        self.queue_timer.is_some_and(|at| at < now)
    }

    /// The time since its last change of place was waiting, also in the hand of a worker that did not begin.
    pub(super) fn has_waited(&mut self, now: Now) {
        self.spent.waited = self.spent.waited.saturating_add(now.since(self.since));
        self.since = now;
    }

    /// The time since its last change of place was a worker's.
    pub(super) fn has_run(&mut self, now: Now) {
        let ran = self.spent.ran.unwrap_or_default();
        self.spent.ran = Some(ran.saturating_add(now.since(self.since)));
        self.since = now;
    }

    /// Where its time went, now that it ends like this.
    pub(super) fn timing(&mut self, resolution: &Resolution<P>, now: Now) -> Timing {
        if matches!(self.place, Place::Assigned(_)) && resolution.may_have_begun() {
            self.has_run(now);
        } else {
            self.has_waited(now);
        }
        Timing { waited: (!resolution.is_refusal()).then_some(self.spent.waited), ran: self.spent.ran }
    }

    /// How many workers it may lose like that. A dedicated one only once: its process is what its caller has
    /// in hand (by its number, to signal it), and one that was sent a TERM must not come back as another.
    pub(super) fn max_offers(&self, config: &SchedulerConfig) -> u32 {
        match self.options.placement {
            Placement::Shared => config.max_offers,
            Placement::Dedicated => 1,
        }
    }

    /// Whether its code has begun, given what is known about the present attempt.
    pub(super) fn began(&self, now: Began) -> Began {
        let before = self.lost.as_ref().map_or(Began::No, |lost| lost.began);
        match (before, now) {
            (Began::Yes, _) | (_, Began::Yes) => Began::Yes,
            (Began::No, other) | (other, Began::No) => other,
            (Began::Unknown, Began::Unknown) => Began::Unknown,
        }
    }
}

/// Unresolved tasks by id.
pub(super) type Tasks<P> = HashMap<TaskId, Task<P>, BuildHasherDefault<IdHasher>>;

/// Hashes ids that the scheduler itself hands out, one after the other: nobody can choose them to collide, and the
/// table is touched twice per task on the hot path. Sixteen ids in a row stay neighbours, so that a burst of tasks
/// walks through memory instead of jumping about in it; the blocks of sixteen are scattered, since the ids that live
/// long may have a stride (every 64th task is a slow one).
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        let id = self.0 ^ id;
        // 2^64 / golden ratio; the rotation brings the well mixed high bits down, where the table takes its index.
        let block = (id >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
        // The topmost bits are the table's tag: neighbours must differ in it.
        self.0 = ((block << 4) | (id & 15)) ^ (id << 60);
    }
}
