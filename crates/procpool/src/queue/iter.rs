//! A receiver as an iterator.

use std::fmt;

use super::error::RecvError;
use super::receiver::Receiver;
use crate::task::Ship;

/// The next item; `None` at the end of the queue, and once queues cannot be used any more, which is said once.
fn next<T: Ship>(receiver: &Receiver<T>, ended: &mut bool) -> Option<Result<T, RecvError>> {
    if *ended {
        return None;
    }
    let received = receiver.recv_blocking();
    if let Err(error) = &received {
        *ended = !matches!(error, RecvError::Decode(_));
        if error.is_final() {
            return None;
        }
    }
    Some(received)
}

/// The messages of a queue, until it has ended; made by [`Receiver::iter`].
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
    ended: bool,
}

impl<'a, T> Iter<'a, T> {
    pub(super) fn of(receiver: &'a Receiver<T>) -> Self {
        Iter { receiver, ended: false }
    }
}

impl<T: Ship> Iterator for Iter<'_, T> {
    type Item = Result<T, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        next(self.receiver, &mut self.ended)
    }
}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Iter").field(self.receiver).finish()
    }
}

/// The messages of a queue, until it has ended; made of a [`Receiver`].
pub struct IntoIter<T> {
    receiver: Receiver<T>,
    ended: bool,
}

impl<T: Ship> Iterator for IntoIter<T> {
    type Item = Result<T, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        next(&self.receiver, &mut self.ended)
    }
}

impl<T> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoIter").field(&self.receiver).finish()
    }
}

impl<'a, T: Ship> IntoIterator for &'a Receiver<T> {
    type Item = Result<T, RecvError>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T: Ship> IntoIterator for Receiver<T> {
    type Item = Result<T, RecvError>;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self, ended: false }
    }
}
