//! What a sandbox forbids.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{filter, support};
use crate::config::invalid;
use crate::error::{ErrorKind, Exit, PoolError, PoolErrorKind};

/// What the tasks of a pool must not do, by the kernel's word: for [`PoolBuilder::sandbox`](crate::PoolBuilder::sandbox).
///
/// Each worker puts the fence up around itself and cannot take it down again; what a worker starts is fenced in as well. A
/// task that tries what is forbidden gets an error from its system call (`EPERM`, `EACCES` for files, `ENOSYS` for calls
/// that are not on an [allow-list](Self::only_syscalls)), or ends with its worker, if the pool
/// [asks for that](Self::kill_on_violation).
///
/// # What every sandbox forbids
///
/// Also [`new()`](Self::new), which forbids nothing else: to gain privileges (set-user-ID files, capabilities; those that
/// the worker has, such as root's, are dropped); to trace, signal, slow down or take descriptors of processes outside the
/// worker; to mount, to enter or make namespaces, to load modules or BPF programs, to set clocks; `io_uring` and
/// `userfaultfd`; keyrings, System V and POSIX message queues and shared memory, which have names that all of the user's
/// processes share; to type into the terminal.
///
/// # When
///
/// | what | from |
/// |---|---|
/// | environment, descriptors, privileges, files, other processes | before anything of the program's runs in a worker but what runs before [`init`](fn@crate::init) |
/// | network, executing, new processes, the allow-list | after the pool's [`init`](crate::PoolBuilder::init) job and the making of its state, for all threads that these have started |
///
/// So an `init` job may connect to a database or start a thread, and tasks use what it has opened, but it reads only the
/// files that tasks may read, too.
///
/// # What a kernel cannot do
///
/// It needs Linux 6.2 for files (Landlock), and seccomp. [`unsupported`](Self::unsupported) says what this kernel lacks,
/// and a pool that asks for it cannot be built: the error is of kind
/// [`Unsupported`](crate::PoolErrorKind::Unsupported). [`best_effort`](Self::best_effort) goes without what is not there.
///
/// # What it does not keep a task from
///
/// Using processor time and memory (see [`Limits`](crate::Limits)); answering falsely; seeing that a file exists, its size
/// and its owner (`stat`), though it cannot be opened; measuring time. It sees what the worker has in its memory: the
/// arguments of earlier tasks, where [`max_tasks(1)`](crate::PoolBuilder::max_tasks) does not forbid that.
///
/// ```no_run
/// # fn f() -> Result<(), procpool::PoolError> {
/// use procpool::{Limits, Pool, Sandbox};
///
/// // Decodes what strangers upload.
/// let pool = Pool::builder()
///     .sandbox(Sandbox::compute_only().allow_read("/usr/share/color"))
///     .limits(Limits::new().memory(512 << 20))
///     .build()?;
/// # drop(pool); Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "a sandbox does nothing until a pool has it"]
pub struct Sandbox {
    /// Files that may be opened; `None`: all.
    pub(super) files: Option<Grants>,
    pub(super) forbidden: BTreeSet<Forbidden>,
    /// Beside those that every worker needs; `None`: all that are not forbidden.
    pub(super) only: Option<BTreeSet<i64>>,
    pub(super) clear_env: bool,
    pub(super) close_fds: bool,
    pub(super) violation: Violation,
    pub(super) missing: Missing,
}

/// Paths below which files may be opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Grants {
    pub(super) read: Vec<GrantedPath>,
    pub(super) write: Vec<GrantedPath>,
}

/// A path of any bytes, which serde's own encoding of paths refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GrantedPath(pub(super) PathBuf);

/// What tasks must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Forbidden {
    Network,
    Exec,
    NewProcesses,
}

/// What becomes of a task that tries what is forbidden.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Violation {
    /// Its call fails.
    #[default]
    Refuse,
    /// Its worker ends.
    Kill,
}

