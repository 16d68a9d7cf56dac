//! The macros of procpool.
