//! What is not a job.
use procpool::Job;

#[procpool::task]
fn power(x: u64) -> u64 {
    x
}

fn takes<J: Job>(_: J) {}

fn main() {
    takes(power(4));
    takes(power);
    takes(|| 4);
    takes(async { 4 });
}
