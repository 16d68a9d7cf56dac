//! A worker that is built from another version of the tasks: one of them has changed, the others are not there.

/// As an older version had it.
#[procpool::task(name = "tests.changed")]
fn changed(x: u64, y: u64) -> u64 {
    x + y
}

fn main() {
    procpool::worker_main()
}
