//! A program that is only ever a worker, for `program.rs`.

use procpool_tests as _;

fn main() {
    procpool::worker_main()
}
