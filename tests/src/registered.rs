//! Tasks with stable names, for workers that run another program.

use procpool::Shared;

use crate::gate::visit;

/// The cube.
#[procpool::task]
#[must_use]
pub fn cube(x: u64) -> u64 {
    x * x * x
}

/// The program that runs this, its process, and how deep it lies.
#[procpool::task(name = "tests.whoami")]
#[must_use]
pub fn whoami() -> (String, u32, u32) {
    let program = std::env::current_exe().expect("a program knows its executable");
    let program = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    (program, std::process::id(), procpool::current().depth())
}

/// Prints on stderr, and dies.
#[procpool::task(name = "tests.crash")]
pub fn crash(last_words: String) {
    eprint!("{last_words}");
    std::process::abort();
}

/// Panics.
#[procpool::task(name = "tests.boom")]
pub fn boom(text: String) -> u8 {
    panic!("{text}")
}

/// Never ends by itself.
#[procpool::task(name = "tests.stay", ty = Stay)]
pub fn stay(gate: String) {
    visit(gate, 0);
    crate::tasks::spin();
}

/// In another program this has another schema.
#[procpool::task(name = "tests.changed", ty = Changed)]
#[must_use]
pub fn changed(x: u32) -> u32 {
    x
}

/// One of many numbers.
#[procpool::task(name = "tests.pick", ty = Pick)]
#[must_use]
pub fn pick(numbers: Shared<Vec<u64>>, at: usize) -> u64 {
    numbers[at]
}

/// Keeps a number for [`remembered`].
#[procpool::task(name = "tests.remember", ty = Remember)]
pub fn remember(x: u64) -> Result<(), String> {
    match x {
        0 => Err("0 is not remembered".to_owned()),
        _ => {
            MEMORY.store(x, std::sync::atomic::Ordering::Relaxed);
            Ok(())
        }
    }
}

/// What [`remember`] kept.
#[procpool::task(name = "tests.remembered", ty = Remembered)]
#[must_use]
pub fn remembered() -> u64 {
    MEMORY.load(std::sync::atomic::Ordering::Relaxed)
}

static MEMORY: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
