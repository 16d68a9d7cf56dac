//! Multiprocessing for async Rust.

mod backend;
mod entry;
mod sys;
mod task;
mod wire;