/// What becomes of a pool on a kernel that cannot do all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Missing {
    /// It is not built.
    #[default]
    Refuse,
    /// It goes without.
    GoWithout,
}

impl Sandbox {
    /// One that forbids only what every sandbox does, and can be made stricter.
    pub fn new() -> Self {
        Sandbox::default()
    }

    /// For tasks that compute: what they get is their arguments, what they give is their result. No files, no network, no
    /// new processes; no system calls but those that memory, threads, time and open descriptors take (see
    /// [`only_syscalls`](Self::only_syscalls)); nothing of the environment; no descriptor of this program's but stdout and
    /// stderr.
    ///
    /// It is meant for code that handles hostile input. Paths that such code needs can be
    /// [granted](Self::allow_read), variables set with [`PoolBuilder::env`](crate::PoolBuilder::env).
    pub fn compute_only() -> Self {
        Sandbox::new().no_files().no_network().no_exec().no_new_processes().only_syscalls([]).clear_env().close_fds()
    }

    /// For tasks that read files, any that this user may read, and nothing else: they write none, and have no network and
    /// no new processes.
    pub fn read_only() -> Self {
        Sandbox::new().allow_read("/").no_network().no_exec().no_new_processes().close_fds()
    }

    /// For tasks that work with files and programs, without the network. It is no fence against hostile code, which may
    /// write files that a program outside reads.
    pub fn offline() -> Self {
        Sandbox::new().no_network()
    }

    /// No file may be opened, made, renamed, linked or removed, but below the paths that
    /// [`allow_read`](Self::allow_read) and [`allow_read_write`](Self::allow_read_write) name. Open ones can be used, and
    /// so can memory without a name.
    ///
    /// Nor can modes, owners, times and attributes of files be changed by their paths (for one that is open for writing
    /// they can).
    pub fn no_files(mut self) -> Self {
        self.files.get_or_insert_default();
        self
    }

    /// As [`no_files`](Self::no_files), but what lies at or below this path may be read, listed and (where that is not
    /// forbidden) executed. It must exist when a worker starts. A relative path is one of this process's.
    pub fn allow_read(mut self, path: impl AsRef<Path>) -> Self {
        self.files.get_or_insert_default().read.push(GrantedPath::new(path.as_ref()));
        self
    }

    /// As [`no_files`](Self::no_files), but what lies at or below this path may be read, listed, written, made, renamed and
    /// removed: all but devices made. It must exist when a worker starts. A relative path is one of this process's.
    pub fn allow_read_write(mut self, path: impl AsRef<Path>) -> Self {
        self.files.get_or_insert_default().write.push(GrantedPath::new(path.as_ref()));
        self
    }

    /// No sockets but pairs within the worker: no TCP or UDP, no local sockets, no netlink. Those that are open by then
    /// can be used.
    pub fn no_network(self) -> Self {
        self.forbid(Forbidden::Network)
    }

    /// No other program may be executed. A pool of processes in a task is then an error that says so.
    pub fn no_exec(self) -> Self {
        self.forbid(Forbidden::Exec)
    }

    /// No process may be started, also no copy of the worker by `fork`: what a fork bomb wants. Threads may.
    pub fn no_new_processes(self) -> Self {
        self.forbid(Forbidden::NewProcesses)
    }

    fn forbid(mut self, what: Forbidden) -> Self {
        self.forbidden.insert(what);
        self
    }

    /// An allow-list: all system calls fail (`ENOSYS`) but these (`libc::SYS_…`, numbers of this machine's) and those that
    /// a worker and Rust's runtime need: for memory, threads, time, randomness, signals within the worker, for reading,
    /// writing and polling descriptors, pipes, pairs of sockets, and for opening files (which is then a matter of
    /// [`no_files`](Self::no_files)). What another method forbids stays so. Given several times, the lists add up.
    pub fn only_syscalls(mut self, calls: impl IntoIterator<Item = i64>) -> Self {
        self.only.get_or_insert_default().extend(calls);
        self
    }

