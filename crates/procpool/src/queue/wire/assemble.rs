//! Puts messages together from their records.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;

use super::error::WireError;
use super::header::{Flags, Header, Kind};
use crate::spare::{Lent, MESSAGES};

/// A whole message: the header of its first record (with `LAST` set, too), and everything that it consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) header: Header,
    pub(crate) body: Bytes,
}

/// Puts messages together from records, of which those of several messages may alternate. Sans-IO.
///
/// Memory: no more than about twice what has arrived of each message, whatever lengths were announced.
#[derive(Debug)]
pub(crate) struct Assembler {
    max_partial: usize,
    partial: HashMap<(Kind, u32, u32), Partial>,
}

/// What has begun at one slot and not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) messages: u32,
    /// As long as they will be, by their own account.
    pub(crate) bytes: u64,
}

#[derive(Debug)]
struct Partial {
    header: Header,
    total: u64,
    bytes: Vec<u8>,
    /// What memory of this is only lent until all of it has arrived.
    lent: Option<Lent>,
}

/// The memory of longer messages is not kept: a message begins with less room than that, so none would use it again.
const KEPT: usize = 256 * 1024;

impl Assembler {
    /// How many messages of a client may have begun and not ended. Clients keep to it.
    pub(crate) const MAX_FROM_CLIENT: usize = 1024;

    /// Accepts at most so many messages at a time that have begun and not ended.
    pub(crate) fn new(max_partial: usize) -> Assembler {
        Assembler { max_partial, partial: HashMap::new() }
    }

    /// Takes one record, and gives the message that it completes. `limit` is how long a message of that kind and slot may
    /// be beside what has begun there; it is asked once a message.
    ///
    /// # Errors
    /// The records cannot be understood; do not call again.
    pub(crate) fn push(
        &mut self,
        header: Header,
        body: Bytes,
        limit: impl FnOnce(&Header, Begun) -> u64,
    ) -> Result<Option<Whole>, WireError> {
        let flags = header.flags;
        if flags.has(Flags::WHOLE) {
            check_length(body.len() as u64, limit(&header, self.begun(&header)))?;
            if !self.partial.is_empty() && self.partial.contains_key(&key(&header)) {
                return Err(WireError::Twice);
            }
            return Ok(Some(Whole { header, body }));
        }
        if flags.has(Flags::FIRST) {
            self.begin(header, &body, limit).map(|()| None)
        } else {
            self.go_on(header, &body)
        }
    }

    fn begin(
        &mut self,
        header: Header,
        body: &[u8],
        limit: impl FnOnce(&Header, Begun) -> u64,
    ) -> Result<(), WireError> {
        let (total, content) = body.split_first_chunk::<8>().ok_or(WireError::Empty)?;
        let total = u64::from_le_bytes(*total);
        check_length(total, limit(&header, self.begun(&header)))?;
        if content.is_empty() {
            return Err(WireError::Empty);
        }
        if content.len() as u64 >= total {
            return Err(WireError::Length);
        }
        if self.partial.len() >= self.max_partial {
            return Err(WireError::TooManyPartial(self.max_partial));
        }
        match self.partial.entry(key(&header)) {
            Entry::Occupied(_) => Err(WireError::Twice),
            Entry::Vacant(place) => {
                // Twice what is there at most, so that one that is hardly longer is not moved for its last bytes.
                let room = usize::try_from(total).unwrap_or(usize::MAX).min(2 * content.len());
                let (mut bytes, lent) = match MESSAGES.take(room) {
                    Some((bytes, lent)) => (bytes, Some(lent)),
                    None => (Vec::with_capacity(room), None),
                };
                bytes.extend_from_slice(content);
                place.insert(Partial { header, total, bytes, lent });
                Ok(())
            }
        }
    }

    /// What has begun of the same kind and at the same slot.
    fn begun(&self, header: &Header) -> Begun {
        // As a rule there is none.
        let alike = self
            .partial
            .values()
            .filter(|partial| (partial.header.kind, partial.header.slot) == (header.kind, header.slot));
        alike.fold(Begun::default(), |begun, partial| Begun {
            messages: begun.messages + 1,
            bytes: begun.bytes.saturating_add(partial.total),
        })
    }

    fn go_on(&mut self, header: Header, content: &[u8]) -> Result<Option<Whole>, WireError> {
        let Entry::Occupied(mut place) = self.partial.entry(key(&header)) else { return Err(WireError::Stray) };
        if header.flags == Flags::ABORT {
            place.remove();
            return Ok(None);
        }
        if content.is_empty() {
            return Err(WireError::Empty);
        }
        let partial = place.get_mut();
        let length = partial.bytes.len() as u64 + content.len() as u64;
        let last = header.flags.has(Flags::LAST);
        if last && length != partial.total || !last && length >= partial.total {
            return Err(WireError::Length);
        }
        partial.grow(content.len());
        partial.bytes.extend_from_slice(content);
        if !last {
            return Ok(None);
        }
        let Partial { header, bytes, lent, .. } = place.remove();
        drop(lent);
        let header = Header { flags: header.flags | Flags::LAST, ..header };
        let body = if bytes.capacity() > KEPT { Bytes::from(bytes) } else { MESSAGES.keep_behind(bytes) };
        Ok(Some(Whole { header, body }))
    }
}

fn key(header: &Header) -> (Kind, u32, u32) {
    (header.kind, header.slot, header.number)
}

fn check_length(len: u64, limit: u64) -> Result<(), WireError> {
    if len > limit { Err(WireError::MessageTooLong { len, limit }) } else { Ok(()) }
}

impl Partial {
    /// Makes room by doubling, but never beyond the end of the message (which [`Assembler::go_on`] has checked).
    fn grow(&mut self, count: usize) {
        let needed = self.bytes.len() + count;
        if needed > self.bytes.capacity() {
            let total = usize::try_from(self.total).unwrap_or(usize::MAX);
            let target = self.bytes.capacity().saturating_mul(2).min(total).max(needed);
            self.bytes.reserve_exact(target - self.bytes.len());
        }
    }
}
