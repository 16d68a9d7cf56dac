//! Tasks that many tests use.

use std::hint::black_box;

use serde::{Deserialize, Serialize};

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

/// Waits at a gate, and gives the word back: for a map over [`Gate::items`](crate::Gate::items).
#[must_use]
pub fn visit_item((gate, word): (String, u64)) -> u64 {
    visit(gate, word);
    word
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

/// Reads where nothing is.
pub fn segfault() -> u8 {
    let nowhere = std::ptr::without_provenance::<u8>(8);
    #[expect(unsafe_code, reason = "safe code does not segfault")]
    // SAFETY: there is none, on purpose: nothing is ever mapped at address 8, so this read ends the process.
    unsafe {
        nowhere.read_volatile()
    }
}

/// Uses up its stack.
pub fn overflow(depth: u64) -> u64 {
    // The frame is kept from being optimised into a loop.
    let frame = black_box([depth; 64]);
    if frame[0] == u64::MAX { 0 } else { 1 + overflow(depth + 1) + black_box(frame)[1] }
}

/// What a task sees of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// As `current()` says.
    pub name: String,
    /// As `current()` says.
    pub slot: Option<u32>,
    /// As `current()` says.
    pub generation: Option<u32>,
    /// As `current()` says.
    pub task: Option<u64>,
    /// As `current()` says.
    pub attempt: Option<u32>,
    /// As the system says.
    pub pid: u32,
    /// As the system says: which thread.
    pub thread: String,
}

/// Who runs this.
#[must_use]
pub fn who() -> Identity {
    let me = procpool::current();
    Identity {
        name: me.name().to_owned(),
        slot: me.slot(),
        generation: me.generation(),
        task: me.task(),
        attempt: me.attempt(),
        pid: std::process::id(),
        thread: format!("{:?}", std::thread::current().id()),
    }
}
