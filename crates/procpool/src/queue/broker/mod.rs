//! Every decision about queues. Sans-IO, like the scheduler.

pub(crate) mod api;
mod consumers;
mod core;
mod limits;
mod parcels;
mod participants;
mod producers;
mod questions;
mod queue;
mod references;
mod seats;
mod settling;
mod stock;

#[cfg(test)]
mod tests;

pub(crate) use api::Boards;
pub(crate) use core::Broker;
