//! A future cannot travel back.
use procpool::call;

async fn fetch(n: u64) -> u64 {
    n
}

fn main() {
    let _ = call!(fetch(1));
}
