//! What a worker's `init` job may return.

use std::fmt::Display;

use crate::task::Ship;

/// What an `init` job returns: `()`, or a `Result<(), E>` whose error can be shown.
///
/// An `Err` means that the worker is of no use; its text is the cause in the errors of the tasks that wait for one.
///
/// # Examples
///
/// ```
/// fn allowed<T: procpool::InitOutput>(_: fn() -> T) {}
/// allowed(|| ());
/// allowed(|| std::env::var("MODEL").map(drop).map_err(|error| error.to_string()));
/// ```
#[diagnostic::on_unimplemented(
    message = "an `init` job returns `()` or `Result<(), E>` with `E: Display`, not `{Self}`",
    label = "not what an `init` job can return"
)]
pub trait InitOutput: Ship {
    /// What went wrong, as text.
    #[doc(hidden)]
    fn into_result(self) -> Result<(), String>;
}

impl InitOutput for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Display + Ship> InitOutput for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}
