//! Starting worker processes, and ending them.
//!
//! `std::process` starts a child by `vfork` (0.7 ms under a parent of 1 GiB) as long as nothing is asked for that needs
//! code between fork and exec; with `pre_exec`, a uid or a gid it falls back to `fork` (42 ms). So none of these is used
//! here, and the worker does its own set-up. A child is reaped by its pidfd, never by its number, and signalled as a
//! group only while it is known to be ours: an unreaped child's number cannot be given to somebody else.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

use super::signals::{self, SignalMask};

/// This executable, by inode: a rebuild or an upgrade on disk does not change what it means.
const EXECUTABLE: &str = "/proc/self/exe";

/// What a worker's environment has other than its parent's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EnvChanges {
    /// Start from nothing rather than from the parent's environment.
    pub(crate) clear: bool,
    /// Set (`Some`) or removed (`None`), in this order, after `clear`.
    pub(crate) changes: Vec<(OsString, Option<OsString>)>,
}

/// Where a worker's standard output or error goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stream {
    /// To the parent's.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// Into a pipe that the parent reads without blocking.
    Pipe,
}

/// A worker that is to be started.
#[derive(Debug)]
pub(crate) struct WorkerCommand {
    /// The worker's end of its socketpair; becomes its descriptor 0.
    pub(crate) socket: OwnedFd,
    /// What it executes, if it is not this executable.
    pub(crate) program: Option<PathBuf>,
    /// The marker, see [`entry`](crate::entry).
    pub(crate) arg0: String,
    pub(crate) env: EnvChanges,
    /// The working directory, if it is not the parent's.
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) stdout: Stream,
    pub(crate) stderr: Stream,
}

/// A child process of ours. Dropping it neither ends nor reaps the process.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    /// `None`: it was gone, and collected by somebody else, before it could be opened.
    pidfd: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    reaped: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ExitFacts {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signaled { signal: i32, core_dumped: bool },
    /// Somebody else in this program collected the status: it ignores SIGCHLD, or calls `waitpid(-1)`.
    Unknown,
}

