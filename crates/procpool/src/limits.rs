//! What the kernel allows a worker.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{ErrorKind, Exit, PoolError, PoolErrorKind};

/// Below this a worker would hardly start: its own threads and buffers count, too.
const LEAST_MEMORY: u64 = 32 << 20;

/// Likewise for its descriptors.
const LEAST_FILES: u64 = 16;

/// Cores that a mask of the kernel's has room for.
const MOST_CPUS: usize = 1024;

/// What each worker of a pool may use, by the kernel's word: for [`PoolBuilder::limits`](crate::PoolBuilder::limits).
///
/// Nothing here is a request: a worker applies all of it to itself before it runs anything of the program's, also `init`,
/// and cannot take it back (unless it is root's). One that cannot apply it does not start, and says why. What a worker
/// starts inherits it.
///
/// # What a task sees, and its caller
///
/// | limit | in the task | its caller's error |
/// |---|---|---|
/// | [`memory`](Self::memory), [`address_space`](Self::address_space) | an allocation fails, which ends a Rust program by SIGABRT | [`MemoryLimit`](crate::ErrorKind::MemoryLimit) |
/// | [`cpu_time`](Self::cpu_time) | SIGXCPU, which ends it | [`CpuLimit`](crate::ErrorKind::CpuLimit) |
/// | [`file_size`](Self::file_size) | SIGXFSZ, which ends it | [`WorkerDied`](crate::ErrorKind::WorkerDied), whose text says so |
/// | [`open_files`](Self::open_files) | `EMFILE` from `open` and its like | what the task makes of it |
///
/// Nobody is told why a process ends by SIGABRT. So that it was for want of memory is a guess, unless its stderr is
/// captured and says so; the error's text tells one from the other.
///
/// ```
/// use std::time::Duration;
/// use procpool::Limits;
///
/// let limits = Limits::new().memory(512 << 20).cpu_time(Duration::from_secs(2)).open_files(64);
/// # drop(limits);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "limits do nothing until a pool has them"]
pub struct Limits {
    pub(crate) memory: Option<u64>,
    pub(crate) address_space: Option<u64>,
    pub(crate) cpu_time: Option<Duration>,
    pub(crate) open_files: Option<u64>,
    pub(crate) file_size: Option<u64>,
    pub(crate) niceness: Option<i32>,
    pub(crate) cpus: Option<Vec<usize>>,
}

impl Limits {
    /// None.
    pub fn new() -> Self {
        Limits::default()
    }

    /// So many bytes of memory of its own: heap, and what is mapped to be written and not shared (`RLIMIT_DATA`). Shared
    /// memory does not count, nor do the main thread's stack and the program itself. At least 32 MiB, since the worker's
    /// own threads and buffers count. It counts what is asked for, not what is touched.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// So many bytes of address space (`RLIMIT_AS`): the program, its libraries, stacks, and all that is mapped, the
    /// worker's shared memory included. Some allocators and runtimes set far more aside than they use, and fail under
    /// it: prefer [`memory`](Self::memory). At least 32 MiB.
    pub fn address_space(mut self, bytes: u64) -> Self {
        self.address_space = Some(bytes);
        self
    }

    /// So much time of the processor for each task, of all its threads together: time in which it waits does not count,
    /// as it does for a [`timeout`](crate::Run::timeout). Between tasks, and for `init` and exit jobs, there is no limit.
    pub fn cpu_time(mut self, time: Duration) -> Self {
        self.cpu_time = Some(time);
        self
    }

    /// So many open files, sockets and pipes, the worker's own few included (`RLIMIT_NOFILE`). At least 16.
    pub fn open_files(mut self, files: u64) -> Self {
        self.open_files = Some(files);
        self
    }

    /// So many bytes in each file that it writes (`RLIMIT_FSIZE`).
    pub fn file_size(mut self, bytes: u64) -> Self {
        self.file_size = Some(bytes);
        self
    }

    /// The niceness: from 0, an ordinary process, to 19, one that runs when nobody else wants to. A worker of a nicer
    /// parent stays as nice as that.
    pub fn niceness(mut self, niceness: i32) -> Self {
        self.niceness = Some(niceness);
        self
    }

    /// The cores that it may run on, counted from 0.
    pub fn cpus(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.cpus = Some(cpus.into_iter().collect());
        self
    }

