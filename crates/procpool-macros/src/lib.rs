//! The macros of `procpool`. Use them through that crate, which documents them.

mod call;
mod entry;
mod options;
mod task;

use proc_macro::TokenStream;

/// The engine of `procpool::call!`, which hands over `[$crate]` and then what it was given.
#[doc(hidden)]
#[proc_macro]
pub fn call_engine(input: TokenStream) -> TokenStream {
    call::expand(input.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a type of a function, so that a call of it is a value: `power { x: 4 }` is a job.
///
/// The function stays as it is. A type of the same name appears beside it, with the arguments as fields; it implements
/// `procpool::Task`, `Serialize` and `Deserialize`. It is as visible as the function. Unless it is generic it also has a
/// stable name, which must be unique: in a program in which two tasks share one, making a pool of processes is an error.
///
/// Arguments are owned (`String`, not `&str`) and have plain names; the result is owned, too. The function is neither
/// `async` nor `unsafe` nor a method. Attributes of serde on an argument go to the field.
///
/// | option | meaning |
/// |---|---|
/// | `ty = Name` | names the type, where one of the same name would be in the way: `mod resize; pub use resize::resize;` |
/// | `name = "…"` | the stable name; without it the module's path and the function's name |
/// | `crate = "…"` | the path of procpool where it is renamed or re-exported; `::procpool` without it |
///
/// # Examples
///
/// ```
/// #[procpool::task]
/// fn power(x: u64) -> u128 {
///     u128::from(x).pow(x as u32)
/// }
///
/// #[procpool::task(ty = Area, name = "geometry.area")]
/// fn area(width: f64, height: f64) -> f64 {
///     width * height
/// }
///
/// assert_eq!(power(4), 256); // the function
/// let job = power { x: 4 }; // the job
/// let other = Area { width: 2.0, height: 3.0 };
/// # assert_eq!(procpool::Task::run(job), 256);
/// # assert_eq!(procpool::Task::run(other), 6.0);
/// ```
#[proc_macro_attribute]
pub fn task(options: TokenStream, item: TokenStream) -> TokenStream {
    task::expand(options.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Starts a program that uses pools: `procpool::init()`, and then what `#[tokio::main]` does.
///
/// In a worker, `init` does not return; only the ordinary start reaches the body. Statements that must come before it need
/// a plain `fn main` that calls `procpool::init()` itself.
///
/// The options are tokio's: `flavor = "current_thread"`, `worker_threads = 2`, `start_paused`, `unhandled_panic`. Also
/// `crate = "…"`, the path of procpool where it is renamed or re-exported. The program needs no dependency on tokio for it.
///
/// # Examples
///
/// ```no_run
/// #[procpool::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     println!("in the parent, not in its workers");
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(options.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
