//! Multiprocessing for async Rust.

mod backend;