    /// Which of them a worker has run into, by how it ended: what to call that, and what to say. `has_spoken`: it has left
    /// last words of a panic or a full stack, so that its end has another reason.
    pub(crate) fn explain(&self, exit: Exit, has_spoken: bool, stderr: &[String]) -> Option<(ErrorKind, String)> {
        match exit.signal()? {
            libc::SIGXCPU => {
                let limit = self.cpu_time?;
                Some((ErrorKind::CpuLimit, format!("it used more processor time than its limit of {limit:?}")))
            }
            libc::SIGXFSZ => {
                let limit = self.file_size?;
                Some((ErrorKind::WorkerDied, format!("it wrote more into a file than its limit of {limit} bytes")))
            }
            libc::SIGABRT if !has_spoken => {
                let (what, limit) = match (self.memory, self.address_space) {
                    (Some(limit), _) => ("memory", limit),
                    (None, limit) => ("address space", limit?),
                };
                Some((
                    ErrorKind::MemoryLimit,
                    match stderr.iter().any(|line| tells_of_no_memory(line)) {
                        true => format!("an allocation failed; its limit of {what} is {limit} bytes"),
                        false => format!(
                            "it aborted without a panic, as a program does that gets no memory, so this is a guess; its limit of \
                         {what} is {limit} bytes"
                        ),
                    },
                ))
            }
            _ => None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), PoolError> {
        let at_least = [
            ("memory", self.memory, LEAST_MEMORY),
            ("address_space", self.address_space, LEAST_MEMORY),
            ("open_files", self.open_files, LEAST_FILES),
        ];
        for (field, value, least) in at_least {
            if let Some(value) = value.filter(|value| *value < least) {
                return Err(invalid(format!("the limit {field} is {value}; it must be at least {least}")));
            }
        }
        if self.cpu_time.is_some_and(|time| time.is_zero()) {
            return Err(invalid("the limit cpu_time is zero; it must be longer".to_owned()));
        }
        if let Some(niceness) = self.niceness.filter(|niceness| !(0..=19).contains(niceness)) {
            return Err(invalid(format!("the niceness is {niceness}; it must be from 0 to 19")));
        }
        match &self.cpus {
            Some(cpus) if cpus.is_empty() => Err(invalid("the limit cpus names no core".to_owned())),
            Some(cpus) => match cpus.iter().find(|cpu| **cpu >= MOST_CPUS) {
                Some(cpu) => Err(invalid(format!("the limit cpus names core {cpu}; it must be below {MOST_CPUS}"))),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }
}

/// Whether this is what a Rust program says on stderr before it aborts for want of memory.
pub(crate) fn tells_of_no_memory(line: &str) -> bool {
    line.starts_with("memory allocation of ") && line.contains(" failed")
}

fn invalid(message: String) -> PoolError {
    PoolError::new(PoolErrorKind::InvalidConfig, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(number: i32) -> Exit {
        Exit::Signal { number, core_dumped: false }
    }

    #[test]
    fn an_end_is_explained_by_the_limit_that_leads_to_it() {
        let limits = Limits::new().memory(64 << 20).cpu_time(Duration::from_secs(2)).file_size(10);
        let explain = |limits: &Limits, number, spoken, stderr: &[&str]| {
            let stderr: Vec<String> = stderr.iter().map(|line| (*line).to_owned()).collect();
            limits.explain(signal(number), spoken, &stderr)
        };
        let (kind, text) = explain(&limits, libc::SIGXCPU, false, &[]).unwrap();
        assert_eq!(kind, ErrorKind::CpuLimit);
        assert!(text.contains("2s"), "{text}");
        assert_eq!(explain(&limits, libc::SIGXFSZ, false, &[]).unwrap().0, ErrorKind::WorkerDied);
        let (kind, guess) = explain(&limits, libc::SIGABRT, false, &["something else"]).unwrap();
        assert_eq!(kind, ErrorKind::MemoryLimit);
        assert!(guess.contains("a guess") && guess.contains("67108864"), "{guess}");
        let (_, known) = explain(&limits, libc::SIGABRT, false, &["memory allocation of 9 bytes failed"]).unwrap();
        assert!(!known.contains("guess"), "{known}");
        let space = Limits::new().address_space(64 << 20);
        assert!(explain(&space, libc::SIGABRT, false, &[]).unwrap().1.contains("address space"));
        // Another reason, or no such limit.
        assert_eq!(explain(&limits, libc::SIGABRT, true, &[]), None);
        assert_eq!(explain(&limits, libc::SIGSEGV, false, &[]), None);
        assert_eq!(limits.explain(Exit::Code(1), false, &[]), None);
        for number in [libc::SIGABRT, libc::SIGXCPU, libc::SIGXFSZ] {
            assert_eq!(explain(&Limits::new(), number, false, &[]), None);
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        let text = |limits: Limits| limits.check().unwrap_err().to_string();
        assert_eq!(text(Limits::new().memory(5)), "the limit memory is 5; it must be at least 33554432");
        assert!(text(Limits::new().address_space(0)).contains("address_space is 0"));
        assert!(text(Limits::new().open_files(3)).contains("open_files is 3; it must be at least 16"));
        assert!(text(Limits::new().cpu_time(Duration::ZERO)).contains("cpu_time is zero"));
        assert!(text(Limits::new().niceness(-1)).contains("niceness is -1; it must be from 0 to 19"));
        assert!(text(Limits::new().cpus([])).contains("names no core"));
        assert!(text(Limits::new().cpus([0, 5000])).contains("core 5000"));
        Limits::new().memory(64 << 20).open_files(16).file_size(0).niceness(0).cpus([0]).check().unwrap();
    }
}
