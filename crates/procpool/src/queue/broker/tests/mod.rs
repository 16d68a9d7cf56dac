//! The broker under test: by name, and by chance.

mod board;
mod client;
mod deck;
mod finale;
mod ledger;
mod sim;
mod world;
