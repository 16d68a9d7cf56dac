//! The client: with the real hub, several participants in one process, and against a hub that is played.

mod cancelling;
mod played;
mod traffic;
mod world;
