//! What crosses between a parent and a worker: frames, by a socket or by rings, and one page of shared
//! memory.
//!
//! A worker may be broken or hostile. Nothing that comes from it is used as an offset, an index or a length before it
//! has been checked, no amount of memory is set aside on its word alone, and whatever it sends ends in a value or in an
//! error, never in a panic.

pub(crate) mod frame;
pub(crate) mod lot;
pub(crate) mod memory;
pub(crate) mod message;
pub(crate) mod page;
mod panic_slot;
pub(crate) mod progress;
pub(crate) mod ring;

#[cfg(test)]
mod frame_tests;
