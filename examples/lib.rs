//! Small programs that use procpool, one subject a file; the README lists them. `cargo run --release --example NAME`
//! runs one.
