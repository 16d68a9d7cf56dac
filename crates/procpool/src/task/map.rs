//! Jobs made of a function pointer and an item.

use std::sync::Arc;

use serde::ser::Error;

use crate::task::blob::{self, Blob};
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
    context: Arc<Blob>,
    item: A,
) -> Parts<R> {
    Parts {
        entry: Entry::map_with(function),
        name: TaskName::fixed("map_with"),
        arguments: Arguments::new(move |out| {
            if !blob::name(&context) {
                return Err(CodecError::custom("nobody would send the context along"));
            }
            out.extend_from_slice(&context.key().to_le_bytes());
            codec::encode_owned(item, out)
        }),
        decode: codec::decode_received,
    }
}
