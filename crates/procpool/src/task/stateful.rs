//! Jobs that make a worker's state, and jobs that use it.

use std::fmt::Display;

use crate::task::codec::{self, CodecError};
use crate::task::entry::Entry;
use crate::task::job::{Arguments, Parts};
use crate::task::{Ship, TaskName};

/// What of a job that makes a state travels back: whether there is one.
pub(crate) type Made = Result<(), String>;

/// The longest error of a maker that travels, in bytes.
const MAX_TEXT: usize = 8 * 1024;

/// Appends what came of making a state: nothing at all if there is one, so that no limit on results is in its way.
pub(super) fn write_made(made: Made, out: &mut Vec<u8>) {
    if let Err(why) = made {
        out.push(1);
        out.extend_from_slice(&why.as_bytes()[..why.floor_char_boundary(MAX_TEXT)]);
    }
}

fn read_made(bytes: &[u8]) -> Result<Made, CodecError> {
    Ok(match bytes {
        [] => Ok(()),
        [_, why @ ..] => Err(String::from_utf8_lossy(why).into_owned()),
    })
}

/// Makes the state of a worker, and leaves it there.
pub(crate) fn make_parts<A: Ship, S: 'static>(make: fn(A) -> S, argument: A) -> Parts<Made> {
    made_of::<S, A>(Entry::make(make), argument)
}

/// Makes the state of a worker, if it can be made.
pub(crate) fn try_make_parts<A: Ship, S: 'static, E: Display + 'static>(
    make: fn(A) -> Result<S, E>,
    argument: A,
) -> Parts<Made> {
    made_of::<S, A>(Entry::try_make(make), argument)
}

fn made_of<S: 'static, A: Ship>(entry: Entry, argument: A) -> Parts<Made> {
    Parts {
        entry,
        name: TaskName::of_type::<S>(),
        arguments: Arguments::new(move |out| codec::encode(&argument, out)),
        decode: read_made,
    }
}

/// Calls a function with the state of the worker that it comes to. `name` is its name in errors.
pub(crate) fn use_parts<S: 'static, A: Ship, R: Ship>(
    function: fn(&mut S, A) -> R,
    argument: A,
    name: TaskName,
) -> Parts<R> {
    Parts {
        entry: Entry::use_state(function),
        name,
        arguments: Arguments::new(move |out| codec::encode_owned(argument, out)),
        decode: codec::decode_received,
    }
}
