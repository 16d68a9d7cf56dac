//! Queues between processes: many producers, many consumers, bounded, async.

mod broker;
pub(crate) mod client;
mod guest;
mod hub;
mod key;
pub(crate) mod waiting;

pub(crate) use guest::Guest;
