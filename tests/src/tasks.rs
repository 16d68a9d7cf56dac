//! Tasks that many tests use.

use crate::gate::visit;

/// `x` to the power `x`.
#[must_use]
pub fn power(x: u64) -> u128 {
    (x as u128).pow(x as u32)
}

/// The process that runs this.
#[must_use]
pub fn pid() -> u32 {
    std::process::id()
}

/// Gives its argument back.
#[must_use]
pub fn same<T>(x: T) -> T {
    x
}

/// Waits at a gate; gives the process it ran in.
#[must_use]
pub fn wait_at(gate: String, word: u64) -> u32 {
    visit(gate, word);
    std::process::id()
}

/// Never ends by itself, and uses all of a core.
pub fn spin() {
    loop {
        std::hint::spin_loop();
    }
}

/// Arrives at a gate, and after its release never ends.
pub fn visit_and_spin(gate: String) {
    visit(gate, 0);
    spin();
}

/// Panics.
pub fn boom(text: String) -> u8 {
    panic!("{text}")
}

/// Ends its process.
pub fn leave(code: i32) -> u8 {
    std::process::exit(code)
}

/// Aborts its process.
pub fn abort() -> u8 {
    std::process::abort()
}

/// Never ends by itself, and uses nothing.
pub fn hang() {
    loop {
        std::thread::park();
    }
}

/// Arrives at a gate, and after its release goes on until it is asked to stop; gives the process it ran in.
#[must_use]
pub fn visit_until_cancelled(gate: String) -> u32 {
    visit(gate, 0);
    let me = procpool::current();
    while !me.is_cancelled() {
        std::thread::yield_now();
    }
    me.pid()
}
