//! What runs tasks: the seam between the typed front and the places where work happens.

pub(crate) mod scheduler;
