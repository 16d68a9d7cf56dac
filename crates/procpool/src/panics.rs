//! Panics that were caught, as text.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What is said of a payload that is neither `&str` nor `String`.
pub(crate) const NOT_A_STRING: &str = "panic with a payload that is not a string";

/// The message of a caught panic, and the end of its payload.
pub(crate) fn message(payload: Box<dyn Any + Send>) -> String {
    let text = match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => NOT_A_STRING.to_owned(),
    };
    discard(payload);
    text
}

/// Does something by the way, on a thread that others depend on: where foreign code (a subscriber of tracing, whose
/// output nobody reads any more) panics in it, it is left at that.
pub(crate) fn by_the_way<R>(action: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(action)).map_err(discard).ok()
}

/// Drops a payload whose `Drop` may panic in turn, with a payload whose `Drop` may panic …
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_that_panics_when_dropped_is_survived() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert_eq!(message(Box::new(Bomb)), NOT_A_STRING);
        assert_eq!(message(Box::new("text")), "text");
    }
}
