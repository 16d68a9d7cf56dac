//! So is a result, where the call stands.
use procpool::call;

struct Opaque;

fn makes(_: u8) -> Opaque {
    Opaque
}

fn main() {
    let _ = call!(makes(1));
}
