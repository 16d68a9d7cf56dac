//! The calls on their way.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::stream::{FuturesUnordered, Stream};

use super::group::Group;
use super::lots::{LotRun, Order};
use super::tracker::Tracker;
use crate::backend::Backend;
use crate::backend::scheduler::{CancelReason, TaskId};
use crate::error::{ErrorKind, RunError, Started};
use crate::pool::Run;

/// Those whose results have not been taken.
pub(super) struct Running<R> {
    kept: Kept<R>,
    /// How many items that is.
    items: usize,
}

enum Kept<R> {
    /// In the order in which their results are to be taken.
    Ordered(VecDeque<Part<R>>),
    Unordered(FuturesUnordered<Numbered<R>>, VecDeque<LotRun<R>>),
}

enum Part<R> {
    One(Numbered<R>),
    Lot(LotRun<R>),
}

/// A call that knows which item it is for.
pub(super) struct Numbered<R> {
    pub(super) index: usize,
    pub(super) run: Run<R>,
    tracker: Arc<Tracker>,
    /// The group that it has entered.
    group: Option<(Arc<Group>, TaskId)>,
}

impl<R> Numbered<R> {
    /// A call that has been started.
    pub(super) fn new(
        index: usize,
        run: Run<R>,
        tracker: Arc<Tracker>,
        group: Option<&Arc<Group>>,
        backend: &dyn Backend,
    ) -> Self {
        let group = group.zip(run.task()).map(|(group, task)| {
            group.enter(backend, task);
            (Arc::clone(group), task)
        });
        Numbered { index, run, tracker, group }
    }
}

impl<R> Future for Numbered<R> {
    type Output = Result<R, RunError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let result = std::task::ready!(Pin::new(&mut this.run).poll(context));
        if let Some((group, task)) = this.group.take() {
            group.leave(task);
        }
        Poll::Ready(result.map_err(|error| {
            // The one failure that shows only here: what the worker gave as a value does not decode.
            if (error.kind(), error.started()) == (ErrorKind::Decode, Started::Yes) {
                this.tracker.value_was_none();
            }
            error.with_index(this.index)
        }))
    }
}

impl<R> Default for Running<R> {
    fn default() -> Self {
        Running { kept: Kept::Ordered(VecDeque::new()), items: 0 }
    }
}

impl<R> Running<R> {
    pub(super) fn len(&self) -> usize {
        self.items
    }

    pub(super) fn push(&mut self, run: Numbered<R>) {
        self.items += 1;
        match &mut self.kept {
            Kept::Ordered(parts) => parts.push_back(Part::One(run)),
            Kept::Unordered(runs, _) => runs.push(run),
        }
    }

    /// A lot of items that have been counted.
    pub(super) fn push_lot(&mut self, lot: LotRun<R>) {
        match &mut self.kept {
            Kept::Ordered(parts) => parts.push_back(Part::Lot(lot)),
            Kept::Unordered(_, lots) => lots.push_back(lot),
        }
    }

    /// The lot that the next item may join.
    pub(super) fn last_lot(&mut self) -> Option<&mut LotRun<R>> {
        match &mut self.kept {
            Kept::Ordered(parts) => match parts.back_mut()? {
                Part::One(_) => None,
                Part::Lot(lot) => Some(lot),
            },
            Kept::Unordered(_, lots) => lots.back_mut(),
        }
    }

    /// One more item is to be part of a lot.
    pub(super) fn joined(&mut self) {
        self.items += 1;
    }

