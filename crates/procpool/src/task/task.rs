//! Work as a value of a type.

use crate::task::Ship;

/// Work that is a value: its fields travel to a worker, which calls [`run`](Task::run).
///
/// Most work needs no such type: [`call!`](crate::call) makes a job of any function call, and
/// [`#[procpool::task]`](macro@crate::task) makes the type of a function. Implement it by hand for generic work or for a
/// type that is more than the arguments of a function.
///
/// # Panics
///
/// A panic in `run` fails this task alone; its message, place and backtrace come back in the error.
///
/// # Examples
///
/// ```
/// use procpool::Task;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Scale {
///     values: Vec<f64>,
///     by: f64,
/// }
///
/// impl Task for Scale {
///     type Output = Vec<f64>;
///
///     fn run(self) -> Vec<f64> {
///         self.values.iter().map(|value| value * self.by).collect()
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task",
    label = "not a task",
    note = "implement `procpool::Task` for it, or put `#[procpool::task]` on a function and use the type that it makes"
)]
pub trait Task: Ship {
    /// What [`run`](Task::run) returns; it travels back.
    type Output: Ship;

    /// Does the work, in the worker.
    fn run(self) -> Self::Output;

    /// The name to show, set by `#[procpool::task]`.
    #[doc(hidden)]
    const NAME: Option<&'static str> = None;
}

/// A task that another program can ask for by name.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no stable name",
    label = "a task with a stable name is needed here",
    note = "`#[procpool::task]` on a function that is not generic gives its type a stable name",
    note = "for a generic task, put `#[procpool::task]` on a concrete wrapper: `fn cube_u64(x: u64) -> u64 {{ cube(x) }}`"
)]
pub trait Named: Task {
    /// The name, unique in the program.
    const STABLE_NAME: &'static str;
}

/// Fails to compile for a task without a stable name.
#[doc(hidden)]
#[must_use]
pub fn assert_named<T: Named>(_: &T) -> &'static str {
    T::STABLE_NAME
}
