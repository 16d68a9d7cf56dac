//! The scheduler under test: by name, and by chance.

mod ahead;
mod ending;
mod items;
mod job;
mod ledger;
mod lot_shell;
mod lot_worker;
mod lots;
mod order;
mod process;
mod puppet;
mod queueing;
mod reserving;
mod resizing;
mod show;
mod sim;
pub(crate) mod source;
mod sparing;
mod staying;
mod watching;
mod world;
