//! Questions about a queue, which its broker answers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::client::{Asking, Question};
use super::error::Unavailable;
use super::handle::Handle;

#[derive(Debug)]
enum Asked<'a> {
    NotYet(&'a Handle, Question),
    Waiting(Asking),
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.show("Handle", f)
    }
}

impl Asked<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<u64, Unavailable>> {
        if let Asked::NotYet(handle, question) = self {
            *self = Asked::Waiting(Asking::new(handle.side()?, *question));
        }
        match self {
            Asked::Waiting(asking) => asking.poll(context).map_err(Into::into),
            Asked::NotYet(..) => Poll::Pending,
        }
    }
}

/// Asks, and blocks the thread until the answer is there.
pub(super) fn ask(handle: &Handle, question: Question) -> Result<u64, Unavailable> {
    let answer = Asking::new(handle.side()?, question).wait(None)?;
    answer.ok_or_else(|| Unavailable::new("no answer came, and no deadline either"))
}

/// How many messages wait in a queue; what [`Sender::len`](super::Sender::len) and
/// [`Receiver::len`](super::Receiver::len) return.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct Len<'a>(Asked<'a>);

/// Ready once all that was sent is done with; what [`Sender::join`](super::Sender::join) and
/// [`Receiver::join`](super::Receiver::join) return.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct Join<'a>(Asked<'a>);

impl<'a> Len<'a> {
    pub(super) fn of(handle: &'a Handle) -> Self {
        Len(Asked::NotYet(handle, Question::Len))
    }
}

impl<'a> Join<'a> {
    pub(super) fn of(handle: &'a Handle) -> Self {
        Join(Asked::NotYet(handle, Question::Join))
    }
}

impl Future for Len<'_> {
    type Output = Result<usize, Unavailable>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let count = ready!(self.0.poll(context))?;
        Poll::Ready(Ok(usize::try_from(count).unwrap_or(usize::MAX)))
    }
}

impl Future for Join<'_> {
    type Output = Result<(), Unavailable>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.0.poll(context))?;
        Poll::Ready(Ok(()))
    }
}
