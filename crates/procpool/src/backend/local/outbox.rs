//! What is to be written to a worker, in the order in which it was decided, cut into fragments. Sans-IO.
//!
//! Big messages are cut lazily, so that one that is revoked half-way costs an abort marker and no more, and small
//! messages pass between the fragments of a big one. Tasks do not: a worker claims them in the order in which they
//! arrive, which is to be the order in which they were handed over.
//!
//! A message may have a *passenger*, a descriptor that must not leave after it. It waits here for the place in the stream
//! where its message begins; how it leaves is a matter of what carries the bytes.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::sys::sealed::SealedBytes;
use crate::task::attachment::Content;
use crate::wire::frame::{Fragments, Kind, MAX_FRAGMENT, abort};
use crate::wire::memory::MemoryBody;

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
    /// Goes behind the body, for memory of its own over there; empty, or too long for one frame.
    pub(crate) apart: Bytes,
    /// Memory whose descriptor goes along, with a message that is a body and no more, and small.
    pub(crate) passenger: Option<Arc<SealedBytes>>,
}

impl Outgoing {
    /// One that says nothing but what it is about.
    pub(crate) fn new(kind: Kind, id: u64) -> Outgoing {
        Outgoing { kind, id, head: Vec::new(), body: Bytes::new(), apart: Bytes::new(), passenger: None }
    }

    /// What tasks will name by this key: as bytes, unless there is a descriptor to be passed on.
    pub(crate) fn attachment(key: u64, content: &Content) -> Outgoing {
        match content {
            Content::Sealed(memory) if memory.file().is_some() => {
                let body = MemoryBody::Comes(memory.len() as u64).encode().into();
                Outgoing { body, passenger: Some(Arc::clone(memory)), ..Outgoing::new(Kind::Memory, key) }
            }
            content => Outgoing { body: content.to_bytes(), ..Outgoing::new(Kind::Shared, key) },
        }
    }
}

/// An instruction for the stream.
#[derive(Debug)]
pub(crate) enum Order {
    Send(Outgoing),
    /// What has not left yet of the task with this id need not leave.
    Abort {
        id: u64,
    },
    /// The worker needs this shared value no longer, or never did.
    Forget {
        key: u64,
    },
}

/// The bytes on their way to one worker.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Ready to be written, front first.
    ready: VecDeque<Bytes>,
    ready_len: usize,
    /// How many bytes have left in all.
    left: u64,
    /// How many bytes leave before a passenger's message, and whose that is.
    passengers: VecDeque<(u64, Passenger)>,
    /// Small messages that have not become part of `ready` yet.
    staged: BytesMut,
    /// The big message that is being cut, and those behind it, with the small tasks that were handed over after it.
    big: VecDeque<Big>,
}

/// A descriptor that goes along with a message.
#[derive(Clone, Debug)]
pub(crate) struct Passenger {
    pub(crate) memory: Arc<SealedBytes>,
    id: u64,
}

#[derive(Debug)]
struct Big {
    kind: Kind,
    id: u64,
    head: Bytes,
    body: Bytes,
    apart: Bytes,
    fragments: Fragments,
    started: bool,
}

impl Outbox {
    pub(crate) fn accept(&mut self, order: Order) {
        match order {
            Order::Send(message) => self.send(message),
            Order::Abort { id } => drop(self.abort(Kind::Task, id)),
            Order::Forget { key } => self.forget(key),
        }
    }

    fn send(&mut self, message: Outgoing) {
        let Outgoing { kind, id, head, body, apart, passenger } = message;
        let len = head.len() + body.len() + apart.len();
        let fragments = Fragments::new(kind, id, len, apart.len());
        if let Some(memory) = passenger {
            self.stage();
            self.passengers.push_back((self.left + self.ready_len as u64, Passenger { memory, id }));
            let frame = fragments.flat_map(|(prefix, range)| [&prefix[..], &body[range]].concat());
            return self.push(frame.collect());
        }
        // Behind a big one it is cut as a big one, too, of one fragment.
        if len <= SMALL && (kind != Kind::Task || self.big.is_empty()) {
            for (prefix, _) in fragments {
                self.staged.extend_from_slice(&prefix);
            }
            self.staged.extend_from_slice(&head);
            self.staged.extend_from_slice(&body);
        } else {
            self.big.push_back(Big { kind, id, head: head.into(), body, apart, fragments, started: false });
        }
    }

    /// Takes back what has not left of a big message; says whether there was any.
    fn abort(&mut self, kind: Kind, id: u64) -> bool {
        let Some(position) = self.big.iter().position(|big| (big.kind, big.id) == (kind, id)) else { return false };
        if let Some(big) = self.big.remove(position)
            && big.started
        {
            self.staged.extend_from_slice(&abort(big.kind, id));
        }
        true
    }