    /// Workers start with an empty environment but for what [`PoolBuilder::env`](crate::PoolBuilder::env) sets: secrets
    /// often lie there. As [`PoolBuilder::env_clear`](crate::PoolBuilder::env_clear).
    pub fn clear_env(mut self) -> Self {
        self.clear_env = true;
        self
    }

    /// Workers close all descriptors that they were started with, but stdout and stderr: those that this program has opened
    /// without close-on-exec. Also what code before `init` has opened.
    pub fn close_fds(mut self) -> Self {
        self.close_fds = true;
        self
    }

    /// A task that tries what a method above forbids by name, or what every sandbox forbids, ends with its worker (SIGSYS):
    /// its error is of kind [`SandboxViolation`](crate::ErrorKind::SandboxViolation). Files outside those granted, and
    /// calls that are just not on an allow-list, are still refused: programs try those all the time, and make do.
    pub fn kill_on_violation(mut self) -> Self {
        self.violation = Violation::Kill;
        self
    }

    /// On a kernel that cannot do all of it, do what it can. Building a pool then warns (by tracing) of what is missing.
    pub fn best_effort(mut self) -> Self {
        self.missing = Missing::GoWithout;
        self
    }

    /// What this kernel cannot do of it, in words; empty if nothing. Asks the kernel each time, and changes nothing.
    ///
    /// ```
    /// use procpool::Sandbox;
    /// for what in Sandbox::compute_only().unsupported() {
    ///     println!("not here: {what}");
    /// }
    /// ```
    #[must_use]
    pub fn unsupported(&self) -> Vec<String> {
        support::missing(self)
    }

    pub(crate) fn clears_env(&self) -> bool {
        self.clear_env
    }

    /// Whether a pool can have it here.
    pub(crate) fn check(&self) -> Result<(), PoolError> {
        for GrantedPath(path) in self.files.iter().flat_map(|files| files.read.iter().chain(&files.write)) {
            // Who can be looked at can be granted. Whether that may be opened is the worker's to find out.
            path.metadata().map_err(|error| {
                invalid(format!("the sandbox grants {}, which cannot be had: {error}", path.display()))
                    .with_source(error)
            })?;
        }
        if let Some(wrong) = self.only.iter().flatten().find(|call| !filter::is_call(**call)) {
            return Err(invalid(format!(
                "the sandbox's only_syscalls names {wrong}, which is no number of a system call"
            )));
        }
        let missing = self.unsupported();
        match self.missing {
            Missing::Refuse if !missing.is_empty() => Err(PoolError::new(
                PoolErrorKind::Unsupported,
                format!(
                    "this kernel cannot put up the sandbox: {}. Sandbox::best_effort() goes without that",
                    missing.join("; ")
                ),
            )),
            Missing::Refuse | Missing::GoWithout => {
                for what in missing {
                    tracing::warn!(missing = %what, "the sandbox goes without what this kernel cannot do");
                }
                Ok(())
            }
        }
    }

    /// Whether this end of a worker is its doing.
    pub(crate) fn explain(&self, exit: Exit) -> Option<(ErrorKind, String)> {
        (self.violation == Violation::Kill && exit.signal() == Some(libc::SIGSYS))
            .then(|| (ErrorKind::SandboxViolation, "it made a system call that its sandbox forbids".to_owned()))
    }

    pub(super) fn forbids(&self, what: Forbidden) -> bool {
        self.forbidden.contains(&what)
    }
}

impl GrantedPath {
    fn new(path: &Path) -> Self {
        // Where the working directory has gone, or the path is empty: the check says that there is no such thing.
        GrantedPath(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }
}

impl Serialize for GrantedPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_os_str().as_bytes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for GrantedPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(GrantedPath(OsString::from_vec(Vec::deserialize(deserializer)?).into()))
    }
}
