//! Whether this process is a copy of one that had things which cannot be copied.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static IS_COPY: AtomicBool = AtomicBool::new(false);

/// From now on, [`is_copy`] is true in processes that `fork` makes of this one (without an exec).
pub(crate) fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        // SAFETY: the handler is a function of the C convention without arguments that lives as long as the program. It
        // only touches an atomic, which is allowed in the child of a process with threads. Where memory is so short that it
        // cannot be registered, copies are not noticed.
        #[expect(unsafe_code, reason = "rustix has no pthread_atfork")]
        unsafe {
            libc::pthread_atfork(None, None, Some(copied));
        }
    });
}

/// Whether this process is a copy of one that had called [`watch`]. About as cheap as reading a variable.
///
/// A link to the outside is not to be used in the copy: the original goes on using it, and a lock that another thread held
/// while the process was copied is never given back in the copy.
pub(crate) fn is_copy() -> bool {
    IS_COPY.load(Ordering::Relaxed)
}

extern "C" fn copied() {
    IS_COPY.store(true, Ordering::Relaxed);
}
