//! The worker's side: one step after the other, none of which can be taken back.
//!
//! The order matters. Landlock and seccomp are a thread's own, and handed down to the threads that it starts. So the worker
//! enters while it has one thread; the watcher comes after that. The base leaves what an `init` job may want; the rest
//! follows before the first task, for all threads there are by then.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;

use seccompiler::BpfProgram;

use super::policy::{Forbidden, Missing, Sandbox};
use super::{files, filter};
use crate::error::{PoolError, PoolErrorKind};
use crate::sys::confine;

/// The sandbox that this process is in.
static HERE: OnceLock<Sandbox> = OnceLock::new();

/// A worker in its sandbox, to which it will admit tasks after one more step.
#[must_use = "tasks are not fenced in yet"]
pub(crate) struct Fenced(());

/// Enters a sandbox, but for what only tasks must not do. These descriptors stay open, as do the standard ones.
///
/// # Errors
/// What could not be done. The process is then in a state in which no task should run.
pub(crate) fn enter(sandbox: Sandbox, keep: &[BorrowedFd<'_>], name: &str) -> io::Result<Fenced> {
    if !confine::has_one_thread()? {
        return Err(io::Error::other(
            "it has more than one thread, and each would have to enter by itself: call procpool::init() before anything \
             starts a thread",
        ));
    }
    let mut without = Without { missing: sandbox.missing, name };
    if sandbox.close_fds
        && let Err(error) = confine::close_others(keep)
    {
        without.note("closing descriptors", error)?;
    }
    let grants = files::open_grants(&sandbox)?;
    confine::gain_no_privileges()?;
    confine::drop_privileges()?;
    if let Err(error) = files::restrict(&sandbox, grants) {
        without.note("Landlock", error)?;
    }
    install(filter::base(&sandbox, std::process::id()), seccompiler::apply_filter, &mut without)?;
    let _ = HERE.set(sandbox);
    Ok(Fenced(()))
}

impl Fenced {
    /// The last step, after which tasks may run: for all threads of this process.
    ///
    /// # Errors
    /// As [`enter`].
    pub(crate) fn close(self, name: &str) -> io::Result<()> {
        let Some(sandbox) = HERE.get() else { return Ok(()) };
        let programs = filter::for_tasks(sandbox, std::process::id());
        install(programs, seccompiler::apply_filter_all_threads, &mut Without { missing: sandbox.missing, name })
    }
}

/// Whether processes can be started from here.
///
/// # Errors
/// If this process is a worker whose sandbox forbids it.
pub(crate) fn check_nesting() -> Result<(), PoolError> {
    let Some(sandbox) = HERE.get() else { return Ok(()) };
    let which = match (sandbox.forbids(Forbidden::Exec), sandbox.forbids(Forbidden::NewProcesses)) {
        (true, true) => "no_exec and no_new_processes",
        (true, false) => "no_exec",
        (false, true) => "no_new_processes",
        (false, false) => return Ok(()),
    };
    Err(PoolError::new(
        PoolErrorKind::Unsupported,
        format!(
            "this is a worker in a sandbox that forbids to start processes ({which}), so there can be no pool of processes \
             in it: use Pool::in_process(), or a sandbox without that"
        ),
    ))
}

fn install<E: Display, F: Display>(
    programs: Result<Vec<BpfProgram>, E>,
    apply: impl Fn(&[seccompiler::sock_filter]) -> Result<(), F>,
    without: &mut Without<'_>,
) -> io::Result<()> {
    let programs = programs.map_err(|error| io::Error::other(format!("seccomp: {error}")))?;
    for program in &programs {
        if let Err(error) = apply(program) {
            without.note("seccomp", error)?;
        }
    }
    Ok(())
}

/// What to make of a step that fails.
struct Without<'a> {
    missing: Missing,
    name: &'a str,
}

impl Without<'_> {
    /// Goes on without it, if that is allowed, and says so.
    fn note(&mut self, what: &str, error: impl Display) -> io::Result<()> {
        match self.missing {
            Missing::Refuse => Err(io::Error::other(format!("{what}: {error}"))),
            Missing::GoWithout => {
                // For whoever reads it; it need not be anybody.
                let _ = writeln!(io::stderr(), "procpool: {} goes without {what}: {error}", self.name);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_does_not_enter() {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| enter(Sandbox::new(), &[], "worker-0").err().map(|error| error.to_string()));
            assert!(thread.join().unwrap().unwrap().contains("more than one thread"));
        });
        // Nothing has happened to this process.
        assert!(check_nesting().is_ok() && std::fs::File::open("/proc/self/exe").is_ok());
    }
}
