//! What an `init` job may return.
fn takes<T: procpool::InitOutput>(_: fn() -> T) {}

fn main() {
    takes(|| 3u8);
    takes(|| Err::<u8, String>(String::new()));
}
