//! Queues between processes: many producers, many consumers, bounded, async.

mod broker;
pub(crate) mod client;
mod guest;
mod hub;
mod key;
mod link;
pub(crate) mod waiting;
mod wire;

pub(crate) use guest::Guest;
