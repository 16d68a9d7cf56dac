//! Tasks behind one that has turned out long: they are taken back, so that others can do them.
//!
//! A hand is filled by what recent tasks took, and any of them may be the one that takes an hour. Those behind it came
//! before whoever is in the queue now, so they go back to its head. A worker that is idle needs no suspicion: it gets
//! half of the longest hand (`ahead.rs`).

use super::api::{Action, Batch, Evidence, WorkerId};
use super::core::{Scheduler, Turn};
use super::life::{Assignment, Claim, Life};
use super::payload::Payload;
use super::workers::Worker;

impl<P: Payload> Scheduler<P> {
    /// Asks about each task that has been at the front of a hand for long, with others behind it that did not ask for
    /// that. Only the page tells whether it is long: its answer may lie unread while this process was busy with other
    /// things, and then the worker is far ahead of what is known.
    pub(super) fn suspect(&mut self, turn: &mut Turn<'_, P>) {
        // With nobody else to do them, they wait as well where they are.
        if self.workers.ahead() == 0 || self.workers.tally().kept() < 2 {
            return;
        }
        let now = turn.now;
        let is_suspect = |worker: &Worker| match &worker.life {
            Life::Busy(first) => {
                first.is_slow(now)
                    && !(first.suspected || first.revoking)
                    && first.stop.is_none()
                    && first.claim != Claim::Done
                    && worker.ahead.iter().any(is_stuck)
            }
            _ => false,
        };
        loop {
            let Some(worker) = self.workers.iter().find(|(_, worker)| is_suspect(worker)).map(|(id, _)| id) else {
                return;
            };
            let Some((first, _)) = self.held(worker) else { return };
            first.suspected = true;
            let offer = first.offer;
            turn.act(Action::Inspect { worker, offer });
        }
    }

    /// The answer: unless the task is done, what it holds up is taken back. From the end, as ever.
    pub(super) fn relieve(&mut self, worker: WorkerId, evidence: Evidence, turn: &mut Turn<'_, P>) {
        let Some(entry) = self.workers.get_mut(worker).filter(|entry| matches!(entry.life, Life::Busy(_))) else {
            return;
        };
        if matches!(evidence, Evidence::Offered { .. } | Evidence::Claimed { .. }) {
            for held in entry.ahead.iter_mut().rev().filter(|held| is_stuck(held)) {
                held.revoking = true;
                turn.act(Action::Revoke { worker, offer: held.offer });
            }
        }
    }
}

/// Whether it may be taken back, and was not told to lie there: a `chunk(n)` is.
fn is_stuck(held: &Assignment) -> bool {
    held.is_free() && held.batch == Batch::Auto
}
