//! A process that measures for us, asked over its stdin. No answer of it is waited for without a limit: peers are known
//! to hang.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use super::request::{Reply, Request};
use crate::Error;

/// How long a helper may take to end once it is told to.
const FAREWELL: Duration = Duration::from_secs(2);

/// Ends with its value: then it, and what it started and is still in its group.
pub(crate) struct Helper {
    child: Child,
    requests: Option<ChildStdin>,
    replies: ChildStdout,
    /// What was read and is not a whole line yet.
    read: Vec<u8>,
}

impl Helper {
    pub(crate) fn start(command: &mut Command) -> Result<Self, Error> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).spawn()?;
        let (requests, replies) = (child.stdin.take(), child.stdout.take());
        let replies = replies.ok_or("a helper without stdout")?;
        Ok(Helper { child, requests, replies, read: Vec::new() })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// After an error this helper is of no use any more.
    pub(crate) fn ask(&mut self, request: &Request, limit: Duration) -> Result<Vec<f64>, Error> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.requests.as_mut().ok_or("a helper that was told to end")?.write_all(&line)?;
        let line = self.line(Instant::now() + limit)?;
        match serde_json::from_slice(&line)? {
            Reply::Values(values) => Ok(values),
            Reply::Error(error) => Err(error.into()),
        }
    }

    fn line(&mut self, deadline: Instant) -> Result<Vec<u8>, Error> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                return Ok(self.read.drain(..=end).collect());
            }
            if self.read_some(deadline)? == 0 {
                return Err("ended without an answer".into());
            }
        }
    }

    fn read_some(&mut self, deadline: Instant) -> Result<usize, Error> {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now()))?;
        if poll(&mut [PollFd::new(&self.replies, PollFlags::IN)], Some(&left))? == 0 {
            return Err("took too long".into());
        }
        let mut bytes = [0; 64 * 1024];
        let count = self.replies.read(&mut bytes)?;
        self.read.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // The end of its stdin tells it to end; the end of its stdout tells us that it did.
        drop(self.requests.take());
        let deadline = Instant::now() + FAREWELL;
        while self.read_some(deadline).is_ok_and(|count| count > 0) {}
        // While it is not waited for, nobody else has its number. An error says that all are gone.
        if let Ok(Some(group)) = i32::try_from(self.child.id()).map(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        drop(self.child.wait());
    }
}

/// The other end: answers what stdin asks until it ends.
pub(crate) fn answer(mut play: impl FnMut(Request) -> Result<Vec<f64>, Error>) -> Result<(), Error> {
    for line in io::stdin().lines() {
        let reply = match play(serde_json::from_str(&line?)?) {
            Ok(values) => Reply::Values(values),
            Err(error) => Reply::Error(error.to_string()),
        };
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        io::stdout().write_all(&line)?;
        io::stdout().flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::helpers::request::Work;
    use crate::measurement::System;

    const REQUEST: Request = Request { system: System::Procspawn, work: Work::Process { mib: 0 } };

    fn shell(script: &str) -> Helper {
        Helper::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn values_come_back_and_errors_have_a_text() {
        let mut helper = shell(r#"while read -r line; do echo '{"values":[1.5]}'; echo '{"error":"no"}'; done"#);
        let limit = Duration::from_secs(60);
        assert_eq!(helper.ask(&REQUEST, limit).unwrap(), [1.5]);
        assert_eq!(helper.ask(&REQUEST, limit).unwrap_err().to_string(), "no");
    }

    #[test]
    fn neither_silence_nor_an_early_end_is_waited_for() {
        let mut silent = shell("while read -r line; do :; done");
        assert_eq!(silent.ask(&REQUEST, Duration::ZERO).unwrap_err().to_string(), "took too long");
        let mut gone = shell("read -r line");
        assert_eq!(gone.ask(&REQUEST, Duration::from_secs(60)).unwrap_err().to_string(), "ended without an answer");
    }
}
