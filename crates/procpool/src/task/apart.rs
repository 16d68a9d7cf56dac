//! The one big value of a message that travels apart from the rest, so that nobody copies it.
//!
//! A `Vec<u8>`, `String` or `Bytes` that is an argument of its own, or a whole result, is only bytes. Where it is big,
//! its length alone is encoded, and its memory is handed on as it is ([`leaving`]). It is received straight into memory
//! of its own, which then becomes the value over there ([`coming`]).
//!
//! Which value it is needs no mark: it is the first of those that are at least [`MIN`] long, and so the first that has
//! the length of what came apart. Only [`encode_owned`](super::codec::encode_owned) and
//! [`decode_received`](super::codec::decode_received) know of all this: what is encoded and decoded *within* a value (a
//! shared one, or what a user's `Serialize` does) takes no part in it.

use std::cell::Cell;

use bytes::Bytes;

use super::slot::{Opened, Slot, State};
use crate::spare;

/// The least bytes that travel apart: below, copying them is cheaper than a second piece of memory. A message with such
/// a value never fits one frame.
pub(crate) const MIN: usize = 64 * 1024;

/// A value that leaves apart.
#[derive(Debug)]
pub(crate) enum Apart {
    /// Of a `Vec` or a `String`: nobody else has this memory.
    Memory(Vec<u8>),
    /// Others may have it, too.
    Shared(Bytes),
}

impl Apart {
    /// To be sent. Memory that nobody else has is kept for a moment once this has been done.
    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Apart::Memory(memory) => spare::VALUES.keep_behind(memory),
            Apart::Shared(bytes) => bytes,
        }
    }

    /// To be had by another thread of this process.
    pub(crate) fn into_vec(self) -> Vec<u8> {
        match self {
            Apart::Memory(memory) => memory,
            Apart::Shared(bytes) => bytes.into(),
        }
    }
}

thread_local! {
    static LEAVES: Cell<State> = const { Cell::new(State::Closed) };
    static LEFT: Cell<Option<Apart>> = const { Cell::new(None) };
    static RESULTS: Cell<State> = const { Cell::new(State::Closed) };
    static RESULT: Cell<Option<Apart>> = const { Cell::new(None) };
    static COMES: Cell<State> = const { Cell::new(State::Closed) };
    static CAME: Cell<Option<Vec<u8>>> = const { Cell::new(None) };
}

/// What leaves apart from that which this thread encodes.
static LEAVING: Slot<Apart> = Slot { state: &LEAVES, value: &LEFT };
/// What the result of the task that this thread ran last has apart.
static OF_RESULT: Slot<Apart> = Slot { state: &RESULTS, value: &RESULT };
/// What came apart from that which this thread decodes.
static COMING: Slot<Vec<u8>> = Slot { state: &COMES, value: &CAME };

/// Lets a value leave apart from what is encoded meanwhile.
#[inline]
pub(crate) fn leaving() -> Opened<Apart> {
    LEAVING.open()
}

/// Whether a value of this length is to leave apart.
pub(super) fn wants(len: usize) -> bool {
    len >= MIN && LEAVING.state() == State::Open
}

/// Lets a value leave apart.
pub(super) fn leave(value: Apart) {
    LEAVING.put(value);
}

/// Keeps what the result of a task has apart, for whoever ran it.
pub(super) fn keep_result(value: Apart) {
    OF_RESULT.put(value);
}

/// What the result of the task that has just been run has apart.
#[inline]
pub(crate) fn take_result() -> Option<Apart> {
    OF_RESULT.take()
}

/// Decodes something, of which these bytes came apart, and says whether they were used.
pub(crate) fn coming<R>(apart: Vec<u8>, decode: impl FnOnce() -> R) -> (R, bool) {
    if apart.is_empty() {
        // Nor may what is within it take what came apart from something else.
        return (COMING.collect(decode).0, true);
    }
    COMING.offer(apart, decode)
}

/// What came apart, if it has this length.
pub(super) fn take(len: usize) -> Option<Vec<u8>> {
    let coming = COMING.take()?;
    if coming.len() == len {
        return Some(coming);
    }
    COMING.put(coming);
    None
}

/// Arguments have been decoded: what came apart from them has been used, or never will be.
pub(super) fn forget() {
    drop(COMING.take());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::codec::{decode_received, encode_owned};

    fn there_and_back<T: crate::task::Ship>(value: T) -> (T, usize) {
        let mut bytes = Vec::new();
        let leaving = leaving();
        encode_owned(value, &mut bytes).unwrap();
        let apart = leaving.take().map(Apart::into_vec).unwrap_or_default();
        let len = apart.len();
        let (decoded, used) = coming(apart, || decode_received(&bytes));
        assert!(used);
        (decoded.unwrap(), len)
    }

    #[test]
    fn big_bytes_travel_apart_and_their_memory_with_them() {
        let bytes: Vec<u8> = (0..MIN + 5).map(|i| (i % 251) as u8).collect();
        let (start, copy) = (bytes.as_ptr(), bytes.clone());
        let (back, apart) = there_and_back(bytes);
        assert_eq!((back.as_ptr(), apart), (start, MIN + 5));
        assert_eq!(back, copy);
        assert_eq!(there_and_back(Bytes::from(copy.clone())), (Bytes::from(copy), MIN + 5));
        assert_eq!(there_and_back("ä".repeat(MIN)), ("ä".repeat(MIN), 2 * MIN));
    }

    #[test]
    fn what_is_small_or_is_no_bytes_does_not() {
        assert_eq!(there_and_back(vec![7u8; MIN - 1]), (vec![7; MIN - 1], 0));
        assert_eq!(there_and_back(vec![7u32; MIN]), (vec![7; MIN], 0));
        assert_eq!(there_and_back((1u8, vec![7u8; MIN])), ((1, vec![7; MIN]), 0));
        let mut bytes = Vec::new();
        encode_owned(vec![7u8; MIN], &mut bytes).unwrap();
        assert!(bytes.len() > MIN, "nobody asked for it");
    }

    #[test]
    fn what_came_apart_and_belongs_nowhere_is_noticed() {
        let (decoded, used) = coming(vec![7; MIN], || decode_received::<()>(&[]));
        assert_eq!((decoded.unwrap(), used), ((), false));
        let mut length = Vec::new();
        let leaving = leaving();
        encode_owned(vec![7u8; MIN], &mut length).unwrap();
        assert!(leaving.is_filled());
        // The length of something else, and no bytes at all.
        assert!(coming(vec![7; MIN + 1], || decode_received::<Vec<u8>>(&length)).0.is_err());
        assert!(coming(Vec::new(), || decode_received::<Vec<u8>>(&length)).0.is_err());
        assert!(coming(vec![0xff; MIN], || decode_received::<String>(&length)).0.is_err());
    }
}
