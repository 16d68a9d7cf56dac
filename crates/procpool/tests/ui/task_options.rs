//! Options that do not exist, or do not fit.
use procpool::task;

#[task(name = "a name")]
fn spaced() {}

#[task(name = 3)]
fn number() {}

#[task(ty = "Text")]
fn text() {}

#[task(colour = "red")]
fn colour() {}

#[task(fast)]
fn fast() {}

#[task(name = "cube")]
fn cube<T: std::ops::Mul<Output = T> + Copy>(x: T) -> T {
    x * x * x
}

fn main() {}
