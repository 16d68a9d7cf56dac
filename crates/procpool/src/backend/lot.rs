//! Lots: the items of a map that travel as one task, and are told apart everywhere else.
//!
//! A lot is *open* while it waits for a worker: the map puts every item that it takes into it at once, so that none is
//! held back, and how many travel together is decided by how long they have to wait anyway. It is closed when it is
//! offered. To the scheduler it is one task, whose end is that of its last item; here is the ledger of the others.
//!
//! A worker answers the items in their order. So what is known about a lot is the number of the first that has no answer
//! yet, and, when the worker is gone, whether that one had begun.

use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::Duration;

use bytes::Bytes;
use futures::task::AtomicWaker;

use super::completion::{Observer, Outcome};
use super::outcome::trace_items;
use super::scheduler::TaskId;
use crate::error::{ErrorKind, Facts, RunError, Started};
use crate::panics;
use crate::sync::lock;
use crate::task::TaskName;
use crate::wire::lot::{Values, split_arguments};
use crate::wire::message::ReplyBody;
use crate::wire::progress::{LotState, MOST_ITEMS};

/// The most bytes of arguments in a lot, unless it has one item only: they fit one frame.
const MOST_BYTES: usize = 60 * 1024;

/// In how many pieces what is left of a lot is given to others.
pub(super) const PIECES: u32 = 8;

/// Items of a map, and what has come of them: shared by the map and the backend.
pub(crate) struct Lot {
    gather: Mutex<Gather>,
    arrived: Mutex<Vec<Arrived>>,
    home: Arc<Home>,
}

/// What the lots of one map have in common.
pub(crate) struct Home {
    /// Whoever polls the map.
    waker: AtomicWaker,
    observer: Arc<dyn Observer>,
}

impl Home {
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Home {
        Home { waker: AtomicWaker::new(), observer }
    }
}

struct Gather {
    arguments: Vec<u8>,
    items: u32,
    closed: bool,
}

/// The ends of some items that follow each other, the first of which is `first`, counted in the lot.
pub(crate) struct Arrived {
    pub(crate) first: u32,
    pub(crate) what: Ends,
}

pub(crate) enum Ends {
    Values(Values),
    One(Outcome),
}

/// The lot takes no more items.
#[derive(Debug)]
pub(crate) struct Closed;

impl Lot {
    /// An open one with its first items, each as [`push_arguments`](crate::wire::lot::push_arguments) has written it.
    pub(crate) fn new(home: &Arc<Home>, items: u32, arguments: &[u8]) -> Arc<Lot> {
        let gather = Gather { arguments: arguments.to_vec(), items, closed: false };
        Arc::new(Lot { gather: Mutex::new(gather), arrived: Mutex::default(), home: Arc::clone(home) })
    }

    /// Adds items, unless it would have more than `most`, would be too full, or is on its way.
    pub(crate) fn add(&self, items: u32, arguments: &[u8], most: u32) -> Result<(), Closed> {
        let mut gather = lock(&self.gather);
        let is_full = gather.items.saturating_add(items) > most.min(MOST_ITEMS)
            || gather.arguments.len() + arguments.len() > MOST_BYTES;
        if gather.closed || is_full {
            return Err(Closed);
        }
        gather.arguments.extend_from_slice(arguments);
        gather.items += items;
        Ok(())
    }

    /// How many items it has by now.
    fn items(&self) -> u32 {
        lock(&self.gather).items
    }

    /// No more are added.
    fn close(&self) -> (Vec<u8>, u32) {
        let mut gather = lock(&self.gather);
        gather.closed = true;
        (std::mem::take(&mut gather.arguments), gather.items)
    }

    /// Takes what has come, and sees to it that `context` is woken when more does.
    pub(crate) fn take(&self, context: &Context<'_>) -> Vec<Arrived> {
        let arrived = std::mem::take(&mut *lock(&self.arrived));
        if !arrived.is_empty() {
            return arrived;
        }
        self.home.waker.register(context.waker());
        std::mem::take(&mut *lock(&self.arrived))
    }
}

/// The ends of items on their way to the map. Let go, it delivers them: not under a lock.
pub(crate) struct Delivery {
    lot: Arc<Lot>,
    arrived: Vec<Arrived>,
    traced: Option<Traced>,
}

/// What tracing says about items: the number of the first of their lot, and the name and span of them all.
type Traced = (TaskId, TaskName, tracing::Span);

