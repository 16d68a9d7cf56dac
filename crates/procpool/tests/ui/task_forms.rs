//! What `#[procpool::task]` cannot make a type of.
use procpool::task;

#[task]
fn lent(s: &str, n: usize) -> usize {
    s.len() + n
}

#[task]
fn slice(v: &[u64]) -> u64 {
    v.iter().sum()
}

#[task]
fn changes(v: &mut Vec<u8>) {
    v.clear();
}

#[task]
fn unnamed(x: impl Into<u64>) -> u64 {
    x.into()
}

#[task]
fn hidden(x: u64) -> impl Iterator<Item = u64> {
    0..x
}

#[task]
fn pattern((a, b): (u64, u64)) -> u64 {
    a + b
}

#[task]
fn wild(_: u64) {}

#[task]
async fn later(x: u64) -> u64 {
    x
}

#[task]
unsafe fn danger(x: u64) -> u64 {
    x
}

#[task]
fn lives<'a>(x: Vec<&'a str>) -> usize {
    x.len()
}

#[task]
fn borrowed() -> &'static str {
    "x"
}

#[task]
fn nowhere<T: Default>() -> T {
    T::default()
}

struct Page;

impl Page {
    #[task]
    fn method(&self) {}
}

#[task]
struct NotAFunction;

fn main() {}
