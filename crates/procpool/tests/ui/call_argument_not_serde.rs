//! An argument that is not serde is refused where it stands.
use procpool::call;

struct Opaque;

fn takes(_: u8, _: Opaque) {}

fn main() {
    let _ = call!(takes(1, Opaque));
}
