//! Frames: how messages are cut for the socket, and put together again.
//!
//! A frame is a 16-byte header and at most [`MAX_FRAGMENT`] bytes. A message that does not fit one frame is sent as
//! several, of which the first starts with the message's total length; the sender may give up between two of them
//! ([`abort`]), and may put small whole messages between them. So a cancelled argument of 100 MB costs nothing more to
//! send, and never holds up what is small. There is at most one partial message at a time in each direction.
//!
//! The end of a long message may be *apart*: bytes that the receiver wants in a piece of memory of their own, since they
//! are to become a value without being copied. The first frame says how many.

use std::io;
use std::ops::{Deref, Range};

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use crate::spare::{self, Lent};
use crate::sys::memory;
use crate::sys::socket::Target;

/// The most bytes that follow one header.
pub(crate) const MAX_FRAGMENT: usize = 64 * 1024;

/// The length of a header.
pub(crate) const HEADER_LEN: usize = 16;

/// The total length at the start of a first fragment that is not the last, and the length of what is apart behind it.
const TOTAL_LEN: usize = 8;

/// How much room is made at once for what is apart: of an address space that has plenty. Memory it becomes as the bytes
/// arrive.
const ROOM: usize = 64 << 20;

pub(super) const FIRST: u8 = 1;
pub(super) const LAST: u8 = 2;
const ABORT: u8 = 4;
/// With `FIRST` alone: the end of the message is apart.
const APART: u8 = 8;

/// What a message is about. The numbers are the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    /// To the worker, first: who it is, and what it prepares.
    Setup = 1,
    /// To the worker: run this.
    Task = 2,
    /// To the worker: run the exit hook, and end.
    Retire = 3,
    /// To the worker, once its initialiser has run: make this state.
    State = 4,
    /// To the worker: a value that tasks will name by the id, which is a key of its own.
    Shared = 5,
    /// To the worker: no task will name this value any more.
    Forget = 6,
    /// To the worker: memory that tasks will name by the id. Its descriptor travels beside.
    Memory = 7,
    /// From the worker, first: it is there, and it is the same executable.
    Hello = 16,
    /// From the worker: its initialiser has run (id 0), or its state has been made (id 1), and this is what came of it.
    InitDone = 17,
    /// From the worker: what came of a task. Of a lot: that no more of its items will be answered.
    Reply = 18,
    /// From the worker: what came of the next item of a lot.
    Item = 19,
}

impl Kind {
    /// What a worker accepts.
    pub(crate) const FROM_PARENT: &'static [Kind] =
        &[Kind::Setup, Kind::Task, Kind::Retire, Kind::State, Kind::Shared, Kind::Forget, Kind::Memory];
    /// What a parent accepts.
    pub(crate) const FROM_WORKER: &'static [Kind] = &[Kind::Hello, Kind::InitDone, Kind::Reply, Kind::Item];

    fn from_wire(byte: u8) -> Option<Kind> {
        Self::FROM_PARENT.iter().chain(Self::FROM_WORKER).copied().find(|&kind| kind as u8 == byte)
    }
}

/// The first bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// `FIRST`, `LAST`, both, neither, `FIRST` and `APART`, or `ABORT` alone.
    pub(crate) flags: u8,
    /// How many bytes follow.
    pub(crate) len: u32,
    /// The offer that the message is about (the key, for shared values); 0 for messages that are about none.
    pub(crate) id: u64,
}

impl Header {
    /// Kind, flags, two zero bytes, length and id, little-endian.
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = self.kind as u8;
        bytes[1] = self.flags;
        bytes[4..8].copy_from_slice(&self.len.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.id.to_le_bytes());
        bytes
    }

    /// The reverse, with every field checked.
    pub(crate) fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Header, FrameError> {
        let [kind, flags, zero_a, zero_b, l0, l1, l2, l3, id @ ..] = *bytes;
        let kind = Kind::from_wire(kind).ok_or(FrameError::UnknownKind(kind))?;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        if flags & !(FIRST | LAST) != 0 && flags != FIRST | APART && (flags != ABORT || len != 0) {
            return Err(FrameError::Flags(flags));
        }
        if (zero_a, zero_b) != (0, 0) {
            return Err(FrameError::Reserved);
        }
        if len as usize > MAX_FRAGMENT {
            return Err(FrameError::FragmentTooLong(len));
        }
        Ok(Header { kind, flags, len, id: u64::from_le_bytes(id) })
    }
}

