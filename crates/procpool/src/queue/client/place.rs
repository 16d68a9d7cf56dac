//! A place for a message that is yet to be made.

use std::task::{Context, Poll};

use super::credit::Credit;
use super::errors::Refused;
use super::sending::{Encoded, Sending, limit};
use super::side::Side;

/// The way to a [`Place`]. Dropped before that, nothing has been taken.
///
/// Where the queue has a limit on bytes, a place for the longest message is reserved; what the message does not need goes
/// back when it is sent.
#[derive(Debug)]
pub(crate) struct Reserving {
    credit: Option<Credit>,
    side: Side,
}

/// A place for one message, held. Dropped, it is somebody else's.
#[derive(Debug)]
pub(crate) struct Place {
    credit: Credit,
}

impl Reserving {
    pub(crate) fn new(side: &Side) -> Reserving {
        Reserving { credit: None, side: side.clone() }
    }

    fn credit(&mut self) -> &mut Credit {
        self.credit.get_or_insert_with(|| Credit::new(self.side.clone(), limit(&self.side)))
    }

    fn place(&mut self) -> Place {
        let credit = self.credit.take().unwrap_or_else(|| Credit::new(self.side.clone(), limit(&self.side)));
        Place { credit }
    }

    /// Cancel safe.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Place, Refused>> {
        match self.credit().poll(context) {
            Poll::Ready(result) => Poll::Ready(result.map(|()| self.place())),
            Poll::Pending => {
                let client = self.side.client();
                client.events().need_thread(client)?;
                Poll::Pending
            }
        }
    }
}

impl Place {
    /// Sends there. It may still have to wait for room in the link, but not for anybody to receive.
    pub(crate) fn send(self, message: Encoded) -> Sending {
        Sending::with(self.credit, message)
    }
}
