//! What is to be written to a worker, in the order in which it was decided, cut into fragments. Sans-IO.
//!
//! Big messages are cut lazily, so that one that is revoked half-way costs an abort marker and no more, and small
//! messages pass between the fragments of a big one.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

use crate::wire::frame::{Flags, HEADER_LEN, Header, Kind, MAX_FRAGMENT};

/// Messages up to this size are copied together, so that a burst of them leaves in one write.
const SMALL: usize = 8 * 1024;
/// How many bytes of a big message are cut ahead of what the socket has taken.
const AHEAD: usize = 4 * MAX_FRAGMENT;
/// How many slices are offered to one write.
const SLICES: usize = 16;

/// One message for a worker.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) kind: Kind,
    pub(crate) id: u64,
    /// Goes before the body; small.
    pub(crate) head: Vec<u8>,
    pub(crate) body: Bytes,
}

/// An instruction for the stream.
#[derive(Debug)]
pub(crate) enum Order {
    Send(Outgoing),
    /// What has not left yet of the message with this id need not leave.
    Abort { id: u64 },
}

/// The bytes on their way to one worker.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Ready to be written, front first.
    ready: VecDeque<Bytes>,
    ready_len: usize,
    /// Small messages that have not become part of `ready` yet.
    staged: BytesMut,
    /// The big message that is being cut, and those behind it.
    big: VecDeque<Big>,
}

#[derive(Debug)]
struct Big {
    kind: Kind,
    id: u64,
    /// What is left to cut: the head, then the body.
    head: Bytes,
    body: Bytes,
    started: bool,
    total: u64,
}

impl Outbox {
    pub(crate) fn accept(&mut self, order: Order) {
        match order {
            Order::Send(message) => self.send(message),
            Order::Abort { id } => self.abort(id),
        }
    }

    fn send(&mut self, message: Outgoing) {
        let Outgoing { kind, id, head, body } = message;
        let len = head.len() + body.len();
        if len <= SMALL {
            let header = Header { kind, flags: Flags::FIRST | Flags::LAST, len: len as u32, id };
            self.staged.extend_from_slice(&header.encode());
            self.staged.extend_from_slice(&head);
            self.staged.extend_from_slice(&body);
        } else {
            self.big.push_back(Big { kind, id, head: head.into(), body, started: false, total: len as u64 });
        }
    }

    fn abort(&mut self, id: u64) {
        let Some(position) = self.big.iter().position(|big| big.id == id) else { return };
        if let Some(big) = self.big.remove(position)
            && big.started
        {
            let header = Header { kind: big.kind, flags: Flags::ABORT, len: 0, id };
            self.staged.extend_from_slice(&header.encode());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.staged.is_empty() && self.big.is_empty()
    }

    /// The next bytes to write; empty when there are none.
    pub(crate) fn slices(&mut self) -> ([IoSlice<'_>; SLICES], usize) {
        self.fill();
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (slice, bytes) in slices.iter_mut().zip(&self.ready) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        (slices, count)
    }

    /// `written` bytes of what [`slices`](Self::slices) gave have left.
    pub(crate) fn advance(&mut self, mut written: usize) {
        self.ready_len = self.ready_len.saturating_sub(written);
        while written > 0 {
            let Some(front) = self.ready.front_mut() else { return };
            if front.len() > written {
                bytes::Buf::advance(front, written);
                return;
            }
            written -= front.len();
            self.ready.pop_front();
        }
    }

    fn fill(&mut self) {
        // Small ones first: they pass between fragments.
        if !self.staged.is_empty() {
            let staged = self.staged.split().freeze();
            self.push(staged);
        }
        while self.ready_len < AHEAD
            && let Some(big) = self.big.front_mut()
        {
            let (header, payload, last) = big.cut();
            self.push(header);
            for part in payload {
                self.push(part);
            }
            if last {
                self.big.pop_front();
            }
        }
    }

    fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.ready_len += bytes.len();
            self.ready.push_back(bytes);
        }
    }
}

impl Big {
    /// Cuts the next fragment: its header (with the total length, if it is the first of several) and its payload.
    fn cut(&mut self) -> (Bytes, [Bytes; 2], bool) {
        let left = self.head.len() + self.body.len();
        let first = !self.started;
        let several = first && left > MAX_FRAGMENT;
        let room = if several { MAX_FRAGMENT - 8 } else { MAX_FRAGMENT };
        let take = left.min(room);
        let last = take == left;
        let from_head = take.min(self.head.len());
        let head = self.head.split_to(from_head);
        let body = self.body.split_to(take - from_head);
        self.started = true;

        let mut flags = Flags::NONE;
        if first {
            flags = flags | Flags::FIRST;
        }
        if last {
            flags = flags | Flags::LAST;
        }
        let prefix = if several { 8 } else { 0 };
        let header = Header { kind: self.kind, flags, len: (take + prefix) as u32, id: self.id };
        let mut bytes = BytesMut::with_capacity(HEADER_LEN + prefix);
        bytes.extend_from_slice(&header.encode());
        if several {
            bytes.extend_from_slice(&self.total.to_le_bytes());
        }
        (bytes.freeze(), [head, body], last)
    }
}