/// Starts a worker, in a process group of its own. Blocks until the new process has begun to execute.
pub(crate) fn spawn(worker: WorkerCommand) -> io::Result<Child> {
    let mut command = Command::new(worker.program.as_deref().unwrap_or_else(|| Path::new(EXECUTABLE)));
    command.arg0(&worker.arg0).stdin(Stdio::from(worker.socket)).process_group(0);
    if worker.env.clear {
        command.env_clear();
    }
    for (key, value) in &worker.env.changes {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    if let Some(directory) = &worker.cwd {
        command.current_dir(directory);
    }
    match worker.stdout {
        Stream::Inherit => {}
        Stream::Null => drop(command.stdout(Stdio::null())),
        Stream::Pipe => drop(command.stdout(Stdio::piped())),
    }
    match worker.stderr {
        Stream::Inherit => {}
        Stream::Null => drop(command.stderr(Stdio::null())),
        Stream::Pipe => drop(command.stderr(Stdio::piped())),
    }
    let mut child = {
        // The new process inherits this thread's mask. SIGTSTP: a Ctrl-Z that hits the child between vfork and exec
        // would stop it there, and this thread with it, beyond the reach of Ctrl-C. The others wait until the worker
        // has decided how it treats them, so that a TERM during its start is neither lost nor deadly.
        let _blocked = SignalMask::block(&signals::HELD_WHILE_STARTING)?;
        command.spawn()?
    };
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    let stdout = child.stdout.take().map(OwnedFd::from);
    let stderr = child.stderr.take().map(OwnedFd::from);
    let prepared = open_pid(child.id()).and_then(|pidfd| {
        for pipe in stdout.iter().chain(&stderr) {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(pidfd)
    });
    match prepared {
        Ok(pidfd) => Ok(Child { pid, pidfd: Some(pidfd), stdout, stderr, reaped: false }),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {
            Ok(Child { pid, pidfd: None, stdout, stderr, reaped: true })
        }
        Err(error) => {
            // No descriptor left, most likely: a child that cannot be watched is not kept. It is not reaped yet, so
            // its number is still its own.
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
            let _ = child.wait();
            Err(error)
        }
    }
}

/// A pidfd of the process with this number.
pub(crate) fn open_pid(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// Asks a process to end. Nothing happens when it has ended.
pub(crate) fn terminate(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    match rustix::process::pidfd_send_signal(pidfd, Signal::TERM) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Child {
    /// Its number. It may belong to another process once this child is reaped.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Readable once the process has ended; `None` when it had ended before anybody could look.
    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// The reading end of its standard output, non-blocking, when it was piped and has not been taken.
    pub(crate) fn take_stdout(&mut self) -> Option<OwnedFd> {
        self.stdout.take()
    }

    /// The reading end of its standard error, non-blocking, when it was piped and has not been taken.
    pub(crate) fn take_stderr(&mut self) -> Option<OwnedFd> {
        self.stderr.take()
    }

    /// How it ended, without reaping it; `None` while it lives. Its number stays its own.
    pub(crate) fn peek_exit(&self) -> io::Result<Option<ExitFacts>> {
        self.wait(WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG)
    }

    /// Whether it has begun to end. A dying process closes its descriptors before it can be waited for, and this is set
    /// before that (`PF_EXITING`, the ninth field of its `stat`). Where there is no `/proc`, it is not known: `false`.
    pub(crate) fn is_ending(&self) -> bool {
        const PF_EXITING: u64 = 4;
        if self.reaped {
            return true;
        }
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // The name in parentheses may hold anything. After it: state, parent, group, session, terminal, its group, flags.
        let flags = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(6)?.parse::<u64>().ok());
        flags.is_some_and(|flags| flags & PF_EXITING != 0)
    }

    /// Collects it. Waits for its end, so it is to be called once [`pidfd`](Child::pidfd) is readable.
    pub(crate) fn reap(&mut self) -> io::Result<ExitFacts> {
        let facts = self.wait(WaitIdOptions::EXITED)?.unwrap_or(ExitFacts::Unknown);
        self.reaped = true;
        Ok(facts)
    }

    fn wait(&self, options: WaitIdOptions) -> io::Result<Option<ExitFacts>> {
        let (Some(pidfd), false) = (&self.pidfd, self.reaped) else {
            return Ok(Some(ExitFacts::Unknown));
        };
        loop {
            match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options) {
                Err(Errno::INTR) => {}
                Err(Errno::CHILD) => return Ok(Some(ExitFacts::Unknown)),
                Err(error) => return Err(error.into()),
                Ok(status) => {
                    return Ok(status.map(|status| match (status.exit_status(), status.terminating_signal()) {
                        (Some(code), _) => ExitFacts::Exited(code),
                        (None, Some(signal)) => ExitFacts::Signaled { signal, core_dumped: status.dumped() },
                        (None, None) => ExitFacts::Unknown,
                    }));
                }
            }
        }
    }

    /// Kills it, in whichever group it is now, and whatever it started that stayed in its first one. Does nothing once somebody has reaped it: the number
    /// of the group may be somebody else's by then. A process that has ended but is not reaped still names its group.
    pub(crate) fn kill_group(&self) -> io::Result<()> {
        if self.peek_exit()? == Some(ExitFacts::Unknown) {
            return Ok(());
        }
        let group = rustix::process::kill_process_group(self.pid, Signal::KILL);
        // A task may have moved its process into another group: then nobody is left in this one, or only others.
        let child = match &self.pidfd {
            Some(pidfd) => rustix::process::pidfd_send_signal(pidfd, Signal::KILL),
            None => Ok(()),
        };
        for result in [group, child] {
            match result {
                // Nobody is left.
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// For tests: sends a signal by number to it alone. Nothing happens when it has ended; an unknown number is an error.
    #[cfg(test)]
    pub(crate) fn signal(&self, signal: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(signal).ok_or(io::ErrorKind::InvalidInput)?;
        let Some(pidfd) = &self.pidfd else {
            return Ok(());
        };
        match rustix::process::pidfd_send_signal(pidfd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Device and inode of this process's executable: equal in two processes that run the same file.
pub(crate) fn executable_id() -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(EXECUTABLE)?;
    Ok((file.dev(), file.ino()))
}

/// Whether this path names this process's executable.
pub(crate) fn is_own_executable(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let other = std::fs::metadata(path).map(|file| (file.dev(), file.ino()));
    other.is_ok_and(|other| executable_id().is_ok_and(|own| own == other))
}

/// The parent's number; 0 when it lives in another pid namespace.
pub(crate) fn parent_id() -> u32 {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs())
}

/// Ends this process and nothing else: no exit handlers run and no buffer is flushed, as is right for the child of a
/// fork whose parent lives on with the same handlers and buffers.
pub(crate) fn leave() -> ! {
    // SAFETY: ends the process; nothing of it is used afterwards.
    #[expect(unsafe_code, reason = "rustix and std have no exit without exit handlers")]
    unsafe {
        libc::_exit(0)
    }
}

/// Whether the calling thread is the one that the process began with.
pub(crate) fn is_main_thread() -> bool {
    rustix::thread::gettid() == rustix::process::getpid()
}

/// The user this process acts as.
pub(crate) fn user_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether this process was given privileges by its file (set-user-ID, capabilities): it then trusts nothing that its
/// caller set up.
pub(crate) fn is_privileged_start() -> bool {
    // SAFETY: reads the auxiliary vector, which never changes.
    #[expect(unsafe_code, reason = "rustix offers this entry to C runtimes only")]
    let secure = unsafe { libc::getauxval(libc::AT_SECURE) };
    secure != 0
}

/// Kills this process and everything in the group that it leads, and does not return.
///
/// The group is named by our own number, not as "my group": a task may have moved us into another one, whose members
/// are none of our business.
pub(crate) fn kill_own_group() -> ! {
    let me = rustix::process::getpid();
    let _ = rustix::process::kill_process_group(me, Signal::KILL);
    let _ = rustix::process::kill_process(me, Signal::KILL);
    // Not reached: SIGKILL to oneself is delivered before the call returns.
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll::{Poller, Token};
    use crate::sys::socket;

    const WAIT: &str = "procpool-test-waits";

    /// The children of these tests are the test binary itself, which must not run the tests once more.
    fn wait_if_told() {
        while std::env::args_os().next().is_some_and(|arg| arg == WAIT) {
            std::thread::park();
        }
    }

    crate::sys::constructor::before_main!(wait_if_told);

    fn command(stderr: Stream) -> (OwnedFd, WorkerCommand) {
        let (ours, theirs) = socket::pair().unwrap();
        let arg0 = WAIT.to_owned();
        (
            ours,
            WorkerCommand {
                socket: theirs,
                program: None,
                arg0,
                env: EnvChanges::default(),
                cwd: None,
                stdout: Stream::Inherit,
                stderr,
            },
        )
    }

    fn wait_for_end(child: &Child) {
        let poller = Poller::new().unwrap();
        poller.add(child.pidfd().unwrap(), Token(0)).unwrap();
        let mut ready = Vec::new();
        while ready.is_empty() {
            poller.wait(&mut ready, None).unwrap();
        }
    }

    #[test]
    fn a_killed_child_says_so_and_its_status_can_be_looked_at_before_it_is_collected() {
        let (_ours, command) = command(Stream::Pipe);
        let mut child = spawn(command).unwrap();
        assert!(child.take_stderr().is_some());
        child.signal(libc::SIGSTOP).unwrap();
        child.kill_group().unwrap();
        wait_for_end(&child);
        let facts = ExitFacts::Signaled { signal: libc::SIGKILL, core_dumped: false };
        assert_eq!(child.peek_exit().unwrap(), Some(facts));
        child.kill_group().unwrap();
        assert_eq!(child.reap().unwrap(), facts);
        assert_eq!(child.peek_exit().unwrap(), Some(ExitFacts::Unknown));
        child.kill_group().unwrap();
        child.signal(libc::SIGKILL).unwrap();
        assert!(child.signal(-5).is_err());
    }

    #[test]
    fn a_child_that_somebody_else_collected_has_an_unknown_status() {
        let (_ours, command) = command(Stream::Inherit);
        let mut child = spawn(command).unwrap();
        child.signal(libc::SIGKILL).unwrap();
        rustix::process::waitpid(Some(child.pid), rustix::process::WaitOptions::empty()).unwrap();
        assert_eq!(child.peek_exit().unwrap(), Some(ExitFacts::Unknown));
        child.kill_group().unwrap();
        assert_eq!(child.reap().unwrap(), ExitFacts::Unknown);
    }

    #[test]
    fn a_directory_that_does_not_exist_is_an_error() {
        let (_ours, mut command) = command(Stream::Inherit);
        command.cwd = Some("/nonexistent/directory".into());
        assert_eq!(spawn(command).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