/// Why a stream of frames cannot be understood. There is no way on after it: the other side is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum FrameError {
    #[error("a frame of the unknown kind {0}")]
    UnknownKind(u8),
    #[error("a frame of kind {0:?}, which does not go in this direction")]
    Direction(Kind),
    #[error("a frame with the impossible flags {0:#x}")]
    Flags(u8),
    #[error("a frame whose reserved bytes are not zero")]
    Reserved,
    #[error("a fragment of {0} bytes, more than a fragment may have")]
    FragmentTooLong(u32),
    #[error("a message of {len} bytes, over the limit of {limit}")]
    MessageTooLong { len: u64, limit: u64 },
    #[error("a fragment that belongs to no message")]
    Stray,
    #[error("a second long message before the end of the first")]
    Nested,
    #[error("a fragment without content")]
    Empty,
    #[error("fragments that do not add up to their message's length")]
    Length,
    #[error("a message of {0} bytes, for which there is no memory")]
    NoMemory(u64),
}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) id: u64,
    pub(crate) body: Bytes,
    /// What came apart from it; empty if nothing did.
    pub(crate) apart: Vec<u8>,
}

/// What precedes the bytes of one fragment: the header, and the total length where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    bytes: [u8; HEADER_LEN + 2 * TOTAL_LEN],
    len: usize,
}

impl Deref for Prefix {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Cuts a message of a known length into frames: for each what to send before it, and which of the message's bytes.
#[derive(Clone, Debug)]
pub(crate) struct Fragments {
    kind: Kind,
    id: u64,
    total: usize,
    /// How many of them are apart: the last ones.
    apart: usize,
    next: Option<usize>,
}

impl Fragments {
    /// The frames of a message of `total` bytes, of which the last ones are apart: none, or so many that the message does
    /// not fit one frame.
    pub(crate) fn new(kind: Kind, id: u64, total: usize, apart: usize) -> Fragments {
        Fragments { kind, id, total, apart, next: Some(0) }
    }

    /// Whether the last frame has been given.
    pub(crate) fn is_over(&self) -> bool {
        self.next.is_none()
    }
}

impl Iterator for Fragments {
    type Item = (Prefix, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.next?;
        let whole = self.total <= MAX_FRAGMENT;
        let apart = start == 0 && !whole && self.apart > 0;
        let announce = if apart {
            2 * TOTAL_LEN
        } else if start == 0 && !whole {
            TOTAL_LEN
        } else {
            0
        };
        let count = (self.total - start).min(MAX_FRAGMENT - announce);
        let end = start + count;
        let last = end == self.total;
        self.next = (!last).then_some(end);
        let flags = if start == 0 { FIRST } else { 0 } | if last { LAST } else { 0 } | if apart { APART } else { 0 };
        // At most MAX_FRAGMENT, so it fits.
        let header = Header { kind: self.kind, flags, len: (count + announce) as u32, id: self.id };
        let mut bytes = [0; HEADER_LEN + 2 * TOTAL_LEN];
        bytes[..HEADER_LEN].copy_from_slice(&header.encode());
        bytes[HEADER_LEN..][..TOTAL_LEN].copy_from_slice(&(self.total as u64).to_le_bytes());
        bytes[HEADER_LEN + TOTAL_LEN..].copy_from_slice(&(self.apart as u64).to_le_bytes());
        Some((Prefix { bytes, len: HEADER_LEN + announce }, start..end))
    }
}

/// The header of a message that is one frame: at most [`MAX_FRAGMENT`] bytes.
pub(crate) fn whole(kind: Kind, id: u64, len: usize) -> [u8; HEADER_LEN] {
    Header { kind, flags: FIRST | LAST, len: len as u32, id }.encode()
}

/// The frame that takes back a message of which some fragments, but not the last, have been sent.
pub(crate) fn abort(kind: Kind, id: u64) -> [u8; HEADER_LEN] {
    Header { kind, flags: ABORT, len: 0, id }.encode()
}

/// Puts messages together from a stream of bytes. Sans-IO.
///
/// Memory: at most `max_message` for a partial message (and no more than about twice what has arrived of it, whatever
/// its announced length; room for what is apart is set aside in bigger steps, which is no memory before it is written),
/// beside one frame in the caller's buffer.
#[derive(Debug)]
pub(crate) struct Assembler {
    max_message: u64,
    accepted: &'static [Kind],
    partial: Option<Partial>,
}

#[derive(Debug)]
struct Partial {
    kind: Kind,
    id: u64,
    total: u64,
    bytes: Vec<u8>,
    /// How many of the bytes are apart, and those that have arrived.
    apart_len: u64,
    apart: Vec<u8>,
    /// What memory of this is only lent until all of it has arrived.
    lent: Option<Lent>,
    /// Where in what is apart the fragment that is arriving ends, and whether it is the last.
    ends_at: usize,
    last: bool,
}

/// What the next read had best be.
#[derive(Debug)]
pub(crate) enum Wanted<'a> {
    /// As much as there is.
    Anything,
    /// So many bytes: what follows them belongs elsewhere.
    Exactly(usize),
    /// At most so many, appended to this rather than to the buffer (which is empty).
    Here(&'a mut Vec<u8>, usize),
}

impl Assembler {
    /// Accepts messages of these kinds and up to this length.
    pub(crate) fn new(max_message: u64, accepted: &'static [Kind]) -> Assembler {
        Assembler { max_message, accepted, partial: None }
    }

