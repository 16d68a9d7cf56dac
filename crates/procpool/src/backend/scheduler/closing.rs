//! The end of a pool.

use super::api::{Action, Closing, Now, TaskId, Unavailable, WorkerId};
use super::core::{Scheduler, Turn};
use super::facts::{End, Fact};
use super::life::{Claim, Halt, Life, Stage, Stop, Withdraw};
use super::payload::Payload;
use super::tasks::Place;
use super::timers::Timer;

/// A close that has begun.
#[derive(Debug)]
pub(super) struct Close {
    level: Level,
    /// The setting of [`Timer::Close`].
    pub(super) timer: Option<Now>,
    /// `Closed` has been said.
    over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Drain,
    DropQueued,
    Kill,
}

impl Close {
    /// Nothing is queued any more, and nothing is to be.
    pub(super) fn drops_queued(&self) -> bool {
        self.level >= Level::DropQueued
    }
}

impl<P: Payload> Scheduler<P> {
    /// Begins to close, or closes harder. Calls only ever add up: the harshest manner counts, and the soonest deadline
    /// of all, so that a pool's last handle that drops during a shutdown takes nothing back.
    pub(super) fn close(&mut self, how: Closing, turn: &mut Turn<'_, P>) {
        let (level, deadline) = match how {
            Closing::Drain { deadline } => (Level::Drain, deadline),
            Closing::DropQueued { deadline } => (Level::DropQueued, deadline),
            Closing::Kill => (Level::Kill, None),
        };
        let before = self.close.as_ref().map(|close| close.level);
        let close = self.close.get_or_insert(Close { level, timer: None, over: false });
        if close.over {
            return;
        }
        close.level = close.level.max(level);
        if close.level == Level::Kill {
            self.timers.disarm(&mut close.timer, Timer::Close);
        } else if let Some(at) = deadline
            && close.timer.is_none_or(|armed| at < armed)
        {
            self.timers.arm(&mut close.timer, at, Timer::Close);
        }
        if self.warming {
            self.warming = false;
            turn.act(Action::Warmed { result: Err(Unavailable::Closed) });
        }
        self.void_reservations(turn);
        // Nobody is let go for idleness: all go when the work is done.
        self.timers.disarm(&mut self.idle_timer, Timer::Idle);
        if before >= Some(level) {
            return;
        }
        turn.tell(Fact::Closing { how });
        match level {
            Level::Drain => {}
            Level::DropQueued => self.drop_unclaimed(turn),
            Level::Kill => self.kill_all(turn),
        }
    }

    fn drop_queued(&mut self, turn: &mut Turn<'_, P>) {
        while let Some(id) = self.queue.pop() {
            self.drop_task(id, turn);
        }
    }

    fn drop_task(&mut self, id: TaskId, turn: &mut Turn<'_, P>) {
        self.halt(id, Halt::ShutDown, turn);
    }

    /// Everything that has not begun is dropped; what is found to have begun runs on.
    fn drop_unclaimed(&mut self, turn: &mut Turn<'_, P>) {
        self.drop_queued(turn);
        for (id, place) in self.places() {
            match place {
                Place::Queued => {}
                Place::Bound(_) => self.drop_task(id, turn),
                Place::Assigned(worker) => self.withdraw(worker, id, Withdraw::ShutDown, turn),
            }
        }
    }

    /// Everything ends now. Tasks in a worker's hand are resolved by what is found when it is gone.
    fn kill_all(&mut self, turn: &mut Turn<'_, P>) {
        self.drop_queued(turn);
        for (id, place) in self.places() {
            match place {
                Place::Queued => {}
                Place::Bound(_) => self.drop_task(id, turn),
                Place::Assigned(worker) => self.mark_shut_down(worker, id),
            }
        }
        for worker in self.workers.ids() {
            self.kill(worker, turn);
        }
    }

    /// Notes that the kill which follows is the task's end; it is not asked first, and gets no grace.
    fn mark_shut_down(&mut self, worker: WorkerId, id: TaskId) {
        if let Some((_, held)) = self.workers.get_mut(worker).and_then(|worker| worker.held_for(id))
            && held.claim != Claim::Nonsense
        {
            held.stop.get_or_insert(Stop { halt: Halt::ShutDown, stage: Stage::Confirming });
        }
    }

    fn places(&self) -> Vec<(TaskId, Place)> {
        let mut places: Vec<_> = self.tasks.iter().map(|(&id, task)| (id, task.place)).collect();
        // The table has no order, and decisions must not depend on chance.
        places.sort_unstable_by_key(|&(id, _)| id);
        places
    }

    /// Whether the pool has ended.
    pub(super) fn is_over(&self) -> bool {
        self.close.as_ref().is_some_and(|close| close.over)
    }

    /// Whether everything that lives is to die.
    pub(super) fn kills_all(&self) -> bool {
        self.close.as_ref().is_some_and(|close| close.level == Level::Kill)
    }

    /// Carries a close on: when the work is done the workers go, and when they are gone it is over.
    pub(super) fn settle_close(&mut self, turn: &mut Turn<'_, P>) {
        if self.close.as_ref().is_none_or(|close| close.over) || !self.tasks.is_empty() {
            return;
        }
        for worker in self.workers.ids() {
            match self.workers.get(worker).map(|worker| &worker.life) {
                Some(Life::Idle) => self.retire(worker, End::Closed, turn),
                // It would only become ready to be told to go.
                Some(Life::Starting { .. }) => self.kill(worker, turn),
                _ => {}
            }
        }
        if self.workers.present() > 0 {
            return;
        }
        // A pause may still be running; nothing is to come after the end.
        self.timers.disarm(&mut self.starts.blocked, Timer::Backoff);
        self.timers.disarm(&mut self.claims_timer, Timer::Claims);
        if let Some(close) = &mut self.close {
            self.timers.disarm(&mut close.timer, Timer::Close);
            close.over = true;
        }
        turn.act(Action::Closed);
    }
}
