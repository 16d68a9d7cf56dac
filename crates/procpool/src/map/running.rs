//! The calls on their way.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::stream::{FuturesUnordered, Stream};

use super::group::Group;
use super::tracker::Tracker;
use crate::backend::Backend;
use crate::backend::scheduler::{CancelReason, TaskId};
use crate::error::{ErrorKind, RunError, Started};
use crate::pool::Run;

/// Those whose results have not been taken, in the order in which they are to be.
pub(super) enum Running<R> {
    Ordered(VecDeque<Numbered<R>>),
    Unordered(FuturesUnordered<Numbered<R>>),
}

/// A call that knows which item it is for.
pub(super) struct Numbered<R> {
    pub(super) index: usize,
    pub(super) run: Run<R>,
    pub(super) tracker: Arc<Tracker>,
    /// The group that it has entered.
    pub(super) group: Option<(Arc<Group>, TaskId)>,
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

impl<R> Running<R> {
    pub(super) fn len(&self) -> usize {
        match self {
            Running::Ordered(runs) => runs.len(),
            Running::Unordered(runs) => runs.len(),
        }
    }

    pub(super) fn push(&mut self, run: Numbered<R>) {
        match self {
            Running::Ordered(runs) => runs.push_back(run),
            Running::Unordered(runs) => runs.push(run),
        }
    }

    /// The next result; `None` while no call is on its way.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<R, RunError>>> {
        match self {
            Running::Ordered(runs) => match runs.front_mut() {
                Some(run) => {
                    let result = std::task::ready!(Pin::new(run).poll(context));
                    runs.pop_front();
                    Poll::Ready(Some(result))
                }
                None => Poll::Ready(None),
            },
            Running::Unordered(runs) => Pin::new(runs).poll_next(context),
        }
    }

    pub(super) fn make_unordered(&mut self) {
        if let Running::Ordered(runs) = self {
            let runs = std::mem::take(runs);
            *self = Running::Unordered(runs.into_iter().collect());
        }
    }

    /// Cancels what is on its way, as one and the last first: a worker that the end of one call sets free is then not
    /// given the next one, only to be killed for it.
    pub(super) fn cancel(&mut self, backend: &dyn Backend) {
        let mut runs: Vec<Numbered<R>> = match self {
            Running::Ordered(runs) => runs.drain(..).collect(),
            Running::Unordered(runs) => std::mem::take(runs).into_iter().collect(),
        };
        runs.sort_unstable_by_key(|run| Reverse(run.index));
        let mut tasks = runs.iter().filter_map(|run| run.run.task());
        if let Some(first) = tasks.next() {
            backend.cancel_all(&mut std::iter::once(first).chain(tasks), CancelReason::Dropped);
        }
        runs.into_iter().for_each(|run| run.run.detach());
    }
}
