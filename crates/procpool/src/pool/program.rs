//! What workers run, this executable or another, and whether that can be.

use std::path::{Path, PathBuf};

use crate::entry;
use crate::error::{PoolError, PoolErrorKind};
use crate::sandbox::check_nesting;
use crate::sys::process::is_own_executable;
use crate::task::check_duplicates;

/// Whether this program can start workers at all.
pub(super) fn check_entry() -> Result<(), PoolError> {
    if !entry::was_called() {
        return Err(PoolError::new(
            PoolErrorKind::NotInitialised,
            "procpool was not initialised: put #[procpool::main] on main, or call procpool::init() as its first \
             statement (in tests, add the dev-dependency feature `test-harness`). Workers run this same \
             executable, and without that they would run its main",
        ));
    }
    check_common()
}

/// Whether this program can have workers that run another one. It need not be able to be a worker itself, unless it
/// is to be one: a program that does not know that it was started as a worker would start its own, without end.
pub(super) fn check_program(program: &Path) -> Result<(), PoolError> {
    if !entry::was_called() && (entry::has_marker() || is_own_executable(program)) {
        return Err(PoolError::new(
            PoolErrorKind::NotInitialised,
            "this program is to be a worker, and procpool was not initialised: put #[procpool::main] on main, or \
             call procpool::init() as its first statement. Without that, workers would run its main",
        ));
    }
    check_common()
}

fn check_common() -> Result<(), PoolError> {
    if let Err(duplicate) = check_duplicates() {
        return Err(PoolError::new(PoolErrorKind::DuplicateTask, duplicate.to_string()).with_source(duplicate));
    }
    if entry::depth() >= entry::MAX_DEPTH {
        return Err(PoolError::new(
            PoolErrorKind::TooDeep,
            format!(
                "pools are nested {} deep in tasks of pools; the limit is {}",
                entry::depth() + 1,
                entry::MAX_DEPTH
            ),
        ));
    }
    check_nesting()
}

/// A path as the workers' program is found, whatever directory they are to run in. A bare name is for `PATH`.
pub(super) fn absolute(program: PathBuf) -> PathBuf {
    match program.components().count() {
        0 | 1 if !program.has_root() => program,
        _ => std::path::absolute(&program).unwrap_or(program),
    }
}
