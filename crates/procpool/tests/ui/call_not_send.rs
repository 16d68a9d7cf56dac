//! Arguments are encoded on another thread than they are made on.
use procpool::call;

fn takes(_: *const u8) {}

fn main() {
    let _ = call!(takes(std::ptr::null()));
}
