//! Who is there: slots and generations, the stack of idle workers, and the numbers by which the pool is staffed.

use std::collections::{BTreeSet, VecDeque};
use std::mem;
use std::time::Duration;

use super::api::{Now, OfferId, Placement, TaskId, WorkerId};
use super::facts::End;
use super::life::{Assignment, Before, Life};

/// One worker that has been asked for and has not ended.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) placement: Placement,
    pub(super) life: Life,
    /// What it was given ahead, behind the offer that its life is about, in the order in which it will claim it; and
    /// of the queue. Empty while it has nothing else in hand.
    pub(super) ahead: VecDeque<Assignment>,
    /// Since when it is in its phase.
    pub(super) since: Now,
    pub(super) tasks_done: u32,
    /// It claims nothing more.
    pub(super) worn: bool,
    /// When it was decided to start it.
    pub(super) born: Now,
    /// Why it ends, once it has been told to go.
    pub(super) end: Option<End>,
    /// The setting of its [`Timer::Worker`](super::timers::Timer::Worker).
    pub(super) timer: Option<Now>,
}

impl Worker {
    /// All that it has in hand, in the order in which it will claim it; also of a worker that is dying with it.
    pub(super) fn hand(&self) -> impl Iterator<Item = &Assignment> {
        self.life.assignment().into_iter().chain(&self.ahead)
    }

    pub(super) fn hand_mut(&mut self) -> impl Iterator<Item = &mut Assignment> {
        self.life.assignment_mut().into_iter().chain(&mut self.ahead)
    }

    /// The place of an offer in its hand; 0 is the one that runs, or is to run next.
    pub(super) fn position(&self, offer: OfferId) -> Option<usize> {
        self.hand().position(|held| held.offer == offer)
    }

    /// The offer of a task in its hand, with its place.
    pub(super) fn held_for(&mut self, task: TaskId) -> Option<(usize, &mut Assignment)> {
        self.hand_mut().enumerate().find(|(_, held)| held.task == task)
    }
}

/// How many shared workers are in which part of their life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) starting: u32,
    /// Idle or busy.
    pub(super) ready: u32,
    /// Killed because they failed to start, but still processes.
    pub(super) failing: u32,
    /// Killed for another reason, but still processes.
    pub(super) dying: u32,
    /// Retiring, or killed while retiring.
    pub(super) leaving: u32,
}

impl Tally {
    /// Those that count against the maximum. Dying ones do: a process that was killed still holds its memory.
    pub(super) fn live(&self) -> u32 {
        self.starting + self.ready + self.failing + self.dying
    }

    /// Those that are to stay.
    pub(super) fn kept(&self) -> u32 {
        self.starting + self.ready
    }

    fn part(&mut self, life: &Life) -> &mut u32 {
        match life {
            Life::Starting { .. } => &mut self.starting,
            Life::Idle | Life::Busy(_) => &mut self.ready,
            Life::Retiring | Life::Dying { was: Before::Retiring, .. } => &mut self.leaving,
            Life::Dying { was: Before::FailingStart, .. } => &mut self.failing,
            Life::Dying { .. } => &mut self.dying,
        }
    }
}

/// How much time of ready workers there was, and how much of it they had a task. In nanoseconds, which 64 bits would not
/// hold for many workers and long.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    until: Now,
    busy_ns: u128,
    ready_ns: u128,
}

impl Usage {
    /// Time has passed with so many workers.
    fn advance(&mut self, now: Now, busy: u32, ready: u32) {
        let passed = now.since(self.until).as_nanos();
        self.until = self.until.max(now);
        self.busy_ns += passed * u128::from(busy);
        self.ready_ns += passed * u128::from(ready);
    }
}

#[derive(Debug, Default)]
struct Slot {
    /// The generation of the next worker here.
    next: u32,
    worker: Option<Worker>,
}

