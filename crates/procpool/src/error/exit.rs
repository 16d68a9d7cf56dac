//! How a process ended.

use std::fmt;

use crate::sys::process::ExitFacts;

/// How a process ended, as far as the kernel told.
///
/// ```
/// use procpool::Exit;
/// assert_eq!(Exit::Code(3).to_string(), "exit code 3");
/// assert_eq!(Exit::Code(3).code(), Some(3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exit {
    /// It ended by itself with this code, as `exit(code)` or by returning from `main`.
    Code(i32),
    /// A signal ended it.
    #[non_exhaustive]
    Signal {
        /// The signal's number, such as 9.
        number: i32,
        /// Whether the kernel wrote a core dump.
        core_dumped: bool,
    },
    /// Nobody can tell: somebody else collected the status (the program ignores SIGCHLD, or calls `waitpid(-1)`).
    Unknown,
}

impl Exit {
    /// The exit code, if it ended by itself.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        match self {
            Exit::Code(code) => Some(code),
            _ => None,
        }
    }

    /// The number of the signal that ended it, if one did.
    #[must_use]
    pub fn signal(self) -> Option<i32> {
        match self {
            Exit::Signal { number, .. } => Some(number),
            _ => None,
        }
    }

    /// The name of the signal that ended it, such as `"SIGSEGV"`; `"signal 40"` has none and gives `None`.
    #[must_use]
    pub fn signal_name(self) -> Option<&'static str> {
        self.signal().and_then(signal_name)
    }

    /// Whether it ended by itself with code 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == Exit::Code(0)
    }
}

impl From<ExitFacts> for Exit {
    fn from(facts: ExitFacts) -> Self {
        match facts {
            ExitFacts::Exited(code) => Exit::Code(code),
            ExitFacts::Signaled { signal: number, core_dumped } => Exit::Signal { number, core_dumped },
            ExitFacts::Unknown => Exit::Unknown,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal { number, core_dumped } => {
                match signal_name(number) {
                    Some(name) => write!(f, "{name} (signal {number})")?,
                    None => write!(f, "signal {number}")?,
                }
                if core_dumped {
                    f.write_str(", core dumped")?;
                }
                Ok(())
            }
            Exit::Unknown => f.write_str("exit status unknown: something else in this program collected it"),
        }
    }
}

/// The classic signals have the same numbers on every Linux that procpool is tested on, except for the few that differ
/// between architectures, which therefore come from libc.
fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGSTOP => "SIGSTOP",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGVTALRM => "SIGVTALRM",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_told_by_name() {
        let exit = Exit::Signal { number: 11, core_dumped: false };
        assert_eq!(exit.to_string(), "SIGSEGV (signal 11)");
        assert_eq!(Exit::Signal { number: 40, core_dumped: true }.to_string(), "signal 40, core dumped");
        assert_eq!((exit.signal(), exit.code(), exit.success()), (Some(11), None, false));
    }
}
