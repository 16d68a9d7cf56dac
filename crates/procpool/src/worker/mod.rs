//! The child side: what a process does once [`entry`](crate::entry) has found that it is a worker.
//!
//! ```text
//! set-up of the process ─▶ Setup and page arrive ─▶ watcher starts ─▶ Hello ─▶ init job ─▶ InitDone
//!      ─▶ { Task: claim ─▶ decode ─▶ run ─▶ encode ─▶ write the whole reply ─▶ done }*
//!      ─▶ Retire: exit hook ─▶ exit(0)
//! ```
//!
//! Tasks run on the main thread, where C libraries expect to be, and one at a time. A second thread watches the parent.
//! Whatever ends the connection to the parent ends this process, and all that it started, by SIGKILL to its own group:
//! there is nobody left to work for.

mod link;
mod lot;
mod panics;
mod patience;
mod serve;
mod start;
mod watcher;

#[cfg(test)]
mod tests;

pub(crate) use start::{Start, refuse, run};