    /// Takes frames off the front of `buffer` until a message is whole or the frames run out (`Ok(None)`: append more
    /// bytes and call again).
    ///
    /// # Errors
    /// The stream cannot be understood; do not call again.
    pub(crate) fn push(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, FrameError> {
        loop {
            if let Some(message) = self.settle(buffer)? {
                return Ok(Some(message));
            }
            let Some(header) = buffer.first_chunk::<HEADER_LEN>() else { return Ok(None) };
            // Before the frame's bytes are waited for: nobody waits for bytes that cannot be accepted.
            let header = Header::decode(header)?;
            if !self.accepted.contains(&header.kind) {
                return Err(FrameError::Direction(header.kind));
            }
            if self.expects(&header)? {
                bytes::Buf::advance(buffer, HEADER_LEN);
                continue;
            }
            let length = HEADER_LEN + header.len as usize;
            if buffer.len() < length {
                return Ok(None);
            }
            let mut frame = buffer.split_to(length);
            let content = frame.split_off(HEADER_LEN);
            if let Some(message) = self.take(header, content)? {
                return Ok(Some(message));
            }
        }
    }

    /// Whether no message is half there.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.partial.is_none()
    }

    /// Where the next bytes are wanted. What is appended to [`Wanted::Here`] has been taken: call
    /// [`push`](Self::push) next, with the buffer as it is.
    pub(crate) fn wanted(&mut self, buffered: usize) -> Result<Wanted<'_>, FrameError> {
        let Some(partial) = &mut self.partial else { return Ok(Wanted::Anything) };
        if !partial.is_apart() {
            return Ok(Wanted::Anything);
        }
        let missing = partial.missing_now();
        if missing > 0 && buffered == 0 {
            partial.make_room(missing)?;
            return Ok(Wanted::Here(&mut partial.apart, missing));
        }
        // Of a header, no more: what follows it had best be read to where it belongs. Behind a header that has been read
        // comes a small message that passes by.
        match HEADER_LEN.saturating_sub(buffered) {
            0 => Ok(Wanted::Anything),
            count => Ok(Wanted::Exactly(count)),
        }
    }

    /// The same as a target: `buffer` is what is given to [`push`](Self::push).
    pub(crate) fn target<'a>(&'a mut self, buffer: &'a mut BytesMut) -> Result<Target<'a>, FrameError> {
        Ok(match self.wanted(buffer.len())? {
            Wanted::Anything => Target::Buffer(buffer),
            Wanted::Exactly(count) => Target::Some(buffer, count),
            Wanted::Here(value, most) => Target::Value(value, most),
        })
    }

