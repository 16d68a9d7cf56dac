//! Records, cut and put together again.

mod control;
mod cutting;
mod hostile;
