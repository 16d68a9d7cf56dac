//! One value to and from bytes.

use super::decode::Decoder;
use super::encode::Encoder;
use super::error::{CodecError, Direction, MIRROR};
use crate::queue::travel;
use crate::task::apart::{self, Apart};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use std::any::{Any, TypeId};

/// Appends `value` to `out`. After an error `out` is as it was.
pub(crate) fn encode<T: Serialize + 'static>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = out.len();
    let mut encoder = Encoder::new(out);
    let encoded = match plain_bytes(value) {
        Some(bytes) => encoder.put(bytes),
        None if is_leaf::<T>() => encoder.leaf(value),
        None if TypeId::of::<T>() == TypeId::of::<()>() => Ok(()),
        None => encoder.value(value),
    };
    encoded.map_err(|error| {
        out.truncate(start);
        error.in_type::<T>(Direction::Encode)
    })
}

/// [`encode`], where big bytes may leave [`apart`].
pub(crate) fn encode_owned<T: Serialize + 'static>(value: T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    match plain_bytes(&value).map(<[u8]>::len) {
        Some(len) if apart::wants(len) => {
            Encoder::new(out).put(&len)?;
            let wanted = TypeId::of::<T>();
            let left = if wanted == TypeId::of::<Vec<u8>>() {
                same::<T, Vec<u8>>(value).map(Apart::Memory)
            } else if wanted == TypeId::of::<String>() {
                same::<T, String>(value).map(|text| Apart::Memory(text.into_bytes()))
            } else {
                same::<T, Bytes>(value).map(Apart::Shared)
            };
            if let Some(left) = left {
                apart::leave(left);
            }
            Ok(())
        }
        _ => encode(&value, out),
    }
}

/// The value that `bytes` hold, all of them.
pub(crate) fn decode<T: DeserializeOwned + 'static>(bytes: &[u8]) -> Result<T, CodecError> {
    whole(bytes, decode_prefix)
}

/// [`decode`], where big bytes may have come [`apart`].
pub(crate) fn decode_received<T: DeserializeOwned + 'static>(bytes: &[u8]) -> Result<T, CodecError> {
    whole(bytes, decode_received_prefix)
}

fn whole<T: 'static>(bytes: &[u8], decode: impl FnOnce(&mut &[u8]) -> Result<T, CodecError>) -> Result<T, CodecError> {
    let mut rest = bytes;
    let value = decode(&mut rest)?;
    if rest.is_empty() {
        return Ok(value);
    }
    let problem = format!("{} bytes are left over", rest.len());
    Err(CodecError::new(problem, MIRROR).in_type::<T>(Direction::Decode))
}

/// The value at the start of `bytes`, which then begins behind it. After an error `bytes` is as it was.
pub(crate) fn decode_prefix<T: DeserializeOwned + 'static>(bytes: &mut &[u8]) -> Result<T, CodecError> {
    let mut decoder = Decoder::new(bytes);
    let value = match plain(&mut decoder) {
        Some(value) => value,
        None if is_leaf::<T>() => decoder.take(),
        // All that goes through this codec has been brought here by procpool, and so may hold handles of queues.
        None => travel::decoding(|| decoder.value()),
    };
    let value = value.map_err(|error| error.in_type::<T>(Direction::Decode))?;
    *bytes = decoder.rest();
    Ok(value)
}

/// [`decode_prefix`], where big bytes may have come [`apart`].
pub(crate) fn decode_received_prefix<T: DeserializeOwned + 'static>(bytes: &mut &[u8]) -> Result<T, CodecError> {
    let wanted = TypeId::of::<T>();
    if [TypeId::of::<Vec<u8>>(), TypeId::of::<String>(), TypeId::of::<Bytes>()].contains(&wanted) {
        let mut decoder = Decoder::new(bytes);
        if let Some(came) = decoder.take::<usize>().ok().and_then(apart::take) {
            *bytes = decoder.rest();
            let value = if wanted == TypeId::of::<Vec<u8>>() {
                same(came)
            } else if wanted == TypeId::of::<Bytes>() {
                same(Bytes::from(came))
            } else {
                let bad = |_| CodecError::malformed(postcard::Error::DeserializeBadUtf8);
                same(String::from_utf8(came).map_err(bad).map_err(|error| error.in_type::<T>(Direction::Decode))?)
            };
            return value.ok_or_else(|| CodecError::malformed(postcard::Error::DeserializeUnexpectedEnd));
        }
    }
    decode_prefix(bytes)
}

/// Whether both halves of this type's serde implementation are the standard library's, and one call. There is then no need
/// for what is written beside a value to compare the two; and nothing can be named in it, or leave apart from it.
#[inline]
pub(crate) fn is_leaf<T: 'static>() -> bool {
    macro_rules! any_of {
        ($($leaf:ty)*) => { $( TypeId::of::<T>() == TypeId::of::<$leaf>() )||* };
    }
    any_of!(bool char u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64)
}

/// The content of a `Vec<u8>`, `String` or `Bytes`. serde would take a `Vec<u8>` apart byte by byte.
fn plain_bytes<T: 'static>(value: &T) -> Option<&[u8]> {
    let value: &dyn Any = value;
    if let Some(bytes) = value.downcast_ref::<Vec<u8>>() {
        Some(bytes)
    } else if let Some(text) = value.downcast_ref::<String>() {
        Some(text.as_bytes())
    } else {
        value.downcast_ref::<Bytes>().map(|bytes| &bytes[..])
    }
}

/// What [`encode`] writes without its serde layer.
fn plain<T: 'static>(decoder: &mut Decoder<'_>) -> Option<Result<T, CodecError>> {
    let wanted = TypeId::of::<T>();
    if wanted == TypeId::of::<Vec<u8>>() {
        decoder.take::<&[u8]>().map(|b| same(b.to_vec())).transpose()
    } else if wanted == TypeId::of::<String>() {
        decoder.take::<&str>().map(|s| same(s.to_owned())).transpose()
    } else if wanted == TypeId::of::<Bytes>() {
        let bytes = decoder.take::<&[u8]>().map(Bytes::copy_from_slice);
        bytes.map(same).transpose()
    } else if wanted == TypeId::of::<()>() {
        same(()).map(Ok)
    } else {
        None
    }
}

/// `value` as a `T`, where the two are the same type.
fn same<V: 'static, T: 'static>(value: V) -> Option<T> {
    let mut slot = Some(value);
    let slot: &mut dyn Any = &mut slot;
    slot.downcast_mut::<Option<T>>().and_then(Option::take)
}
