//! A function call as a job.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

use crate::task::argument::CallArguments;
use crate::task::codec;
use crate::task::entry::Entry;
use crate::task::job::{Arguments, Parts};
use crate::task::{Ship, TaskName};

/// A call of a function, to be made in another process. Made by [`call!`](crate::call).
///
/// Nothing happens before a pool or [`Process`](crate::Process) takes it. Dropping it drops the arguments.
///
/// It does not serialise: a call that came from elsewhere could name code that its types do not allow.
///
/// # Examples
///
/// ```
/// use procpool::{Call, call};
///
/// fn power(x: u64) -> u128 {
///     u128::from(x).pow(x as u32)
/// }
///
/// let job: Call<u128> = call!(power(4)).name("four");
/// ```
#[must_use = "a call does nothing until a pool runs it: `pool.run(call!(..)).await`"]
pub struct Call<R> {
    pub(super) parts: Parts<R>,
}

impl<R: Ship> Call<R> {
    #[track_caller]
    pub(super) fn new<A: CallArguments>(arguments: A, code: fn(A) -> R, path: &'static str) -> Self {
        let parts = Parts {
            entry: Entry::call(code),
            name: TaskName::fixed(path).at(Location::caller()),
            arguments: Arguments::new(move |out| arguments.encode(out)),
            decode: codec::decode_received,
        };
        Self { parts }
    }
}

impl<R> Call<R> {
    /// Names the task in errors, snapshots and traces. Without it the name is the function's path.
    ///
    /// # Examples
    ///
    /// ```
    /// let job = procpool::call!(str::len("four")).name("length");
    /// # drop(job);
    /// ```
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        let named = TaskName::chosen(name.into());
        self.parts.name = match self.parts.name.location() {
            Some(location) => named.at(location),
            None => named,
        };
        self
    }
}

impl<R> fmt::Debug for Call<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut call = f.debug_struct("Call");
        call.field("name", &self.parts.name.as_str());
        if let Some(location) = self.parts.name.location() {
            call.field("location", &format_args!("{location}"));
        }
        call.finish_non_exhaustive()
    }
}

/// Makes a [`Job`](crate::Job) of a function call: `call!(f(a, b))` evaluates the arguments here and calls the function in
/// a worker.
///
/// The function is any path (`f`, `module::f`, `Type::f::<T>`, `<T as Trait>::f`, `Some`) or a method (`value.f(a)`: the
/// value before the dot travels too). Up to twelve arguments travel; literals do not count.
///
/// - **Arguments** are evaluated at once, in order, as in a call; `.await` and `?` in them work. Each must be
///   [`Ship`](crate::Ship).
/// - **Shared references** that are written as such, `&name`, `&v`, `&s[1..]`, travel as owned copies
///   ([`ToOwned`]) and are lent to the function over there. For a variable that *is* a reference, `s: &str`, write `&*s`.
/// - **`&mut`** is refused: what the function changes would be changed in another process. Pass the value and return it.
/// - **Captures** are refused: only the arguments travel, so a local closure cannot be called.
/// - **`async fn`** is refused, since its future cannot travel.
///
/// The task is named by the function's path, unless [`Call::name`](crate::Call::name) says otherwise.
///
/// # Examples
///
/// ```
/// use procpool::{Call, call};
///
/// fn cut(s: &str, n: usize) -> String {
///     s.chars().take(n).collect()
/// }
///
/// let title = String::from("multiprocessing");
/// let job: Call<String> = call!(cut(&title, 5));
/// let jobs: Vec<_> = (1..=3).map(|n| call!(cut(&title[n..], n))).collect();
/// # drop((job, jobs));
/// ```
#[macro_export]
macro_rules! call {
    ($($call:tt)*) => {
        $crate::__private::call_engine!([$crate] $($call)*)
    };
}
