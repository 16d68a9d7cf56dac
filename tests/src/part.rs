//! Other programs that take part in a test, such as a service that is killed.

use std::ffi::OsStr;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Set in the process that plays a part, to what it was given.
const ARGUMENT: &str = "PROCPOOL_TEST_PART";

/// A process that plays a part defined by [`part!`](crate::part!): the test binary, executed once more. Killed and
/// reaped when dropped.
#[derive(Debug)]
pub struct Part(Child);

impl Part {
    /// Starts a part of the same test file by its name.
    #[must_use]
    pub fn start(name: &str, argument: &str) -> Self {
        let executable = std::env::current_exe().expect("a test knows its executable");
        Part::spawn(&mut Part::command(executable, name, argument))
    }

    /// How a part is started, to be changed before [`spawn`](Self::spawn).
    #[must_use]
    pub fn command(executable: impl AsRef<OsStr>, name: &str, argument: &str) -> Command {
        let mut command = Command::new(executable);
        command
            .args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"])
            .env(ARGUMENT, argument)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Starts a part made by [`command`](Self::command).
    #[must_use]
    pub fn spawn(command: &mut Command) -> Self {
        Part(command.spawn().expect("the test binary runs"))
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Kills it with SIGKILL, and returns once it is dead.
    pub fn kill(&mut self) {
        self.0.kill().expect("a child can be killed");
        self.end();
    }

    /// Waits until it ends by itself.
    pub fn end(&mut self) -> ExitStatus {
        self.0.wait().expect("a child can be waited for")
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What the part `name` was given, in the process that plays it; `None` in an ordinary run of all tests.
#[must_use]
pub fn part(name: &str) -> Option<String> {
    let argument = std::env::var(ARGUMENT).ok()?;
    std::env::args().any(|argument| argument == name).then_some(argument)
}
