//! Jobs made of a function pointer and an item.

use std::sync::Arc;

use serde::ser::Error;

use crate::task::attachment::{self, Attachment};
use crate::task::codec::CodecError;
use crate::task::entry::Entry;
use crate::task::job::{Arguments, Parts};
use crate::task::{Ship, TaskName, codec};

/// What `map` makes of each item.
pub(crate) fn map_parts<A: Ship, R: Ship>(function: fn(A) -> R, item: A) -> Parts<R> {
    Parts {
        entry: Entry::map(function),
        name: TaskName::fixed("map"),
        arguments: Arguments::new(move |out| codec::encode_owned(item, out)),
        decode: codec::decode_received,
    }
}

/// What `map_with` makes of each item. `context` is an encoded `C`: once for all items, and sent once to each worker.
pub(crate) fn map_with_parts<C: Ship, A: Ship, R: Ship>(
    function: fn(&C, A) -> R,
    context: Arc<Attachment>,
    item: A,
) -> Parts<R> {
    Parts {
        entry: Entry::map_with(function),
        name: TaskName::fixed("map_with"),
        arguments: Arguments::new(move |out| encode_with(&context, item, out)),
        decode: codec::decode_received,
    }
}

/// The same code for all items of a map: for whoever encodes many of them together.
pub(crate) struct Uniform<A, R> {
    pub(crate) entry: Entry,
    pub(crate) name: TaskName,
    /// Appends the encoded arguments for an item.
    pub(crate) encode: Box<EncodeItem<A>>,
    /// Nothing travels beside the bytes of an item.
    pub(crate) is_plain: bool,
    pub(crate) decode: fn(&[u8]) -> Result<R, CodecError>,
}

type EncodeItem<A> = dyn Fn(A, &mut Vec<u8>) -> Result<(), CodecError> + Send;

/// [`map_parts`] for all items.
pub(crate) fn map_uniform<A: Ship, R: Ship>(function: fn(A) -> R) -> Uniform<A, R> {
    Uniform {
        entry: Entry::map(function),
        name: TaskName::fixed("map"),
        encode: Box::new(codec::encode_owned),
        is_plain: codec::is_leaf::<A>(),
        decode: codec::decode_received,
    }
}

/// [`map_with_parts`] for all items.
pub(crate) fn map_with_uniform<C: Ship, A: Ship, R: Ship>(
    function: fn(&C, A) -> R,
    context: Arc<Attachment>,
) -> Uniform<A, R> {
    Uniform {
        entry: Entry::map_with(function),
        name: TaskName::fixed("map_with"),
        encode: Box::new(move |item, out| encode_with(&context, item, out)),
        is_plain: false,
        decode: codec::decode_received,
    }
}

fn encode_with<A: Ship>(context: &Arc<Attachment>, item: A, out: &mut Vec<u8>) -> Result<(), CodecError> {
    if !attachment::name(context) {
        return Err(CodecError::custom("nobody would send the context along"));
    }
    out.extend_from_slice(&context.key().to_le_bytes());
    codec::encode_owned(item, out)
}
