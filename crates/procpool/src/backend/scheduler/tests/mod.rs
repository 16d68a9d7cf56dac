//! The scheduler under test: by name, and by chance.

mod ending;
mod ledger;
mod puppet;
mod queueing;
mod sim;
mod source;
mod staying;
mod world;
