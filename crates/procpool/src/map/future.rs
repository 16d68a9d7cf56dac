//! All results of a map, or its first error.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::Stream;

use super::input::Input;
use super::stream::Map;
use crate::error::{ErrorKind, Facts, RunError, Started};

/// All results of a [`Map`], or its first error.
///
/// # Cancel safety
/// As for [`Map`]: dropping it cancels what is on its way.
#[must_use = "futures do nothing until they are awaited"]
pub struct MapFuture<I: Input, R> {
    map: Map<I, R>,
    results: Vec<R>,
    ended: bool,
}

impl<I: Input, R> MapFuture<I, R> {
    pub(super) fn new(map: Map<I, R>) -> Self {
        MapFuture { map, results: Vec::new(), ended: false }
    }

    /// Nothing more is wanted: what is on its way is cancelled, and what has come let go, now and not when this future is
    /// dropped.
    fn fail(&mut self, error: RunError) -> Poll<Result<Vec<R>, RunError>> {
        self.ended = true;
        self.map.cancel();
        self.results = Vec::new();
        Poll::Ready(Err(error))
    }
}

impl<I: Input, R> Unpin for MapFuture<I, R> {}

impl<I: Input, R> Future for MapFuture<I, R> {
    type Output = Result<Vec<R>, RunError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.ended {
            let detail = Some("its future was polled after it had ended".into());
            let facts = Facts { detail, ..Facts::default() };
            return Poll::Ready(Err(RunError::new(ErrorKind::Misuse, Started::Unknown, facts)));
        }
        loop {
            match std::task::ready!(Pin::new(&mut this.map).poll_next(context)) {
                Some(Ok(result)) => {
                    this.results.push(result);
                    if let Some(error) = this.map.take_at_hand(&mut this.results) {
                        return this.fail(error);
                    }
                }
                Some(Err(error)) => return this.fail(error),
                None => {
                    this.ended = true;
                    return Poll::Ready(Ok(std::mem::take(&mut this.results)));
                }
            }
        }
    }
}

impl<I: Input, R> fmt::Debug for MapFuture<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapFuture").field("map", &self.map).field("results", &self.results.len()).finish()
    }
}
