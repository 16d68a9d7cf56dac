//! What `without_init.rs` and the programs of its workers share.

/// Twice as much.
#[procpool::task]
pub fn double(x: u64) -> u64 {
    2 * x
}
