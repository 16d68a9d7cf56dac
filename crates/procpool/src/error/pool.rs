//! Errors of pools and processes as a whole.

use std::error::Error;
use std::fmt;

/// Why a pool or a process could not be made, made ready, resized or shut down.
///
/// ```
/// use procpool::{Pool, PoolErrorKind};
/// // No tokio runtime here:
/// let error = Pool::builder().workers(2).max_tasks(0).build().unwrap_err();
/// assert_eq!(error.kind(), PoolErrorKind::InvalidConfig);
/// assert_eq!(error.to_string(), "max_tasks is 0; it must be at least 1");
/// ```
pub struct PoolError {
    kind: PoolErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What kind of thing a [`PoolError`] tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PoolErrorKind {
    /// `procpool::init()` was not called first in `main`, so this program's executable cannot act as a worker.
    NotInitialised,
    /// The pool was made outside a tokio runtime, or on one that was built without I/O.
    NoRuntime,
    /// A value of the builder is out of range.
    InvalidConfig,
    /// Two tasks of this program have the same stable name.
    DuplicateTask,
    /// Pools nested in tasks of pools nested in tasks … too deep.
    TooDeep,
    /// No worker could be started, or every one died before it was ready.
    StartFailed,
    /// The pool has been shut down.
    Closed,
    /// The operating system refused something that the pool needs.
    Os,
    /// What was asked for cannot be had here: this kernel cannot put up the pool's [`Sandbox`](crate::Sandbox), or this is a
    /// worker in one that forbids to start processes.
    Unsupported,
}

impl PoolError {
    pub(crate) fn new(kind: PoolErrorKind, message: impl Into<String>) -> Self {
        PoolError { kind, message: message.into(), source: None }
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of error this is.
    #[must_use]
    pub fn kind(&self) -> PoolErrorKind {
        self.kind
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for PoolError {
    /// As readable as `Display`, since `main` returning an error prints this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)?;
        let mut source = self.source();
        while let Some(error) = source {
            write!(f, "\n  caused by: {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl Error for PoolError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn Error + 'static))
    }
}
