//! Multiprocessing for async Rust.

mod task;

pub use task::any_error::AnyError;
pub use task::codec::CodecError;
pub use task::json::Json;
