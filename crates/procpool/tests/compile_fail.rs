//! What must not compile does not, and says what to do instead.
//!
//! The expected messages are those of the toolchain in `rust-toolchain.toml`. After a change of the messages, look at each and
//! write them anew with `TRYBUILD=overwrite cargo test -p procpool --test compile_fail`.

#[test]
fn misuse_is_refused_with_advice() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
