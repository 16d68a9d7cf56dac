//! What a pool runs, and what it is made of.

use std::fmt;

use crate::task::codec::{self, CodecError};
use crate::task::entry::Entry;
use crate::task::{Call, Task, TaskName};

/// Something that a pool can run: a [`Call`] made by [`call!`](crate::call), or a value of a type that implements [`Task`].
///
/// It cannot be implemented outside this crate; implement [`Task`] instead.
///
/// # Examples
///
/// ```
/// use procpool::{Job, call};
///
/// fn output<J: Job>(_: &J) -> &'static str {
///     std::any::type_name::<J::Output>()
/// }
/// assert_eq!(output(&call!(str::len("four"))), "usize");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a job that a pool can run",
    label = "not a job",
    note = "write `call!(f(a, b))`, or implement `procpool::Task` for the type",
    note = "what `#[procpool::task]` makes is a struct: `cube {{ x: 4 }}`, not `cube(4)`, which calls the function here"
)]
pub trait Job: Sealed {
    /// What the job returns, in the worker and then here.
    type Output;

    /// Code, name and arguments.
    #[doc(hidden)]
    fn into_parts(self) -> Parts<Self::Output>;
}

#[diagnostic::do_not_recommend]
impl<T: Task> Job for T {
    type Output = T::Output;

    fn into_parts(self) -> Parts<T::Output> {
        Parts {
            entry: Entry::task::<T>(),
            name: T::NAME.map_or_else(TaskName::of_type::<T>, TaskName::fixed),
            arguments: Arguments::new(move |out| codec::encode(&self, out)),
            decode: codec::decode_received,
        }
    }
}

impl<R> Job for Call<R> {
    type Output = R;

    fn into_parts(self) -> Parts<R> {
        self.parts
    }
}

/// Keeps [`Job`] to this crate.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a job that a pool can run",
    label = "not a job",
    note = "write `call!(f(a, b))`, or implement `procpool::Task` for the type"
)]
pub trait Sealed {}

#[diagnostic::do_not_recommend]
impl<T: Task> Sealed for T {}
impl<R> Sealed for Call<R> {}

/// A job taken apart: what to run, on what, and how to read the answer.
#[doc(hidden)]
pub struct Parts<R> {
    pub(crate) entry: Entry,
    pub(crate) name: TaskName,
    pub(crate) arguments: Arguments,
    pub(crate) decode: fn(&[u8]) -> Result<R, CodecError>,
}

impl<R> fmt::Debug for Parts<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("name", &self.name).field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// The arguments of a job, not yet encoded.
pub(crate) struct Arguments(Box<Encode>);

type Encode = dyn FnOnce(&mut Vec<u8>) -> Result<(), CodecError> + Send;

impl Arguments {
    pub(super) fn new(encode: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError> + Send + 'static) -> Self {
        Self(Box::new(encode))
    }

    /// Appends the encoded arguments to `out`. Runs the users' `Serialize`, which may panic.
    ///
    /// # Errors
    ///
    /// An argument does not encode. `out` may then hold a part of them.
    pub(crate) fn encode(self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        (self.0)(out)
    }
}

impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Arguments(..)")
    }
}
