//! Only arguments travel, so a closure that captures cannot be called.
use procpool::call;

fn main() {
    let factor = 3;
    let times = |x: u64| x * factor;
    let _ = call!(times(4u64));
}
