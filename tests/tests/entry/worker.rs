//! A program that is only ever a worker.

use without_init as _;

fn main() {
    procpool::worker_main()
}
