//! The right to send one message, and those who wait for it.

use std::task::{Context, Poll};

use crate::queue::link::ClientBoard;
use crate::queue::waiting::{self, Call};
use crate::queue::wire::ToHub;
use crate::sync::lock;

use super::errors::Refused;
use super::line::{Joined, Line, Ticket, Wakes};
use super::side::Side;

/// The senders of this process that wait at a slot, and what each needs in bytes. To be called means: its credit has been
/// taken from the board and is the caller's.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) line: Line<u64>,
}

impl Outgoing {
    pub(super) fn new() -> Outgoing {
        Outgoing { line: Line::new() }
    }

    /// Takes a credit, unless others were here first.
    fn take(&self, board: &ClientBoard, slot: u32, bytes: u64) -> bool {
        self.line.uncalled() == 0 && board.take_credit(slot, bytes)
    }

    /// Hands credits that are on the board to those who wait, first come, first served. Says whether any was.
    pub(super) fn serve(&mut self, board: &ClientBoard, slot: u32, wakes: &mut Wakes) -> bool {
        let before = self.line.called();
        while let Some(&bytes) = self.line.first_uncalled() {
            if !board.take_credit(slot, bytes) {
                break;
            }
            self.line.call(wakes);
        }
        let served = self.line.called() > before;
        if served {
            self.publish(board, slot);
        }
        served
    }

    /// Says on the board who waits.
    fn publish(&self, board: &ClientBoard, slot: u32) {
        let count = u32::try_from(self.line.uncalled()).unwrap_or(u32::MAX);
        board.set_senders_waiting(slot, count, self.line.first_uncalled().copied().unwrap_or(0));
    }
}

/// The way to a credit, and the credit. Dropped, it goes to whoever waits next, or back to the board.
#[derive(Debug)]
pub(super) struct Credit {
    side: Side,
    /// Of the queue's limit on bytes; 0 where it has none.
    bytes: u64,
    state: State,
    waits: Option<waiting::Guard>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Idle,
    Waiting(Ticket),
    Held,
    /// It has been used.
    Spent,
}

impl Credit {
    /// For a message of `len` bytes.
    pub(super) fn new(side: Side, len: u64) -> Credit {
        let bytes = if side.shape().bytes.is_some() { len } else { 0 };
        Credit { side, bytes, state: State::Idle, waits: None }
    }

    pub(super) fn side(&self) -> &Side {
        &self.side
    }

    /// Takes a credit that is there, if nobody has to be waited for. Then asks whether the queue still takes messages.
    #[inline]
    pub(super) fn take(&mut self) -> Result<bool, Refused> {
        let slot = self.side.slot();
        let client = self.side.client();
        client.here()?;
        let taken = match self.state {
            State::Idle => {
                let taken = lock(&slot.outgoing).take(client.board(), slot.number(), self.bytes);
                if taken {
                    self.state = State::Held;
                }
                taken
            }
            State::Waiting(_) => self.collect(),
            State::Held | State::Spent => return Ok(true),
        };
        if !taken {
            return Ok(false);
        }
        let (slot, client) = (self.side.slot(), self.side.client());
        match Refused::of(slot.state(client.board())) {
            None => Ok(true),
            Some(refused) => {
                self.give_up();
                Err(refused)
            }
        }
    }

    /// Waits for the credit.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        if self.take()? {
            return Poll::Ready(Ok(()));
        }
        if let Some(refused) = self.refused() {
            self.give_up();
            return Poll::Ready(Err(refused));
        }
        let joined = self.join(context);
        // What has changed before it joined, or was told to somebody else's waker, nobody will wake it for.
        let (slot, client) = (self.side.slot(), self.side.client());
        match joined {
            Joined::Same => return Poll::Pending,
            Joined::Changed => {}
            Joined::New => {
                client.watch(slot);
                client.tell(&ToHub::Look { slot: slot.number() });
                client.ring();
            }
        }
        let mut wakes = Wakes::default();
        lock(&slot.outgoing).serve(client.board(), slot.number(), &mut wakes);
        wakes.wake();
        if self.collect() {
            return Poll::Ready(Ok(()));
        }
        if let Some(refused) = self.refused() {
            self.give_up();
            return Poll::Ready(Err(refused));
        }
        Poll::Pending
    }

    /// Why there is nothing to wait for.
    pub(super) fn refused(&self) -> Option<Refused> {
        let client = self.side.client();
        client.broken().map(Refused::Broken).or_else(|| Refused::of(self.side.slot().state(client.board())))
    }

    /// Takes the last place in the line, or says whom to wake from now on.
    fn join(&mut self, context: &Context<'_>) -> Joined {
        let slot = self.side.slot();
        let mut outgoing = lock(&slot.outgoing);
        if let State::Waiting(ticket) = self.state {
            let update = outgoing.line.update(ticket, context.waker());
            drop(outgoing);
            return update.into();
        }
        let ticket = outgoing.line.join(self.bytes, context.waker());
        outgoing.publish(self.side.client().board(), slot.number());
        drop(outgoing);
        self.state = State::Waiting(ticket);
        self.waits = Some(waiting::begin(Call::Sending));
        Joined::New
    }

    /// Leaves the line with the credit, if it has been called.
    fn collect(&mut self) -> bool {
        let State::Waiting(ticket) = self.state else { return false };
        let mut outgoing = lock(&self.side.slot().outgoing);
        if !outgoing.line.is_called(ticket) {
            return false;
        }
        let left = outgoing.line.leave(ticket);
        drop(outgoing);
        drop(left);
        self.waits = None;
        self.state = State::Held;
        true
    }

    /// The message has left with it. What is left of its bytes goes back.
    pub(super) fn spend(&mut self, len: u64) {
        if let State::Held = self.state {
            self.state = State::Spent;
            let surplus = self.bytes.saturating_sub(len);
            if self.bytes > 0 && surplus > 0 {
                let (slot, client) = (self.side.slot(), self.side.client());
                client.board().put_back_bytes(slot.number(), surplus);
                self.pass_on();
            }
        }
    }

    /// Nothing will be sent with it.
    pub(super) fn give_up(&mut self) {
        self.waits = None;
        let client = self.side.client();
        if client.here().is_err() {
            return;
        }
        let slot = self.side.slot();
        let held = match self.state {
            State::Idle | State::Spent => return,
            State::Held => true,
            State::Waiting(ticket) => {
                let mut outgoing = lock(&slot.outgoing);
                let left = outgoing.line.leave(ticket);
                outgoing.publish(client.board(), slot.number());
                drop(outgoing);
                matches!(left, Some((true, _)))
            }
        };
        if held {
            client.board().put_back(slot.number(), self.bytes);
        }
        self.state = State::Idle;
        self.pass_on();
    }

    /// What is on the board now is for whoever waits here, and the hub is told of the rest.
    fn pass_on(&self) {
        let (slot, client) = (self.side.slot(), self.side.client());
        let mut wakes = Wakes::default();
        lock(&slot.outgoing).serve(client.board(), slot.number(), &mut wakes);
        wakes.wake();
        client.tell(&ToHub::Look { slot: slot.number() });
        client.ring();
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.give_up();
    }
}