impl Delivery {
    pub(crate) fn deliver(self) {
        let Delivery { lot, arrived, traced } = self;
        let (mut values, mut failures) = (0, 0);
        for Arrived { what, .. } in &arrived {
            match what {
                Ends::One(Err(_)) => failures += 1,
                Ends::One(Ok(_)) => values += 1,
                Ends::Values(some) => values += u64::from(some.count),
            }
        }
        if let Some((base, name, span)) = traced {
            // Subscribers are foreign code; whoever waits is told whatever they do.
            panics::by_the_way(|| arrived.iter().for_each(|arrived| trace_items(base, &name, &span, arrived)));
        }
        lot.home.observer.ended_many(values, failures);
        lock(&lot.arrived).extend(arrived);
        lot.home.waker.wake();
    }
}

/// What a dead worker's page says about the items that it has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// None had begun.
    None,
    /// The first one had.
    First,
    /// Nothing that can be believed.
    Unknown,
}

/// The part of a lot that is one task, seen by the engine and under its lock: at first all of it.
pub(crate) struct Piece {
    lot: Arc<Lot>,
    /// The arguments of the items from `from` on, once the lot is closed.
    arguments: Bytes,
    from: u32,
    /// The first item of the piece.
    start: u32,
    /// The first item that has no answer.
    answered: u32,
    /// Behind the last one; `None` while the lot is open.
    end: Option<u32>,
    /// Which item the worker that has it counts as its first.
    offered: u32,
    /// That worker begins no further item.
    stopped: bool,
    /// For a cancel: those that it has not begun are to end.
    cancelled: bool,
    found: Found,
}

impl std::fmt::Debug for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Piece").field("start", &self.start).field("answered", &self.answered).finish_non_exhaustive()
    }
}

impl Piece {
    pub(crate) fn of(lot: &Arc<Lot>) -> Piece {
        Piece {
            lot: Arc::clone(lot),
            arguments: Bytes::new(),
            from: 0,
            start: 0,
            answered: 0,
            end: None,
            offered: 0,
            stopped: false,
            cancelled: false,
            found: Found::None,
        }
    }

    /// How many items have not ended.
    pub(super) fn open_items(&self) -> u32 {
        self.end.unwrap_or_else(|| self.lot.items()) - self.answered
    }

    /// How many there are in it.
    pub(super) fn items(&self) -> u32 {
        self.end.unwrap_or_else(|| self.lot.items()) - self.start
    }

    /// How many items the worker has answered that has it.
    pub(super) fn handled(&self) -> u32 {
        self.answered - self.offered
    }

    /// Its first item, counted in the lot.
    pub(super) fn start(&self) -> u32 {
        self.start
    }

    /// The first item that has no answer, counted in the lot.
    pub(super) fn next(&self) -> u32 {
        self.answered
    }

    fn close(&mut self) -> u32 {
        match self.end {
            Some(end) => end,
            None => {
                let (arguments, items) = self.lot.close();
                self.arguments = arguments.into();
                *self.end.insert(items)
            }
        }
    }

    /// What a worker is to be given: the arguments of all that have no answer.
    pub(super) fn hand_over(&mut self) -> Bytes {
        let is_whole = self.end.is_none();
        let end = self.close();
        if is_whole {
            return self.arguments.clone();
        }
        let mut rest = &self.arguments[..];
        for _ in self.from..self.answered {
            rest = split_arguments(rest).map_or(&[][..], |(_, rest)| rest);
        }
        let skipped = self.arguments.len() - rest.len();
        // Those behind a piece's end belong to another one.
        let mut behind = rest;
        for _ in self.answered..end {
            behind = split_arguments(behind).map_or(&[][..], |(_, rest)| rest);
        }
        let stop = self.arguments.len() - behind.len();
        self.arguments = self.arguments.slice(skipped..stop);
        (self.from, self.offered) = (self.answered, self.answered);
        (self.stopped, self.cancelled, self.found) = (false, false, Found::None);
        self.arguments.clone()
    }

    /// Items were answered; `None` if there are not so many.
    pub(super) fn answer(&mut self, count: u32) -> Option<u32> {
        let (first, end) = (self.answered, self.end?);
        if count > end - first {
            return None;
        }
        self.answered += count;
        Some(first)
    }

    /// Whether an end of the lot that the worker tells of is one.
    pub(super) fn may_end(&self) -> bool {
        self.cancelled || self.end == Some(self.answered)
    }

    pub(super) fn delivery(&self, arrived: Vec<Arrived>, traced: Option<Traced>) -> Delivery {
        Delivery { lot: Arc::clone(&self.lot), arrived, traced }
    }

