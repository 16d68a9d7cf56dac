//! What a function changes would be changed in another process.
use procpool::call;

fn fill(_: &mut Vec<u8>) {}

fn main() {
    let mut bytes = Vec::new();
    let _ = call!(fill(&mut bytes));
    let _ = call!((&mut bytes).push(1));
}
