//! Jobs made of a function pointer and an item.

use bytes::Bytes;

use crate::task::entry::Entry;
use crate::task::job::{Arguments, Parts};
use crate::task::{Ship, TaskName, codec};

/// What `map` makes of each item.
pub(crate) fn map_parts<A: Ship, R: Ship>(function: fn(A) -> R, item: A) -> Parts<R> {
    Parts {
        entry: Entry::map(function),
        name: TaskName::fixed("map"),
        arguments: Arguments::new(move |out| codec::encode(&item, out)),
        decode: codec::decode,
    }
}

/// What `map_with` makes of each item. `context` is a `C` that [`codec::encode`] wrote, once for all items.
pub(crate) fn map_with_parts<C: Ship, A: Ship, R: Ship>(function: fn(&C, A) -> R, context: Bytes, item: A) -> Parts<R> {
    Parts {
        entry: Entry::map_with(function),
        name: TaskName::fixed("map_with"),
        arguments: Arguments::new(move |out| {
            out.extend_from_slice(&context);
            codec::encode(&item, out)
        }),
        decode: codec::decode,
    }
}
