//! Waiting for a descriptor inside tokio.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// A shared descriptor that is registered with the runtime that was current when this was made. Nothing is done to the
/// descriptor itself: it must be non-blocking.
pub(crate) struct Readiness(AsyncFd<Arc<OwnedFd>>);

/// Whether descriptors can be registered with the current runtime: one that was built without its I/O driver panics.
pub(crate) fn is_possible(fd: Arc<OwnedFd>) -> bool {
    std::panic::catch_unwind(|| Readiness::new(fd)).is_ok()
}

impl Readiness {
    /// # Errors
    /// The runtime is shutting down, or the kernel refuses.
    ///
    /// # Panics
    /// Outside a runtime (with its I/O driver).
    pub(crate) fn new(fd: Arc<OwnedFd>) -> io::Result<Self> {
        // SAFETY: the `Arc` keeps the descriptor open for as long as it is registered, and nobody can replace it: the
        // `AsyncFd` is private to this type, which never hands out its content.
        #[expect(unsafe_code, reason = "tokio asks its caller to promise that the descriptor stays what it is")]
        let registered = unsafe { AsyncFd::register(fd) };
        Ok(Readiness(registered?))
    }

    /// Waits until there is something to read. Cancel safe.
    pub(crate) async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, Arc<OwnedFd>>> {
        self.0.readable().await
    }

    /// Waits until there is room to write. Cancel safe.
    pub(crate) async fn writable(&self) -> io::Result<AsyncFdReadyGuard<'_, Arc<OwnedFd>>> {
        self.0.writable().await
    }
}
