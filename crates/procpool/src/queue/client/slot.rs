//! One queue, as this process sees it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::queue::key::{QueueId, QueueState, Shape};
use crate::queue::link::ClientBoard;
use crate::sync::lock;

use super::credit::Outgoing;
use super::errors::{Ended, Refused};
use super::incoming::{Inbound, Incoming};
use super::line::Wakes;

/// A queue's place on the board, and those who wait there.
#[derive(Debug)]
pub(super) struct Slot {
    number: u32,
    queue: QueueId,
    shape: Shape,
    /// This process has closed it, and need not wait to be told.
    closed: AtomicBool,
    pub(super) outgoing: Mutex<Outgoing>,
    pub(super) incoming: Mutex<Incoming>,
}

impl Slot {
    pub(super) fn new(number: u32, queue: QueueId, shape: Shape) -> Slot {
        Slot {
            number,
            queue,
            shape,
            closed: AtomicBool::new(false),
            outgoing: Mutex::new(Outgoing::new()),
            incoming: Mutex::new(Incoming::new()),
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn queue(&self) -> QueueId {
        self.queue
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn state(&self, board: &ClientBoard) -> QueueState {
        let mut state = board.state(self.number);
        state.closed |= self.closed.load(Ordering::Acquire);
        state
    }

    /// This process closes the queue.
    pub(super) fn close(&self, wakes: &mut Wakes) {
        self.closed.store(true, Ordering::Release);
        lock(&self.outgoing).line.wake_all(wakes);
    }

    /// A message has come.
    pub(super) fn deliver(&self, inbound: Inbound, wakes: &mut Wakes) {
        lock(&self.incoming).push(inbound, wakes);
    }

    /// Wakes whoever can go on, by what the board says now. Whether anybody waits here at all.
    pub(super) fn look(&self, board: &ClientBoard, wakes: &mut Wakes) -> bool {
        let state = self.state(board);
        let mut outgoing = lock(&self.outgoing);
        outgoing.serve(board, self.number, wakes);
        if Refused::of(state).is_some() {
            outgoing.line.wake_all(wakes);
        }
        let senders = outgoing.line.len();
        drop(outgoing);
        let mut incoming = lock(&self.incoming);
        if Ended::of(state).is_some() {
            incoming.line.wake_all(wakes);
        }
        senders + incoming.line.len() > 0
    }

    pub(super) fn wake_all(&self, wakes: &mut Wakes) {
        lock(&self.outgoing).line.wake_all(wakes);
        lock(&self.incoming).line.wake_all(wakes);
    }
}