    /// Takes what has arrived of a fragment that is apart, and gives the message if that was all of it.
    fn settle(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, FrameError> {
        let Some(partial) = &mut self.partial else { return Ok(None) };
        let missing = partial.missing_now();
        if missing > 0 {
            let content = buffer.split_to(missing.min(buffer.len()));
            partial.make_room(content.len())?;
            partial.apart.extend_from_slice(&content);
        }
        if partial.last && partial.missing_now() == 0 { Ok(self.finish()) } else { Ok(None) }
    }

    /// Whether a fragment's bytes, all of them apart, are taken as they arrive.
    fn expects(&mut self, header: &Header) -> Result<bool, FrameError> {
        let Some(partial) = self.partial.as_mut().filter(|partial| partial.is_apart()) else { return Ok(false) };
        if header.flags & (FIRST | ABORT) != 0 {
            return Ok(false);
        }
        let last = header.flags & LAST != 0;
        partial.admit(header, last)?;
        partial.last = last;
        partial.ends_at = partial.apart.len() + header.len as usize;
        Ok(true)
    }

    fn finish(&mut self) -> Option<Message> {
        let Partial { kind, id, bytes, apart, .. } = self.partial.take()?;
        Some(Message { kind, id, body: Bytes::from(bytes), apart })
    }

    fn take(&mut self, header: Header, content: BytesMut) -> Result<Option<Message>, FrameError> {
        let Header { kind, id, .. } = header;
        match header.flags {
            ABORT => match self.partial.take() {
                Some(partial) if (partial.kind, partial.id) == (kind, id) => Ok(None),
                _ => Err(FrameError::Stray),
            },
            flags if flags & FIRST != 0 && flags & LAST != 0 => {
                self.check_length(content.len() as u64)?;
                Ok(Some(Message { kind, id, body: content.freeze(), apart: Vec::new() }))
            }
            flags if flags & FIRST != 0 => self.begin(kind, id, &content, flags & APART != 0).map(|()| None),
            flags => self.go_on(&header, &content, flags & LAST != 0),
        }
    }

    fn check_length(&self, len: u64) -> Result<(), FrameError> {
        let limit = self.max_message;
        if len > limit { Err(FrameError::MessageTooLong { len, limit }) } else { Ok(()) }
    }

    fn begin(&mut self, kind: Kind, id: u64, content: &[u8], apart: bool) -> Result<(), FrameError> {
        if self.partial.is_some() {
            return Err(FrameError::Nested);
        }
        let (total, content) = content.split_first_chunk::<TOTAL_LEN>().ok_or(FrameError::Empty)?;
        let total = u64::from_le_bytes(*total);
        self.check_length(total)?;
        let (apart_len, content) = match content.split_first_chunk::<TOTAL_LEN>() {
            Some((apart_len, content)) if apart => (u64::from_le_bytes(*apart_len), content),
            None if apart => return Err(FrameError::Empty),
            _ => (0, content),
        };
        if apart && apart_len == 0 || apart_len > total {
            return Err(FrameError::Length);
        }
        if content.is_empty() {
            return Err(FrameError::Empty);
        }
        if content.len() as u64 >= total {
            return Err(FrameError::Length);
        }
        let (bytes, apart) = (Vec::new(), Vec::new());
        let mut partial = Partial { kind, id, total, bytes, apart_len, apart, lent: None, ends_at: 0, last: false };
        partial.append(content)?;
        self.partial = Some(partial);
        Ok(())
    }

    fn go_on(&mut self, header: &Header, content: &[u8], last: bool) -> Result<Option<Message>, FrameError> {
        let partial = self.partial.as_mut().ok_or(FrameError::Stray)?;
        partial.admit(header, last)?;
        partial.append(content)?;
        Ok(if last { self.finish() } else { None })
    }
}

impl Partial {
    /// How many bytes have arrived.
    fn arrived(&self) -> u64 {
        self.bytes.len() as u64 + self.apart.len() as u64
    }

    /// Whether all that is still to come is apart.
    fn is_apart(&self) -> bool {
        self.apart_len > 0 && self.bytes.len() as u64 == self.total - self.apart_len
    }

    /// How much of the fragment that is arriving is still to come.
    fn missing_now(&self) -> usize {
        self.ends_at.saturating_sub(self.apart.len())
    }

    /// Whether a fragment may come now.
    fn admit(&self, header: &Header, last: bool) -> Result<(), FrameError> {
        if (self.kind, self.id) != (header.kind, header.id) {
            return Err(FrameError::Stray);
        }
        if header.len == 0 {
            return Err(FrameError::Empty);
        }
        let length = self.arrived() + u64::from(header.len);
        if last && length != self.total || !last && length >= self.total { Err(FrameError::Length) } else { Ok(()) }
    }

    /// Takes the content of a whole fragment.
    fn append(&mut self, content: &[u8]) -> Result<(), FrameError> {
        let plain = self.total - self.apart_len - self.bytes.len() as u64;
        let (plain, apart) = content.split_at(content.len().min(usize::try_from(plain).unwrap_or(usize::MAX)));
        if !plain.is_empty() {
            self.grow(plain.len());
            self.bytes.extend_from_slice(plain);
        }
        self.make_room(apart.len())?;
        self.apart.extend_from_slice(apart);
        self.ends_at = self.apart.len();
        Ok(())
    }

    /// Makes room for more of what is apart.
    fn make_room(&mut self, count: usize) -> Result<(), FrameError> {
        let needed = self.apart.len() + count;
        if needed > self.apart.capacity() {
            let all = usize::try_from(self.apart_len).unwrap_or(usize::MAX);
            // Memory that is there anyway, so the whole of it: how much of that there can be is bounded.
            if self.apart.capacity() == 0
                && let Some((memory, lent)) = spare::VALUES.take(all)
            {
                (self.apart, self.lent) = (memory, Some(lent));
                return Ok(());
            }
            let target = self.apart.capacity().saturating_mul(2).max(ROOM).min(all).max(needed);
            let more = target - self.apart.len();
            self.apart.try_reserve_exact(more).map_err(|_| FrameError::NoMemory(self.total))?;
            memory::prefer_huge_pages(self.apart.spare_capacity_mut());
        }
        Ok(())
    }

    /// Makes room by doubling, but never beyond the end of the message (which [`Assembler::go_on`] has checked).
    fn grow(&mut self, count: usize) {
        let needed = self.bytes.len() + count;
        if needed > self.bytes.capacity() {
            let total = usize::try_from(self.total - self.apart_len).unwrap_or(usize::MAX);
            let target = self.bytes.capacity().saturating_mul(2).min(total).max(needed);
            self.bytes.reserve_exact(target - self.bytes.len());
        }
    }
}