    /// The next result; `None` while no call is on its way.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<R, RunError>>> {
        let next = match &mut self.kept {
            Kept::Ordered(parts) => poll_first(parts, context),
            Kept::Unordered(runs, lots) => match Pin::new(runs).poll_next(context) {
                Poll::Ready(Some(result)) => Poll::Ready(Some(result)),
                Poll::Ready(None) if lots.is_empty() => Poll::Ready(None),
                Poll::Ready(None) | Poll::Pending => poll_any(lots, context),
            },
        };
        if let Poll::Ready(Some(_)) = &next {
            self.items -= 1;
        }
        next
    }

    /// The next result, if it has been read and nobody needs to be asked.
    pub(super) fn next_at_hand(&mut self) -> Option<Result<R, RunError>> {
        let Kept::Ordered(parts) = &mut self.kept else { return None };
        let Part::Lot(lot) = parts.front_mut()? else { return None };
        let result = lot.next_at_hand()?;
        self.items -= 1;
        Some(result)
    }

    /// Takes results that have been read: no more than so many, and up to the first failure.
    pub(super) fn take_at_hand(&mut self, most: usize, into: &mut Vec<R>) -> (usize, Option<RunError>) {
        let Kept::Ordered(parts) = &mut self.kept else { return (0, None) };
        let Some(Part::Lot(lot)) = parts.front_mut() else { return (0, None) };
        let (taken, failed) = lot.take_at_hand(most, into);
        self.items -= taken;
        (taken, failed)
    }

    pub(super) fn make_unordered(&mut self) {
        if let Kept::Ordered(parts) = &mut self.kept {
            let (runs, mut lots) = (FuturesUnordered::new(), VecDeque::new());
            for part in std::mem::take(parts) {
                match part {
                    Part::One(run) => runs.push(run),
                    Part::Lot(lot) => lots.push_back(lot),
                }
            }
            self.kept = Kept::Unordered(runs, lots);
        }
    }

    /// Cancels what is on its way, as one and the last first: a worker that the end of one call sets free is then not
    /// given the next one, only to be killed for it.
    pub(super) fn cancel(&mut self, backend: &dyn Backend) {
        self.items = 0;
        let mut parts: Vec<Part<R>> = match &mut self.kept {
            Kept::Ordered(parts) => parts.drain(..).collect(),
            Kept::Unordered(runs, lots) => {
                let runs = std::mem::take(runs).into_iter().map(Part::One);
                runs.chain(lots.drain(..).map(Part::Lot)).collect()
            }
        };
        parts.sort_unstable_by_key(|part| Reverse(part.index()));
        let mut tasks = parts.iter().filter_map(Part::task);
        if let Some(first) = tasks.next() {
            backend.cancel_all(&mut std::iter::once(first).chain(tasks), CancelReason::Dropped);
        }
        for part in parts {
            if let Part::One(run) = part {
                run.run.detach();
            }
        }
    }
}

impl<R> Part<R> {
    fn index(&self) -> usize {
        match self {
            Part::One(run) => run.index,
            Part::Lot(lot) => lot.first_index(),
        }
    }

    fn task(&self) -> Option<TaskId> {
        match self {
            Part::One(run) => run.run.task(),
            Part::Lot(lot) => lot.task(),
        }
    }
}

type Next<R> = Poll<Option<Result<R, RunError>>>;

fn poll_first<R>(parts: &mut VecDeque<Part<R>>, context: &mut Context<'_>) -> Next<R> {
    let Some(first) = parts.front_mut() else { return Poll::Ready(None) };
    let (result, is_over) = match first {
        Part::One(run) => (std::task::ready!(Pin::new(run).poll(context)), true),
        Part::Lot(lot) => {
            let result = std::task::ready!(lot.poll(Order::ByIndex, context));
            if lot.is_over() {
                lot.leave();
            }
            (result, lot.is_over())
        }
    };
    if is_over {
        parts.pop_front();
    }
    Poll::Ready(Some(result))
}

fn poll_any<R>(lots: &mut VecDeque<LotRun<R>>, context: &Context<'_>) -> Next<R> {
    for at in 0..lots.len() {
        if let Poll::Ready(result) = lots[at].poll(Order::Any, context) {
            if lots[at].is_over() {
                lots[at].leave();
                lots.remove(at);
            }
            return Poll::Ready(Some(result));
        }
    }
    Poll::Pending
}
