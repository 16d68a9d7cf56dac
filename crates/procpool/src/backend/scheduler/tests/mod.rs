//! The scheduler under test: by name, and by chance.

mod ledger;
mod sim;
mod source;
mod world;
