//! Writing to the link: what may wait for room, and what never does.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;

use crate::queue::link::{ClientEnd, Writer, Written};
use crate::queue::wire::{Cuts, Header, Small};
use crate::sync::lock;

use super::line::Wakes;

/// So many messages in several records may be under way at a time. The hub's limit is a little above it, which leaves
/// room for parcels.
const MAX_PARTIAL: usize = 1000;

/// What is written to the link, and in which order.
///
/// Control records never wait for room: while there is none they stand in the backlog. A message does wait, and never
/// overtakes the backlog, so the hub reads everything in the order in which it was done.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Changed only by whoever has the link's writer.
    backlog: Mutex<VecDeque<Piece>>,
    /// Whether the backlog holds something: a look without its lock. Changed only by whoever has the link's writer.
    behind: AtomicBool,
    /// Those who wait for room.
    room: Mutex<Vec<Waker>>,
    /// Messages of which some records have been written and some have not.
    partial: AtomicUsize,
}

/// A control message that is to be written.
#[derive(Debug)]
pub(super) enum Piece {
    Small(Header, Small),
    /// Of any length: a prefix and what follows it.
    Long(Box<Long>),
}

#[derive(Debug)]
pub(super) struct Long {
    pub(super) cuts: Cuts,
    pub(super) prefix: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

impl Piece {
    /// Takes back a message of which some records have been written.
    pub(super) fn abort(header: &Header) -> Piece {
        Piece::Small(header.abort(), Small::EMPTY)
    }

    fn write(&mut self, writer: &mut Writer<'_>) -> Written {
        match self {
            Piece::Small(header, body) => writer.write(header, &[&**body]),
            Piece::Long(long) => {
                while let Some(cut) = long.cuts.current() {
                    match writer.write(&cut.header, &cut.parts(&long.prefix, &long.payload)) {
                        Written::Whole => long.cuts.advance(),
                        other => return other,
                    }
                }
                Written::Whole
            }
        }
    }
}

impl Outbox {
    /// Writes a control message, now or as soon as there is room. Does not ring.
    pub(super) fn control(&self, link: &ClientEnd, mut piece: Piece) {
        let mut writer = link.writer();
        if self.flush_with(link, &mut writer) && piece.write(&mut writer) != Written::Full {
            return;
        }
        lock(&self.backlog).push_back(piece);
        self.behind.store(true, Ordering::Release);
        // There may be room again by now, and nobody would say so.
        self.flush_with(link, &mut writer);
    }

    /// Writes a record of a message, or nothing of it. Does not ring.
    pub(super) fn data(&self, link: &ClientEnd, header: &Header, parts: &[&[u8]]) -> Written {
        let mut writer = link.writer();
        if !self.flush_with(link, &mut writer) {
            return Written::Full;
        }
        writer.write(header, parts)
    }

    /// Writes what has waited. Says whether nothing waits any more.
    pub(super) fn flush(&self, link: &ClientEnd) -> bool {
        !self.is_behind() || self.flush_with(link, &mut link.writer())
    }

    pub(super) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    fn flush_with(&self, link: &ClientEnd, writer: &mut Writer<'_>) -> bool {
        if !self.behind.load(Ordering::Relaxed) {
            return true;
        }
        let mut backlog = lock(&self.backlog);
        let mut asked = false;
        while let Some(piece) = backlog.front_mut() {
            match piece.write(writer) {
                Written::Whole => drop(backlog.pop_front()),
                Written::Gone => backlog.clear(),
                Written::Full if asked => return false,
                Written::Full => {
                    link.want_room();
                    asked = true;
                }
            }
        }
        self.behind.store(false, Ordering::Release);
        true
    }

    /// A message in several records begins. `false`: too many have begun and not ended; wait for room.
    pub(super) fn begin_partial(&self) -> bool {
        self.partial.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < MAX_PARTIAL).then_some(n + 1)).is_ok()
    }

    /// Such a message has ended, whole or not. Whom this gives room is to be woken.
    pub(super) fn end_partial(&self, wakes: &mut Wakes) {
        if self.partial.fetch_sub(1, Ordering::AcqRel) == MAX_PARTIAL {
            self.wake_for_room(wakes);
        }
    }

    /// Wakes this one when there may be room. Then try once more before waiting.
    pub(super) fn wait_for_room(&self, link: &ClientEnd, waker: &Waker) {
        let mut room = lock(&self.room);
        if !room.iter().any(|held| held.will_wake(waker)) {
            room.push(waker.clone());
        }
        drop(room);
        link.want_room();
    }

    /// There may be room: all who wait for it try again.
    pub(super) fn wake_for_room(&self, wakes: &mut Wakes) {
        wakes.0.append(&mut lock(&self.room));
    }
}
