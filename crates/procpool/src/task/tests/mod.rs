//! Jobs made, named, found and run within one process, and across two.
#![expect(unsafe_code, reason = "within this crate `#[task]` is not foreign code: its link section is seen")]

mod calls;
mod damage;
mod loopback;
mod maps;
mod processes;
mod states;
mod tasks;
