//! The sans-IO heart of a pool: who runs what, and what happens when things go wrong.

mod ahead;
mod api;
mod closing;
mod core;
mod endings;
mod facts;
mod handover;
mod life;
mod lots;
mod pace;
mod payload;
mod queue;
mod relief;
mod reservations;
mod staffing;
mod starts;
mod stopping;
mod tasks;
mod timers;
mod workers;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use api::*;
pub(crate) use core::Scheduler;
pub(crate) use facts::{End, Fact, Timing};
pub(crate) use lots::LOTS_IN_HAND;
pub(crate) use payload::{LOT_NUMBERS, Lost, Payload};
