//! Tasks in child processes on this machine.
//!
//! - `processes`: what the engine decides, turned into memory operations on links and commands to the keeper.
//! - `keeper`: the one thread that spawns, signals and reaps, and tells the time.
//! - `driver`: one small tokio task a worker that moves bytes when the socket is ready.
//! - `link`: one worker's socket and page. `outbox`, `sending`: what is on its way there. `inbox`: what comes from it.
//! - `etiquette`: what a worker may say next.
//! - `output`, `lines`: what a worker prints, where that is captured; its last words.
//! - `tee`: passing that on to this program's own output.

#[cfg(test)]
mod boarding_tests;
mod driver;
mod etiquette;
mod inbox;
mod keeper;
mod lines;
mod link;
mod outbox;
mod output;
mod processes;
mod sending;
mod start;
mod tee;

pub(crate) use start::{LocalConfig, start};
