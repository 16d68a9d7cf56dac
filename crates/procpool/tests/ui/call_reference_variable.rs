//! A variable that is a reference does not look like one: `&*s` does.
use procpool::call;

fn length(s: &str) -> usize {
    s.len()
}

fn asked(s: &str) {
    let _ = call!(length(s));
}

fn main() {
    asked("x");
}
