//! The macros' expansions trigger no lint in a user's crate: this one hears all that a strict user may ask for.
//!
//! `cargo test` checks rustc's lints, `cargo clippy --all-targets` clippy's.
#![forbid(unsafe_code)]
#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    non_camel_case_types,
    unreachable_pub,
    unused_qualifications,
    unused_results,
    rust_2018_idioms,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::unwrap_used,
    clippy::shadow_unrelated,
    clippy::undocumented_unsafe_blocks
)]

use procpool as renamed;
use renamed::{Call, call};

/// Tasks.
pub mod tasks {
    /// Repeats a text.
    #[procpool::task]
    #[must_use]
    pub fn repeat(times: usize, text: char) -> String {
        text.to_string().repeat(times)
    }

    /// Nothing.
    #[procpool::task]
    pub const fn nothing() {}

    /// Gives back what it got.
    #[procpool::task(crate = "super::renamed")]
    #[must_use]
    pub const fn identity<T: Copy>(value: T) -> T {
        value
    }
}

#[procpool::task(ty = Counted)]
const fn counted(mut count: u8) -> u8 {
    count = count.saturating_add(1);
    count
}

fn greet(name: &str, count: usize) -> String {
    name.repeat(count)
}

const fn unit(_: ()) {}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Page {
    body: String,
}

impl Page {
    const fn len(&self, times: usize) -> usize {
        self.body.len().saturating_mul(times)
    }

    fn calls(&self) -> [Call<usize>; 2] {
        [call!((&*self).len(2)), call!(self.clone().len(2))]
    }
}

#[test]
fn expansions_are_quiet() {
    let name = String::from("bob");
    let lent: &str = &name;
    let calls = [
        call!(greet(&name, 2)),
        call!(greet("x", 2)),
        call!(greet(&name[1..], name.len())),
        call!(greet(&*lent, 2)),
        call!(tasks::repeat(2, 'x')),
    ];
    assert_eq!(calls.len(), 5);
    let page = Page { body: String::new() };
    assert_eq!(page.calls().len(), 2);
    drop((call!(unit(())), call!(unit(assert_eq!(1, 1))), call!(page.len(3))));
    let made = (tasks::repeat { times: 2, text: 'x' }, tasks::nothing {}, tasks::identity { value: 1 });
    assert_eq!(made.0.times + made.2.value, 3);
    let tasks::nothing {} = made.1;
    assert_eq!(Counted { count: 1 }.count, 1);
    assert_eq!(counted(1), 2);
}

/// Only has to compile.
mod entries {
    #[procpool::main]
    async fn threads() -> Result<(), std::fmt::Error> {
        Ok(())
    }

    #[procpool::main(flavor = "current_thread", crate = "procpool")]
    async fn current() {}

    #[procpool::main(worker_threads = 2)]
    async fn two() {}
}
