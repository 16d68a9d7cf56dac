//! What every backend does, one subject a file.

mod backend;
pub(crate) mod maps;
pub(crate) mod places;
pub(crate) mod queue;
pub(crate) mod stopping;
pub(crate) mod values;
pub(crate) mod watching;
pub(crate) mod workers;

pub(crate) use backend::Backend;
