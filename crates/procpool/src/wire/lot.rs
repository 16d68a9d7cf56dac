//! Lots: the items of a map that travel together.
//!
//! To the worker a lot is a `Task` whose head has the attempt 0; behind the head come the items' arguments, each with
//! its length in four bytes (LE) before it. Back come one `Item` for each, in their order, and a last `Reply`, whose
//! value is how many nanoseconds (LE) the worker was busy with them. Short items that are values, which is nearly all
//! of them, are taken out of the read buffer together and decoded where they lie.

use bytes::{Bytes, BytesMut};

use super::frame::{FIRST, HEADER_LEN, Kind, LAST, MAX_FRAGMENT};
use super::message::ReplyBody;

/// The length that precedes an item's arguments.
const LENGTH: usize = size_of::<u32>();

/// Appends the arguments of one item, which `write` does, and gives what that gave and how long they are. Their length must fit
/// four bytes.
pub(crate) fn push_arguments<R>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> R) -> (R, usize) {
    let start = out.len() + LENGTH;
    out.extend_from_slice(&[0; LENGTH]);
    let result = write(out);
    let length = out.len().saturating_sub(start);
    if let (Ok(length), Some(place)) = (u32::try_from(length), out.get_mut(start - LENGTH..start)) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    (result, length)
}

/// Takes the arguments of the last item off again, which begin here, without their length.
pub(crate) fn pop_arguments(out: &mut Vec<u8>, start: usize) -> Vec<u8> {
    let arguments = out.split_off((start + LENGTH).min(out.len()));
    out.truncate(start);
    arguments
}

/// The arguments of the first item, and what follows them; `None` at the end, or where they are cut off.
pub(crate) fn split_arguments(items: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = items.split_first_chunk::<LENGTH>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// Values of items of one lot, one after the other, as they were read.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    pub(crate) offer: u64,
    pub(crate) count: u32,
    /// Whole frames.
    frames: Bytes,
}

impl Values {
    /// Takes the frames off the front of a read buffer that are values of the same lot and are there whole; `None` if
    /// the first one is none. The buffer must not be in the midst of a message.
    pub(crate) fn take(buffer: &mut BytesMut) -> Option<Values> {
        let prefix = [Kind::Item as u8, FIRST | LAST, 0, 0];
        let offer = buffer.first_chunk::<HEADER_LEN>()?.last_chunk::<8>().copied()?;
        let (mut count, mut end) = (0, 0);
        while let Some(header) = buffer[end..].first_chunk::<HEADER_LEN>() {
            let [k0, k1, k2, k3, l0, l1, l2, l3, id @ ..] = *header;
            let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
            let body = end + HEADER_LEN;
            let whole = length <= MAX_FRAGMENT && body + length <= buffer.len();
            if [k0, k1, k2, k3] != prefix || id != offer || !whole || length == 0 {
                break;
            }
            if buffer[body] != ReplyBody::VALUE_TAG {
                break;
            }
            count += 1;
            end = body + length;
        }
        let frames = (count > 0).then(|| buffer.split_to(end).freeze())?;
        Some(Values { offer: u64::from_le_bytes(offer), count, frames })
    }

    /// The next value, encoded, given to `read`; `None` when there are no more.
    pub(crate) fn next<R>(&mut self, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let header = self.frames.first_chunk::<HEADER_LEN>()?;
        let [_, _, _, _, l0, l1, l2, l3, ..] = *header;
        let end = HEADER_LEN + u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let value = self.frames.get(HEADER_LEN + 1..end)?;
        let result = read(value);
        bytes::Buf::advance(&mut self.frames, end);
        self.count = self.count.saturating_sub(1);
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::frame::Fragments;

    fn item(offer: u64, body: &[u8], out: &mut BytesMut) {
        for (prefix, range) in Fragments::new(Kind::Item, offer, body.len(), 0) {
            out.extend_from_slice(&prefix);
            out.extend_from_slice(&body[range]);
        }
    }

    #[test]
    fn values_of_one_lot_are_taken_together() {
        let mut buffer = BytesMut::new();
        for body in [&b"\0one"[..], b"\0", b"\0three"] {
            item(3, body, &mut buffer);
        }
        item(4, b"\0four", &mut buffer);
        item(4, b"\x01no value", &mut buffer);
        buffer.extend_from_slice(&[Kind::Item as u8, FIRST | LAST]);
        let mut values = Values::take(&mut buffer).unwrap();
        assert_eq!((values.offer, values.count), (3, 3));
        let texts: Vec<_> = std::iter::from_fn(|| values.next(<[u8]>::to_vec)).collect();
        assert_eq!(texts, [&b"one"[..], b"", b"three"]);
        assert_eq!(Values::take(&mut buffer).unwrap().count, 1);
        assert!(Values::take(&mut buffer).is_none());
        assert_eq!(buffer.len(), HEADER_LEN + 9 + 2);
    }

    #[test]
    fn arguments_are_given_back_one_by_one() {
        let mut bytes = Vec::new();
        let lengths =
            [&b"one"[..], b"", b"four"].map(|item| push_arguments(&mut bytes, |out| out.extend_from_slice(item)).1);
        assert_eq!(lengths, [3, 0, 4]);
        assert_eq!(pop_arguments(&mut bytes, 11), b"four");
        let (one, rest) = split_arguments(&bytes).unwrap();
        assert_eq!((one, split_arguments(rest)), (&b"one"[..], Some((&[][..], &[][..]))));
        assert_eq!(split_arguments(&bytes[..6]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_values_or_left_alone(bytes: Vec<u8>, near: bool) {
            let mut buffer = BytesMut::from(&bytes[..]);
            if near && buffer.len() >= 8 {
                buffer[..8].copy_from_slice(&[Kind::Item as u8, FIRST | LAST, 0, 0, 1, 0, 0, 0]);
            }
            let before = buffer.len();
            match Values::take(&mut buffer) {
                Some(mut values) => {
                    let count = values.count;
                    let read = std::iter::from_fn(|| values.next(<[u8]>::len)).count();
                    prop_assert_eq!(read, count as usize);
                    prop_assert!(buffer.len() < before);
                }
                None => prop_assert_eq!(buffer.len(), before),
            }
            let _ = split_arguments(&bytes);
        }
    }
}
