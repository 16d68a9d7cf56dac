//! The broker under test: by name, and by chance.

mod board;
mod breaches;
mod client;
mod deck;
mod finale;
mod ledger;
mod rules;
mod sim;
mod world;
