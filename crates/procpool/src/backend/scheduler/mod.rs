//! The sans-IO heart of a pool: who runs what, and what happens when things go wrong.

mod api;

pub(crate) use api::*;
