//! What can travel to another process.

use serde::{Serialize, de::DeserializeOwned};

/// A value that can travel to another process: owned, [`Send`], and [`Serialize`] + `Deserialize`.
///
/// It is implemented for every such type; derive the two serde traits and a type has it. Arguments, results and
/// [`Task`](crate::Task)s are `Ship`.
///
/// What has no meaning elsewhere does not travel: references (ship the owned value), open files, locks. Nor do most
/// error types (`std::io::Error`, `anyhow::Error`): return [`AnyError`](crate::AnyError), which any error converts into.
///
/// # Examples
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Page {
///     body: String,
/// }
///
/// fn travels<T: procpool::Ship>() {}
/// travels::<Page>();
/// travels::<Result<Vec<Page>, String>>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel to another process: derive `Serialize` and `Deserialize`",
    label = "cannot travel to another process",
    note = "arguments and results must be owned, `Send`, and implement serde's `Serialize` and `Deserialize`",
    note = "an error inside a `Result`: return `procpool::AnyError` instead of `io::Error`, `anyhow::Error` or `Box<dyn Error>`",
    note = "a future: an `async fn` does not run in a worker; call an ordinary function, which may block"
)]
pub trait Ship: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Ship for T {}
