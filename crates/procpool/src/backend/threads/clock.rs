//! The one thread of an in-process pool that starts and abandons workers and tells the scheduler the time.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::body::Body;
use super::desk::Desk;
use super::workers::Threads;
use crate::backend::engine::Engine;
use crate::backend::job::Death;
use crate::backend::scheduler::{Event, Now, Overdue, WorkerId};
use crate::backend::worker_name;
use crate::config::Hook;
use crate::sync::lock;

pub(super) enum Command {
    Spawn {
        worker: WorkerId,
        desk: Arc<Desk>,
    },
    Abandon {
        worker: WorkerId,
        overdue: Option<Overdue>,
    },
    /// No task and no worker is left.
    End,
}

/// How others reach the clock.
#[derive(Default)]
pub(super) struct ClockHandle {
    commands: Mutex<Vec<Command>>,
    /// Whether somebody has called since it last looked.
    called: Mutex<bool>,
    waker: Condvar,
}

impl ClockHandle {
    /// Leaves a command. Call [`wake`](Self::wake) when no lock is held.
    pub(super) fn push(&self, command: Command) {
        lock(&self.commands).push(command);
    }

    pub(super) fn wake(&self) {
        *lock(&self.called) = true;
        self.waker.notify_one();
    }

    fn wait(&self, timeout: Option<Duration>) {
        let mut called = lock(&self.called);
        if !*called {
            called = match timeout {
                Some(timeout) => self.waker.wait_timeout(called, timeout).unwrap_or_else(PoisonError::into_inner).0,
                None => self.waker.wait(called).unwrap_or_else(PoisonError::into_inner),
            };
        }
        *called = false;
    }
}

pub(super) struct Clock {
    pub(super) engine: Arc<Engine<Threads>>,
    pub(super) handle: Arc<ClockHandle>,
    pub(super) init: Option<Arc<Hook>>,
    pub(super) exit: Option<Arc<Hook>>,
    pub(super) state: Option<Arc<Hook>>,
    pub(super) max_message: u64,
}

impl Clock {
    pub(super) fn run(self) {
        loop {
            let mut deadline = None;
            self.engine.arm(|threads, next| {
                threads.armed(next);
                deadline = next;
            });
            self.handle.wait(deadline.map(|Now(at)| at.saturating_sub(self.engine.now().0)));
            // Not in the head of the loop, which would hold the lock while commands lead to further ones.
            let commands = std::mem::take(&mut *lock(&self.handle.commands));
            for command in commands {
                match command {
                    Command::Spawn { worker, desk } => self.spawn(worker, desk),
                    Command::Abandon { worker, overdue } => self.abandon(worker, overdue),
                    Command::End => return,
                }
            }
            let mut due = false;
            self.engine.arm(|_, next| due = next.is_some_and(|next| next <= self.engine.now()));
            if due {
                self.engine.handle(Event::Tick);
            }
        }
    }

    fn spawn(&self, worker: WorkerId, desk: Arc<Desk>) {
        let name = worker_name(worker);
        let body = Body {
            engine: Arc::clone(&self.engine),
            worker,
            desk,
            init: self.init.clone(),
            exit: self.exit.clone(),
            state: self.state.clone(),
            max_message: self.max_message,
        };
        // Before the thread runs, or its first words would come from a worker that does not exist.
        self.engine.handle(Event::Spawned { worker });
        if let Err(error) = std::thread::Builder::new().name(name).spawn(move || body.run()) {
            self.gone(worker, format!("its thread could not be started: {error}"));
        }
    }

    fn abandon(&self, worker: WorkerId, overdue: Option<Overdue>) {
        if let Some(desk) = self.engine.with_workers(|threads| threads.take(worker)) {
            desk.abandon();
            let abandoned = "a thread cannot be killed; it was abandoned and ends when its task returns";
            self.gone(
                worker,
                overdue.map_or_else(|| abandoned.to_owned(), |overdue| format!("{overdue}; {abandoned}")),
            );
        }
    }

    fn gone(&self, worker: WorkerId, detail: String) {
        let death = Death { worker: worker_name(worker), detail: Some(detail), ..Death::default() };
        self.engine.exited(worker, Arc::new(death), |threads| threads.detach(worker));
    }
}
