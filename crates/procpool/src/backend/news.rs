//! Who listens to what happens in a pool, and how facts are told to them.
//!
//! Events go into the readers' mailboxes under the engine's lock: so their order is the order of the decisions, and
//! whoever sees a result finds what led to it. Only memory is touched; readers are woken later.

use std::task::Waker;

use super::completion::Outcome;
use super::job::{Submission, Work};
use super::scheduler::{Closing, Fact, Now, TaskId, WorkerId};
use super::view::worker_name;
use crate::error::ErrorKind;
use crate::pool::{Event, Events, Post, Sent, Shutdown, events};

/// The readers of a pool's events. Without any, an event costs a look at an empty list.
#[derive(Default)]
pub(super) struct News {
    readers: Vec<Post>,
    ended: bool,
}

impl News {
    /// A reader of what comes from now on.
    pub(super) fn subscribe(&mut self) -> Events {
        let (post, events) = events();
        if self.ended {
            // Nobody can be waiting yet.
            drop(post.end());
        } else {
            self.readers.push(post);
        }
        events
    }

    /// Tells all readers what `event` makes. It is not called when there are none.
    pub(super) fn tell(&mut self, wake: &mut Vec<Waker>, event: impl FnOnce() -> Option<Event>) {
        if self.readers.is_empty() {
            return;
        }
        if let Some(event) = event() {
            self.readers.retain(|reader| match reader.send(event.clone()) {
                Sent::Yes(waker) => {
                    wake.extend(waker);
                    true
                }
                Sent::Abandoned => false,
            });
        }
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self, wake: &mut Vec<Waker>) {
        self.ended = true;
        wake.extend(self.readers.drain(..).filter_map(|reader| reader.end()));
    }
}

/// A fact as readers see it. `pid`: the process of a worker that has one.
pub(super) fn event(fact: Fact<Work>, now: Now, pid: impl Fn(WorkerId) -> Option<u32>) -> Event {
    let name = worker_name;
    match fact {
        Fact::Started { worker } => {
            Event::WorkerStarted { worker: name(worker), pid: pid(worker), generation: worker.generation }
        }
        Fact::Ready { worker, took } => {
            Event::WorkerReady { worker: name(worker), pid: pid(worker), generation: worker.generation, took }
        }
        Fact::Ended { worker, why, tasks_done, death } => Event::WorkerEnded {
            worker: name(worker),
            pid: death.pid,
            generation: worker.generation,
            why: why.into(),
            exit: death.exit,
            detail: death.describe(),
            tasks_done,
        },
        Fact::StartsPaused { pause, failures } => Event::StartsPaused { pause, failures },
        Fact::Resized { min, max } => Event::Resized { min, max },
        Fact::Closing { how } => Event::Closing(match how {
            Closing::Drain { deadline: None } => Shutdown::Drain,
            Closing::Drain { deadline: Some(at) } => Shutdown::DrainFor(at.since(now)),
            Closing::DropQueued { .. } => Shutdown::DropQueued,
            Closing::Kill => Shutdown::Kill,
        }),
    }
}

/// The end of a task as readers see it, if it is one that they are told.
pub(super) fn failure(task: TaskId, job: &Submission, outcome: &Outcome) -> Option<Event> {
    let error = outcome.as_ref().err()?;
    match error.kind() {
        ErrorKind::Cancelled | ErrorKind::Closed | ErrorKind::QueueFull | ErrorKind::StartFailed => None,
        kind => Some(Event::TaskFailed {
            task: task.0,
            name: job.name.as_str().to_owned(),
            kind,
            worker: error.worker().map(str::to_owned),
            message: error.to_string(),
        }),
    }
}
