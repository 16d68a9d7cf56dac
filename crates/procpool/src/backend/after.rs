//! What is done once the engine's lock is released: whatever wakes, drops or traces, and the wire.

use std::task::Waker;

use tokio::sync::oneshot;

use super::completion::Outcome;
use super::engine::{Placed, Warm, Workers};
use super::job::Submission;
use super::lot::Delivery;
use super::outcome::trace;
use super::scheduler::TaskId;
use super::stall::Stalled;
use crate::panics;
use crate::pool::Report;

/// What has to wait until the lock is released.
pub(super) struct After<W: Workers> {
    pub(super) later: W::Later,
    pub(super) resolved: Vec<(TaskId, Submission, Outcome)>,
    /// Of the items of lots.
    pub(super) deliveries: Vec<Delivery>,
    pub(super) reserved: Vec<(oneshot::Sender<Placed>, Placed)>,
    pub(super) warmed: Vec<(oneshot::Sender<Warm>, Warm)>,
    pub(super) rung: Vec<oneshot::Sender<()>>,
    pub(super) ended: Vec<(oneshot::Sender<Report>, Report)>,
    /// Lots that are over: to drop their spans is to call the subscriber.
    pub(super) over: Vec<Submission>,
    pub(super) stalled: Option<Stalled>,
    /// Readers of events that wait.
    pub(super) readers: Vec<Waker>,
}

impl<W: Workers> After<W> {
    pub(super) fn new() -> Self {
        After {
            later: W::Later::default(),
            resolved: Vec::new(),
            deliveries: Vec::new(),
            reserved: Vec::new(),
            warmed: Vec::new(),
            rung: Vec::new(),
            ended: Vec::new(),
            over: Vec::new(),
            stalled: None,
            readers: Vec::new(),
        }
    }

    pub(super) fn finish(self) {
        // The wire first: workers begin on their next task while this thread wakes the callers of the last one.
        W::finish(self.later);
        for delivery in self.deliveries {
            panics::by_the_way(|| delivery.deliver());
        }
        for (task, job, outcome) in self.resolved {
            // Subscribers and wakers are foreign code. Where one panics, the thread that was passing by (the keeper,
            // say, on which everybody depends) goes on, and the caller hears of its task all the same.
            panics::by_the_way(|| trace(task, &job, &outcome));
            panics::by_the_way(move || {
                let mut job = job; // All of it: to drop its span is to call the subscriber.
                // Before its caller hears of it, so that what only this task needed is forgotten before the next one.
                job.shared.clear();
                // A queue that only this task kept tells those who use it, by the link of this process.
                job.handles.clear();
                job.completer.resolve(outcome);
            });
        }
        for job in self.over {
            panics::by_the_way(move || drop(job));
        }
        if let Some(stalled) = self.stalled {
            stalled.warn();
        }
        for reader in self.readers {
            panics::by_the_way(|| reader.wake());
        }
        // A waiter that has gone away does not want to know. One that has not is woken: foreign code, too.
        for (waiter, result) in self.reserved {
            panics::by_the_way(|| waiter.send(result).ok());
        }
        for (waiter, result) in self.warmed {
            panics::by_the_way(|| waiter.send(result).ok());
        }
        for waiter in self.rung {
            panics::by_the_way(|| waiter.send(()).ok());
        }
        for (waiter, report) in self.ended {
            panics::by_the_way(|| waiter.send(report).ok());
        }
    }
}
