//! A scheduler on strings: each call tells it one thing and hands back its decisions as text.

use std::time::Duration;

use super::super::*;
use super::job::{Job, Test};
use super::ledger::ms;
use super::show::show;

pub(super) struct Puppet {
    pub(super) scheduler: Scheduler<Test>,
    pub(super) now: Now,
    /// What it told beside its decisions, since somebody last looked.
    pub(super) told: Vec<String>,
}

/// A pool of up to `max` with nothing special.
pub(super) fn config(max: u32) -> SchedulerConfig {
    SchedulerConfig {
        min_workers: 0,
        max_workers: max,
        spares: 0,
        queue_limit: 100,
        waiting_limit: 100,
        ageing: Duration::MAX,
        idle_timeout: None,
        max_tasks: None,
        start_limit: ms(1_000),
        init_limit: ms(2_000),
        exit_limit: ms(3_000),
        claim_limit: ms(500),
        max_offers: 3,
        max_depth: 64,
        start_failures: 3,
        backoff: ms(100),
        max_backoff: ms(300),
    }
}

pub(super) const PLAIN: TaskOptions = TaskOptions {
    placement: Placement::Shared,
    admission: Admission::Wait,
    priority: 0,
    retries: 0,
    run_limit: None,
    queue_limit: None,
    grace: Duration::ZERO,
    deadline: None,
    batch: Batch::One,
};

/// The first worker of a slot.
pub(super) fn w(slot: u32) -> WorkerId {
    WorkerId { slot, generation: 0 }
}

impl Puppet {
    pub(super) fn new(config: SchedulerConfig) -> Self {
        Puppet { scheduler: Scheduler::new(config), now: Now::default(), told: Vec::new() }
    }

    /// A pool whose `n` workers are ready and idle, having worked once, worker 0 last.
    pub(super) fn with_workers(n: u32, config: SchedulerConfig) -> Self {
        let mut puppet = Puppet::new(SchedulerConfig { max_workers: n, ..config });
        for _ in 0..n {
            puppet.submit(PLAIN);
        }
        for slot in 0..n {
            puppet.ready(w(slot));
        }
        for slot in (0..n).rev() {
            puppet.reply(w(slot));
        }
        puppet.scheduler.config.max_workers = config.max_workers;
        puppet
    }

    pub(super) fn tell(&mut self, event: Event<Test>) -> Vec<String> {
        let mut actions = Vec::new();
        self.scheduler.handle(event, self.now, &mut actions);
        self.decisions(&actions)
    }

    pub(super) fn submit(&mut self, options: TaskOptions) -> Vec<String> {
        let mut actions = Vec::new();
        self.scheduler.submit(Job::Plain, options, self.now, &mut actions);
        self.decisions(&actions)
    }

    fn decisions(&mut self, actions: &[Action<Test>]) -> Vec<String> {
        let (told, decided): (Vec<_>, Vec<_>) = actions.iter().partition(|action| matches!(action, Action::Tell(_)));
        self.told.extend(told.into_iter().map(show));
        decided.into_iter().map(show).collect()
    }

    /// What it told since this was called last.
    pub(super) fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// Takes a place, as `try_run` does.
    pub(super) fn try_reserve(&mut self) -> Result<ReservationId, Refused<Test>> {
        self.scheduler.reserve(Patience::None, self.now).map(|booking| match booking {
            Booking::Held(id) => id,
            Booking::Waiting(_) => panic!("it was not to wait"),
        })
    }

    /// Stands in line for a place; true if it has one at once.
    pub(super) fn reserve(&mut self, priority: i32, limit: Option<Duration>) -> bool {
        let booking = self.scheduler.reserve(Patience::Wait { priority, limit }, self.now);
        matches!(booking.expect("a place or a turn"), Booking::Held(_))
    }

    pub(super) fn unreserve(&mut self, reservation: u64) -> Vec<String> {
        self.tell(Event::Unreserve { reservation: ReservationId(reservation) })
    }

    pub(super) fn ready(&mut self, worker: WorkerId) -> Vec<String> {
        self.tell(Event::Spawned { worker });
        self.tell(Event::Booted { worker });
        self.tell(Event::Ready { worker })
    }

    /// What the worker has in hand.
    pub(super) fn hand(&self, worker: WorkerId) -> Vec<(OfferId, TaskId)> {
        let worker = self.scheduler.workers.get(worker);
        worker.into_iter().flat_map(|worker| worker.hand()).map(|held| (held.offer, held.task)).collect()
    }

    /// The numbers of the tasks that it has in hand.
    pub(super) fn tasks_of(&self, worker: WorkerId) -> Vec<u64> {
        self.hand(worker).into_iter().map(|(_, task)| task.0).collect()
    }

    fn first(&self, worker: WorkerId) -> (OfferId, TaskId) {
        *self.hand(worker).first().expect("it has nothing in hand")
    }

    pub(super) fn reply(&mut self, worker: WorkerId) -> Vec<String> {
        let (offer, task) = self.first(worker);
        self.tell(Event::Replied { worker, offer, reply: (task, offer) })
    }

    pub(super) fn evidence(&mut self, worker: WorkerId, evidence: Evidence) -> Vec<String> {
        let (offer, _) = self.first(worker);
        self.tell(Event::Evidence { worker, offer, evidence })
    }

    /// Evidence about a task that need not be the first in hand.
    pub(super) fn evidence_of(&mut self, worker: WorkerId, task: u64, evidence: Evidence) -> Vec<String> {
        let hand = self.hand(worker);
        let (offer, _) = *hand.iter().find(|(_, held)| held.0 == task).expect("it does not have it in hand");
        self.tell(Event::Evidence { worker, offer, evidence })
    }

    pub(super) fn exited(&mut self, worker: WorkerId, evidence: Option<Evidence>) -> Vec<String> {
        let first = self.hand(worker).first().map(|(offer, _)| *offer);
        let evidence = first.zip(evidence).into_iter().collect();
        self.tell(Event::Exited { worker, evidence, death: "SIGSEGV" })
    }

    /// As [`exited`](Self::exited), with what the page says about all that it has in hand.
    pub(super) fn exited_with(&mut self, worker: WorkerId, evidence: &[Evidence]) -> Vec<String> {
        let offers = self.hand(worker).into_iter().map(|(offer, _)| offer);
        let evidence = offers.zip(evidence.iter().copied()).collect();
        self.tell(Event::Exited { worker, evidence, death: "SIGSEGV" })
    }

    pub(super) fn cancel(&mut self, task: u64) -> Vec<String> {
        self.tell(Event::Cancel { task: TaskId(task), why: CancelReason::Dropped })
    }

    /// Lets time pass to the next timer, which is due in `after` milliseconds.
    pub(super) fn tick(&mut self, after: u64) -> Vec<String> {
        let at = self.now.after(ms(after));
        assert_eq!(self.scheduler.next_deadline(), Some(at), "another time than expected");
        self.now = at;
        self.tell(Event::Tick)
    }

    pub(super) fn claimed(&self) -> Evidence {
        Evidence::Claimed { at: self.now }
    }

    pub(super) fn offered(&self) -> Evidence {
        Evidence::Offered { since: self.now }
    }
}

/// No decision.
pub(super) const NOTHING: [&str; 0] = [];