    /// What the worker has never had whole it need not be told to forget; it would be told too early.
    fn forget(&mut self, key: u64) {
        if !self.abort(Kind::Shared, key) {
            self.send(Outgoing::new(Kind::Forget, key));
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
        // Not beyond where the next passenger's message begins. That is where a piece begins, too.
        let next = self.passengers.iter().map(|(at, _)| *at).find(|at| *at > self.left);
        let mut at = self.left;
        for (slice, bytes) in slices.iter_mut().zip(&self.ready) {
            if next.is_some_and(|next| at >= next) {
                break;
            }
            *slice = IoSlice::new(bytes);
            count += 1;
            at += bytes.len() as u64;
        }
        (slices, count)
    }

    /// Whose message begins with the next byte to write.
    pub(crate) fn passenger(&mut self) -> Option<Passenger> {
        self.fill();
        self.passengers.front().filter(|(at, _)| *at == self.left).map(|(_, passenger)| passenger.clone())
    }

    /// The [`passenger`](Self::passenger) has left.
    pub(crate) fn take_leave(&mut self) {
        self.passengers.pop_front();
    }

    /// The passenger cannot leave, for this reason: its message says so instead.
    pub(crate) fn strand(&mut self, passenger: &Passenger, why: String) {
        self.take_leave();
        let body = MemoryBody::Lost(why).encode();
        let frames = Fragments::new(Kind::Memory, passenger.id, body.len(), 0);
        let frame: Bytes = frames.flat_map(|(prefix, range)| [&prefix[..], &body[range]].concat()).collect();
        let former = self.ready.pop_front().map_or(0, |former| former.len());
        self.ready_len = self.ready_len - former + frame.len();
        let longer = (frame.len() - former) as u64;
        self.passengers.iter_mut().for_each(|(at, _)| *at += longer);
        self.ready.push_front(frame);
    }

    /// `written` bytes of what [`slices`](Self::slices) gave have left.
    pub(crate) fn advance(&mut self, mut written: usize) {
        self.ready_len = self.ready_len.saturating_sub(written);
        self.left += written as u64;
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

    fn stage(&mut self) {
        if !self.staged.is_empty() {
            let staged = self.staged.split().freeze();
            self.push(staged);
        }
    }

    fn fill(&mut self) {
        // Small ones first: they pass between fragments.
        self.stage();
        while self.ready_len < AHEAD
            && let Some(big) = self.big.front_mut()
        {
            let piece = big.fragments.next().map(|(prefix, range)| (prefix, big.slice(range)));
            big.started = true;
            // Not in the next round, which may be far away: what is cut to its end can no longer be aborted, and an
            // abort that follows the last fragment means nothing to the worker, which ends itself for it.
            if big.fragments.is_over() {
                self.big.pop_front();
            }
            if let Some((prefix, pieces)) = piece {
                self.push(Bytes::copy_from_slice(&prefix));
                pieces.into_iter().for_each(|piece| self.push(piece));
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
    /// These bytes of the message, which is the head, then the body, then what is apart.
    fn slice(&self, range: Range<usize>) -> [Bytes; 3] {
        let mut before = 0;
        [&self.head, &self.body, &self.apart].map(|part| {
            let within = |at: usize| at.clamp(before, before + part.len()) - before;
            let piece = part.slice(within(range.start)..within(range.end));
            before += part.len();
            piece
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{Assembler, Message};

    fn outgoing(id: u64, len: usize) -> Outgoing {
        let body: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        Outgoing { head: b"head".to_vec(), body: body.into(), ..Outgoing::new(Kind::Task, id) }
    }

    fn expected(id: u64, len: usize) -> Message {
        let Outgoing { kind, id, head, body, .. } = outgoing(id, len);
        Message { kind, id, body: [&head[..], &body[..]].concat().into(), apart: Vec::new() }
    }

    /// Writes at most `step` bytes, as a socket with little room does.
    fn pump(outbox: &mut Outbox, step: usize, wire: &mut BytesMut) {
        let (slices, count) = outbox.slices();
        let mut left = step;
        let mut written = 0;
        for slice in &slices[..count] {
            let take = slice.len().min(left);
            wire.extend_from_slice(&slice[..take]);
            (left, written) = (left - take, written + take);
        }
        outbox.advance(written);
    }

    fn read(wire: &mut BytesMut, assembler: &mut Assembler) -> Vec<Message> {
        std::iter::from_fn(|| assembler.push(wire).unwrap()).collect()
    }

    #[test]
    fn messages_of_every_size_arrive_whole_and_in_order_through_any_room() {
        let sizes = [0, 1, SMALL - 4, SMALL, MAX_FRAGMENT - 12, MAX_FRAGMENT - 4, MAX_FRAGMENT, 3 * MAX_FRAGMENT + 5];
        for step in [1000, MAX_FRAGMENT, usize::MAX] {
            for len in sizes {
                let (mut outbox, mut wire) = (Outbox::default(), BytesMut::new());
                let mut assembler = Assembler::new(1 << 30, Kind::FROM_PARENT);
                outbox.accept(Order::Send(outgoing(7, len)));
                let mut seen = Vec::new();
                while !outbox.is_empty() {
                    pump(&mut outbox, step, &mut wire);
                    seen.extend(read(&mut wire, &mut assembler));
                }
                assert_eq!(seen, [expected(7, len)], "{len} bytes in steps of {step}");
            }
        }
    }

    #[test]
    fn what_is_apart_leaves_behind_head_and_body_and_without_a_copy() {
        let apart = Bytes::from((0..5 * MAX_FRAGMENT + 3).map(|i| (i % 241) as u8).collect::<Vec<_>>());
        for step in [1000, MAX_FRAGMENT, usize::MAX] {
            for len in [0, 1, SMALL, 2 * MAX_FRAGMENT] {
                let (mut outbox, mut wire) = (Outbox::default(), BytesMut::new());
                let mut assembler = Assembler::new(1 << 30, Kind::FROM_PARENT);
                outbox.accept(Order::Send(Outgoing { apart: apart.clone(), ..outgoing(7, len) }));
                let mut seen = Vec::new();
                while !outbox.is_empty() {
                    pump(&mut outbox, step, &mut wire);
                    assert!(outbox.ready.iter().all(|bytes| bytes.len() < SMALL || shares(bytes, &apart) || len > 0));
                    seen.extend(read(&mut wire, &mut assembler));
                }
                assert_eq!(seen, [Message { apart: apart.to_vec(), ..expected(7, len) }], "{len} bytes, {step} a time");
            }
        }
    }

    /// Whether these bytes are a piece of those, in the same memory.
    fn shares(piece: &Bytes, whole: &Bytes) -> bool {
        whole.as_ptr_range().contains(&piece.as_ptr())
    }

    #[test]
    fn small_messages_pass_between_the_fragments_of_a_big_one() {
        let (mut outbox, mut wire) = (Outbox::default(), BytesMut::new());
        let mut assembler = Assembler::new(1 << 30, Kind::FROM_PARENT);
        outbox.accept(Order::Send(outgoing(1, 100 * MAX_FRAGMENT)));
        pump(&mut outbox, MAX_FRAGMENT, &mut wire);
        outbox.accept(Order::Send(Outgoing { kind: Kind::Retire, ..outgoing(2, 10) }));
        let mut seen = Vec::new();
        while !outbox.is_empty() {
            pump(&mut outbox, MAX_FRAGMENT, &mut wire);
            seen.extend(read(&mut wire, &mut assembler).into_iter().map(|message| message.id));
        }
        assert_eq!(seen, [2, 1]);
    }

    #[test]
    fn tasks_arrive_in_the_order_in_which_they_were_handed_over() {
        let (mut outbox, mut wire) = (Outbox::default(), BytesMut::new());
        let mut assembler = Assembler::new(1 << 30, Kind::FROM_PARENT);
        let sizes = [10, 5 * MAX_FRAGMENT, 0, SMALL + 1, 7, 100 * MAX_FRAGMENT, 1, 1, 3 * MAX_FRAGMENT];
        let mut seen = Vec::new();
        for (id, len) in (0..).zip(sizes) {
            outbox.accept(Order::Send(outgoing(id, len)));
            pump(&mut outbox, MAX_FRAGMENT, &mut wire);
            seen.extend(read(&mut wire, &mut assembler));
        }
        // One that is half on its way, and one that has not begun.
        outbox.accept(Order::Abort { id: 5 });
        outbox.accept(Order::Abort { id: 7 });
        while !outbox.is_empty() {
            pump(&mut outbox, MAX_FRAGMENT, &mut wire);
            seen.extend(read(&mut wire, &mut assembler));
        }
        let expected = (0..).zip(sizes).filter(|(id, _)| ![5, 7].contains(id)).map(|(id, len)| expected(id, len));
        assert_eq!(seen, expected.collect::<Vec<_>>());
    }

    #[test]
    fn what_is_aborted_half_way_does_not_leave_and_the_next_one_arrives() {
        let (mut outbox, mut wire) = (Outbox::default(), BytesMut::new());
        let mut assembler = Assembler::new(1 << 30, Kind::FROM_PARENT);
        outbox.accept(Order::Send(outgoing(1, 100 * MAX_FRAGMENT)));
        outbox.accept(Order::Send(outgoing(2, 5 * MAX_FRAGMENT)));
        pump(&mut outbox, 3 * MAX_FRAGMENT, &mut wire);
        outbox.accept(Order::Abort { id: 1 });
        let mut total = wire.len();
        let mut seen = Vec::new();
        while !outbox.is_empty() {
            pump(&mut outbox, usize::MAX, &mut wire);
            total += wire.len();
            seen.extend(read(&mut wire, &mut assembler));
        }
        assert_eq!(seen, [expected(2, 5 * MAX_FRAGMENT)]);
        assert!(total < 20 * MAX_FRAGMENT, "{total} bytes left for a message that was taken back");
    }

    #[test]
    fn aborting_what_is_cut_to_its_end_but_has_not_left_says_nothing() {
        for len in (200_000..700_000).step_by(997).chain([4 * MAX_FRAGMENT - 12]) {
            let (mut outbox, mut wire) = (Outbox::default(), BytesMut::new());
            let mut assembler = Assembler::new(1 << 30, Kind::FROM_PARENT);
            outbox.accept(Order::Send(outgoing(1, len)));
            pump(&mut outbox, len / 2, &mut wire);
            outbox.slices();
            outbox.accept(Order::Abort { id: 1 });
            outbox.accept(Order::Send(outgoing(2, 5)));
            while !outbox.is_empty() {
                pump(&mut outbox, usize::MAX, &mut wire);
            }
            // It may arrive whole, or not at all; what follows does in any case.
            assert_eq!(read(&mut wire, &mut assembler).last(), Some(&expected(2, 5)), "{len} bytes");
        }
    }

    #[test]
    fn aborting_what_has_not_begun_or_has_left_says_nothing() {
        let mut outbox = Outbox::default();
        outbox.accept(Order::Send(outgoing(1, 100 * MAX_FRAGMENT)));
        outbox.accept(Order::Abort { id: 1 });
        outbox.accept(Order::Abort { id: 9 });
        assert!(outbox.is_empty());
    }
    fn shared(id: u64, len: usize) -> Outgoing {
        Outgoing { kind: Kind::Shared, ..outgoing(id, len) }
    }

    /// All that arrives when the socket takes `step` bytes at a time.
    fn deliver(outbox: &mut Outbox, step: usize, wire: &mut BytesMut) -> Vec<(Kind, u64)> {
        let mut assembler = Assembler::new(1 << 30, Kind::FROM_PARENT);
        let mut seen = Vec::new();
        loop {
            seen.extend(read(wire, &mut assembler).into_iter().map(|message| (message.kind, message.id)));
            if outbox.is_empty() {
                return seen;
            }
            pump(outbox, step, wire);
        }
    }

    #[test]
    fn a_small_task_does_not_overtake_the_big_value_that_it_names() {
        for len in [10, SMALL, 5 * MAX_FRAGMENT] {
            let (mut outbox, mut wire) = (Outbox::default(), BytesMut::new());
            outbox.accept(Order::Send(shared(1, len)));
            outbox.accept(Order::Send(outgoing(1, 10)));
            outbox.accept(Order::Send(outgoing(2, 10)));
            let seen = deliver(&mut outbox, 1000, &mut wire);
            let at = |message| seen.iter().position(|seen| *seen == message).unwrap();
            assert!(at((Kind::Shared, 1)) < at((Kind::Task, 1)), "{len} bytes: {seen:?}");
            assert_eq!(seen.len(), 3);
        }
    }

    #[test]
    fn what_is_forgotten_on_its_way_is_taken_back_or_forgotten_after_it() {
        for pumped in [0, 3 * MAX_FRAGMENT, usize::MAX] {
            let (mut outbox, mut wire) = (Outbox::default(), BytesMut::new());
            // A task of the same number is another matter.
            outbox.accept(Order::Send(outgoing(1, 5 * MAX_FRAGMENT)));
            outbox.accept(Order::Send(shared(1, 50 * MAX_FRAGMENT)));
            while pumped == usize::MAX && !outbox.is_empty() {
                pump(&mut outbox, pumped, &mut wire);
            }
            pump(&mut outbox, pumped, &mut wire);
            outbox.accept(Order::Forget { key: 1 });
            let seen = deliver(&mut outbox, usize::MAX, &mut wire);
            match pumped {
                usize::MAX => assert_eq!(seen, [(Kind::Task, 1), (Kind::Shared, 1), (Kind::Forget, 1)]),
                _ => assert_eq!(seen, [(Kind::Task, 1)]),
            }
        }
    }
}
