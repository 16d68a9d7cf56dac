//! A worker's captured stderr: each line goes to tracing, the last ones are kept for errors.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::panics;
use crate::sys::{clock, stdio};

/// How many lines an error shows.
const LINES: usize = 20;
/// Longer lines are cut.
const LINE_LEN: usize = 1024;
/// How much is read at most in one go, and after the worker's death: a grandchild may hold the pipe and write for ever.
const ROUNDS: usize = 32;

/// The reading end of one worker's stderr.
pub(super) struct Tail {
    pipe: OwnedFd,
    worker: String,
    pid: u32,
    partial: Vec<u8>,
    /// With the time when they were read, on the monotonic clock.
    lines: VecDeque<(u64, String)>,
    ended: bool,
    closed: bool,
}

/// Whether there is more to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Some,
    All,
}

impl Heard {
    pub(super) fn is_ended(self) -> bool {
        self == Heard::All
    }
}

impl Tail {
    /// `pipe` must be non-blocking.
    pub(super) fn new(pipe: OwnedFd, worker: String, pid: u32) -> Self {
        Tail { pipe, worker, pid, partial: Vec::new(), lines: VecDeque::new(), ended: false, closed: false }
    }

    /// Reads what is there, within bounds.
    pub(super) fn read(&mut self) -> Heard {
        let mut buffer = [0; 4096];
        for _ in 0..ROUNDS {
            if self.ended {
                return Heard::All;
            }
            match stdio::read(&self.pipe, &mut buffer) {
                Ok(0) => self.ended = true,
                Ok(len) => self.take(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Heard::Some,
                Err(_) => self.ended = true,
            }
        }
        Heard::Some
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => self.finish_line(),
                // What is over the limit of a line is dropped, so that one endless line costs no memory.
                _ if self.partial.len() < LINE_LEN => self.partial.push(*byte),
                _ => {}
            }
        }
    }

    fn finish_line(&mut self) {
        let line = String::from_utf8_lossy(&self.partial).trim_end().to_owned();
        self.partial.clear();
        panics::by_the_way(
            || tracing::info!(target: "procpool::stderr", worker = self.worker, pid = self.pid, "{line}"),
        );
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back((clock::monotonic_ns(), line));
    }

    /// The worker is dead: reads what it left, and gives the last lines, of those whose time `counts`.
    pub(super) fn last_words(&mut self, counts: impl Fn(u64) -> bool) -> Vec<String> {
        self.read();
        if !self.partial.is_empty() {
            self.finish_line();
        }
        self.lines.drain(..).filter(|(at, _)| counts(*at)).map(|(_, line)| line).collect()
    }

    /// It is not polled any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

impl AsFd for Tail {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
