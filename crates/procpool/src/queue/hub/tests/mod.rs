//! The hub with real rings and sockets, and participants that are written by hand.

mod hostile;
mod life;
mod processes;
mod puppet;