/// All workers, by slot.
#[derive(Debug, Default)]
pub(super) struct Workers {
    slots: Vec<Slot>,
    free: BTreeSet<u32>,
    present: usize,
    tally: Tally,
    usage: Usage,
    /// Idle shared workers by slot; the last one is the next to work. Who worked last has the warmest caches, and who
    /// is not needed sinks to the front and can be let go.
    idle: VecDeque<u32>,
    /// How many offers are in hands behind another.
    ahead: usize,
}

impl Workers {
    /// Makes an entry in the lowest free slot, so that names stay few and small.
    pub(super) fn add(&mut self, placement: Placement, life: Life, now: Now) -> WorkerId {
        let index = match self.free.pop_first() {
            Some(index) => index,
            None => {
                self.slots.push(Slot::default());
                (self.slots.len() - 1) as u32
            }
        };
        let slot = &mut self.slots[index as usize];
        let id = WorkerId { slot: index, generation: slot.next };
        slot.next = slot.next.wrapping_add(1);
        if placement == Placement::Shared {
            *self.tally.part(&life) += 1;
        }
        slot.worker = Some(Worker {
            placement,
            life,
            ahead: VecDeque::new(),
            since: now,
            tasks_done: 0,
            worn: false,
            born: now,
            end: None,
            timer: None,
        });
        self.present += 1;
        id
    }

    /// Takes out a worker that has ended.
    pub(super) fn remove(&mut self, id: WorkerId, now: Now) -> Option<Worker> {
        self.get(id)?;
        self.usage.advance(now, self.busy(), self.tally.ready);
        let worker = self.slots[id.slot as usize].worker.take()?;
        if worker.placement == Placement::Shared {
            *self.tally.part(&worker.life) -= 1;
        }
        if matches!(worker.life, Life::Idle) {
            self.unstack(id);
        }
        self.free.insert(id.slot);
        self.present -= 1;
        self.ahead -= worker.ahead.len();
        Some(worker)
    }

    /// The worker of this name; `None` for one that has ended, also when its slot has been filled again.
    pub(super) fn get(&self, id: WorkerId) -> Option<&Worker> {
        let slot = self.slots.get(id.slot as usize)?;
        if slot.next.wrapping_sub(1) == id.generation { slot.worker.as_ref() } else { None }
    }

