//! Real workers under a parent that is small enough to be read: no pool, no scheduler, no keeper.

mod death;
mod life;
mod memory;
mod parent;
