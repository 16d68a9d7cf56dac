//! Multiprocessing for async Rust.

mod backend;
mod current;
mod entry;
mod sys;
mod task;
mod wire;
mod worker;

pub use current::{Current, current};
pub use entry::init;
