//! What every task and worker was doing, for a test that hangs.

use std::sync::{Mutex, PoisonError};

use procpool::Pool;

use crate::leaks::children_of;

static WATCHED: Mutex<Vec<Pool>> = Mutex::new(Vec::new());

/// Shows this pool in the dump if the test hangs. The pool then lives until the test's end, unless it is shut down.
pub fn watched(pool: Pool) -> Pool {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner).push(pool.clone());
    pool
}

pub(crate) fn forget() {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

pub(crate) fn print() {
    for pool in WATCHED.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        eprintln!("{}", pool.snapshot());
    }
    let me = std::process::id();
    for pid in std::iter::once(me).chain(children_of(me)) {
        eprintln!("process {pid}:");
        let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.flatten() {
            let read = |file| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
            let (name, wchan, stat) = (read("comm"), read("wchan"), read("stat"));
            let state = stat.rsplit(')').next().unwrap_or_default().trim_start().get(..1).unwrap_or_default();
            eprintln!("  {} {state} {wchan}", name.trim());
        }
    }
}