    /// As [`get`](Self::get). The life may be changed in place only within a variant; see [`change`](Self::change).
    pub(super) fn get_mut(&mut self, id: WorkerId) -> Option<&mut Worker> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.next.wrapping_sub(1) == id.generation { slot.worker.as_mut() } else { None }
    }

    /// Moves a worker on in its life. All transitions go through here: the tally and the idle stack follow.
    pub(super) fn change<R>(&mut self, id: WorkerId, now: Now, step: impl FnOnce(Life) -> (Life, R)) -> Option<R> {
        self.usage.advance(now, self.busy(), self.tally.ready);
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.next.wrapping_sub(1) != id.generation {
            return None;
        }
        let worker = slot.worker.as_mut()?;
        // The stand-in is never seen: no step can fail half-way.
        let old = mem::replace(&mut worker.life, Life::Retiring);
        let was_idle = matches!(old, Life::Idle);
        let shared = worker.placement == Placement::Shared;
        if shared {
            *self.tally.part(&old) -= 1;
        }
        let (new, result) = step(old);
        if shared {
            *self.tally.part(&new) += 1;
        }
        let is_idle = matches!(new, Life::Idle);
        worker.life = new;
        worker.since = now;
        let fresh = worker.tasks_done == 0;
        match (was_idle, is_idle) {
            (true, false) => self.unstack(id),
            // A worker that has yet to work goes below those that have: one that booted meanwhile never takes the
            // place of a warm one, and serial submissions always meet the same worker.
            (false, true) if shared && fresh => self.idle.push_front(id.slot),
            (false, true) if shared => self.idle.push_back(id.slot),
            _ => {}
        }
        Some(result)
    }

    /// Takes the first offer out of a worker's hand; the next one takes its place.
    pub(super) fn release(&mut self, id: WorkerId, now: Now) -> Option<Assignment> {
        let next = self.remove_ahead(id, 0);
        self.change(id, now, |life| life.release(next))?
    }

    /// Puts an offer behind all that a worker has in hand.
    pub(super) fn push_ahead(&mut self, id: WorkerId, held: Assignment) {
        if let Some(worker) = self.get_mut(id) {
            worker.ahead.push_back(held);
            self.ahead += 1;
        }
    }

    /// Takes an offer out from behind the first one.
    pub(super) fn remove_ahead(&mut self, id: WorkerId, index: usize) -> Option<Assignment> {
        let held = self.get_mut(id)?.ahead.remove(index)?;
        self.ahead -= 1;
        Some(held)
    }

    /// How many offers are in hands behind another, those of dying workers included.
    pub(super) fn ahead(&self) -> usize {
        self.ahead
    }

    /// How many shared workers have a task.
    pub(super) fn busy(&self) -> u32 {
        self.tally.ready.saturating_sub(self.idle.len() as u32)
    }

    /// The time that ready shared workers had tasks, and that there was of them.
    pub(super) fn usage(&self, now: Now) -> (Duration, Duration) {
        let mut usage = self.usage;
        usage.advance(now, self.busy(), self.tally.ready);
        let time = |ns: u128| {
            Duration::from_secs((ns / 1_000_000_000) as u64) + Duration::from_nanos((ns % 1_000_000_000) as u64)
        };
        (time(usage.busy_ns), time(usage.ready_ns))
    }

    /// Notes why a worker goes. The first reason counts.
    pub(super) fn ends(&mut self, id: WorkerId, why: End) {
        if let Some(worker) = self.get_mut(id) {
            worker.end.get_or_insert(why);
        }
    }

    fn unstack(&mut self, id: WorkerId) {
        // Nearly always the last one.
        if let Some(at) = self.idle.iter().rposition(|&slot| slot == id.slot) {
            self.idle.remove(at);
        }
    }

    fn id_of(&self, slot: u32) -> Option<WorkerId> {
        let entry = self.slots.get(slot as usize)?;
        entry.worker.as_ref().map(|_| WorkerId { slot, generation: entry.next.wrapping_sub(1) })
    }

    /// The idle shared worker that worked last.
    pub(super) fn top_idle(&self) -> Option<WorkerId> {
        self.idle.back().and_then(|&slot| self.id_of(slot))
    }

    /// The shared worker that has been idle for the longest time, and since when.
    pub(super) fn longest_idle(&self) -> Option<(Now, WorkerId)> {
        let idle = self.idle.iter().filter_map(|&slot| {
            let id = self.id_of(slot)?;
            Some((self.get(id)?.since, id))
        });
        idle.min_by_key(|&(since, id)| (since, std::cmp::Reverse(id.slot)))
    }

    /// The shared worker that has come the least far on its way to being ready.
    pub(super) fn latest_start(&self) -> Option<WorkerId> {
        let starting = self.iter().filter_map(|(id, worker)| match worker.life {
            Life::Starting { booted, bound: None } => Some((!booted, worker.since, id)),
            _ => None,
        });
        starting.max().map(|(.., id)| id)
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// All that have not ended, of either kind.
    pub(super) fn present(&self) -> usize {
        self.present
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        (0..).zip(&self.slots).filter_map(|(slot, entry)| {
            let id = WorkerId { slot, generation: entry.next.wrapping_sub(1) };
            entry.worker.as_ref().map(|worker| (id, worker))
        })
    }

    /// The names of all workers, for those who change them while they go through.
    pub(super) fn ids(&self) -> Vec<WorkerId> {
        self.iter().map(|(id, _)| id).collect()
    }
}