    /// The worker has been told to begin no further item, and to end the one that runs.
    pub(super) fn cancel(&mut self) {
        (self.stopped, self.cancelled) = (true, true);
    }

    /// How long the items took, by the worker's account and no longer than it seemed.
    pub(super) fn effort(reply: &ReplyBody, seemed: Duration) -> Duration {
        let told = match reply {
            ReplyBody::Value(value) => value.first_chunk().map(|told| u64::from_le_bytes(*told)),
            _ => None,
        };
        told.map_or(seemed, |told| Duration::from_nanos(told).min(seemed))
    }

    /// Whether the worker that has it still has items before it.
    pub(super) fn has_more(&self, state: LotState) -> bool {
        let begun = match state {
            LotState::Runs { item } => item.saturating_add(1),
            LotState::Rests { before, .. } => before,
            LotState::Nonsense => return false,
        };
        !self.stopped && self.end.is_some_and(|end| self.offered.saturating_add(begun) < end)
    }

    /// Takes the items away that the worker, which was stopped in this state, will not begin: in several pieces, since
    /// they may be more work than was thought.
    pub(super) fn give_back(&mut self, state: LotState) -> Vec<Piece> {
        self.stopped = true;
        let begun = match state {
            LotState::Runs { item } => item.saturating_add(1),
            LotState::Rests { before, .. } => before,
            LotState::Nonsense => return Vec::new(),
        };
        let next = self.offered.saturating_add(begun);
        // A worker that has answered more than it says it has begun with.
        if next < self.answered {
            return Vec::new();
        }
        let mut pieces: Vec<_> = self.split(next).into_iter().collect();
        for left in (1..PIECES).rev() {
            let rest = pieces.last_mut().and_then(|last| last.split(last.start + last.items().div_ceil(left + 1)));
            pieces.extend(rest);
        }
        pieces
    }

    /// The worker is gone, and its page looks like this. False if that cannot be.
    pub(super) fn left_in(&mut self, state: LotState) -> bool {
        let unanswered = self.answered - self.offered;
        self.found = match state {
            LotState::Runs { item } if item == unanswered && Some(self.answered) != self.end => Found::First,
            LotState::Runs { item } if item.checked_add(1) == Some(unanswered) => Found::None,
            LotState::Rests { before, .. } if before == unanswered => Found::None,
            _ => Found::Unknown,
        };
        self.found != Found::Unknown
    }

    /// Whether this item, which has no answer, had begun.
    pub(super) fn has_begun(&self, item: u32) -> bool {
        match self.found {
            Found::None => false,
            Found::First => item == self.answered,
            Found::Unknown => true,
        }
    }

    /// Whether an item was lost with the worker.
    pub(super) fn has_lost(&self) -> bool {
        self.found != Found::None
    }

    /// Whether the worker that has been lost had answered something.
    pub(super) fn has_moved(&self) -> bool {
        self.answered > self.offered
    }

    /// The items that did not begin, as a piece of their own; none if nothing is known.
    pub(super) fn unbegun(&mut self) -> Option<Piece> {
        match self.found {
            Found::None => self.split(self.answered),
            Found::First => self.split(self.answered + 1),
            Found::Unknown => None,
        }
    }

    fn split(&mut self, at: u32) -> Option<Piece> {
        let end = self.close();
        if at >= end {
            return None;
        }
        let rest = Piece {
            lot: Arc::clone(&self.lot),
            arguments: self.arguments.clone(),
            from: self.from,
            start: at,
            answered: at,
            end: Some(end),
            offered: at,
            stopped: false,
            cancelled: false,
            found: Found::None,
        };
        self.end = Some(at);
        Some(rest)
    }

    /// Ends all items that have not ended, each in the way that this says.
    pub(super) fn end_all(&mut self, mut how: impl FnMut(u32) -> Outcome) -> Vec<Arrived> {
        let end = self.close();
        let first = std::mem::replace(&mut self.answered, end);
        (first..end).map(|item| Arrived { first: item, what: Ends::One(how(item)) }).collect()
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if self.open_items() == 0 {
            return;
        }
        let lost = |_| {
            let detail = Some("the pool lost it, which is a bug in procpool: please report it".into());
            Err(RunError::new(ErrorKind::Closed, Started::Unknown, Facts { detail, ..Facts::default() }))
        };
        let arrived = self.end_all(lost);
        self.delivery(arrived, None).deliver();
    }
}
