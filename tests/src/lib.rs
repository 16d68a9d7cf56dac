//! The harness that every test of this workspace member uses.
