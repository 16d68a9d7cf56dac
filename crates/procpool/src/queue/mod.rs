//! Queues between processes: many producers, many consumers, bounded, async.

mod broker;
mod key;
mod link;
mod wire;
