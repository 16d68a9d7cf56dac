//! The starting line: participants in any process, also one of Python, begin at once and say when they were done.
//!
//! A participant connects to a socket when it is ready, waits there for one byte, works, and writes a line. Starting
//! processes is thereby not in the time. All clocks are the machine's monotonic one, which is the same in all processes.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};

use super::part::{Shape, sum_of_numbers};
use crate::Error;

/// Only a participant that failed takes so long.
const LIMIT: Duration = Duration::from_secs(60);

static LINES: AtomicU64 = AtomicU64::new(0);

/// Where the participants of one run wait for each other.
pub(crate) struct Line {
    listener: UnixListener,
    /// An abstract address: no file, so nothing is left behind.
    name: String,
}

/// What a participant did. Of a producer only the start counts, of a consumer all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outcome {
    start: u64,
    end: u64,
    received: u64,
    sum: u64,
}

impl Line {
    pub(crate) fn draw() -> io::Result<Self> {
        let number = LINES.fetch_add(1, Ordering::Relaxed);
        let name = format!("procpool-bench-{}-{number}", std::process::id());
        Ok(Line { listener: UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?, name })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Waits until all are there, lets them begin, and waits until all are done. Gives the messages a second, if all
    /// messages arrived and nothing else.
    pub(crate) fn race(self, shape: Shape) -> Result<f64, Error> {
        let mut sockets = Vec::new();
        for _ in 0..shape.producers + shape.consumers {
            let limit = Timespec::try_from(LIMIT)?;
            if poll(&mut [PollFd::new(&self.listener, PollFlags::IN)], Some(&limit))? == 0 {
                return Err("a participant did not come to the starting line".into());
            }
            let (socket, _) = self.listener.accept()?;
            socket.set_read_timeout(Some(LIMIT))?;
            sockets.push(socket);
        }
        for socket in &mut sockets {
            socket.write_all(b"g")?;
        }
        let mut outcomes = Vec::new();
        for socket in &mut sockets {
            let mut text = String::new();
            socket.read_to_string(&mut text)?;
            outcomes.push(Outcome::parse(&text).ok_or_else(|| format!("a participant ended without a word: {text}"))?);
        }
        rate(shape, &outcomes)
    }
}

fn rate(shape: Shape, outcomes: &[Outcome]) -> Result<f64, Error> {
    let messages = shape.messages();
    let received: u64 = outcomes.iter().map(|outcome| outcome.received).sum();
    let sum = outcomes.iter().fold(0u64, |sum, outcome| sum.wrapping_add(outcome.sum));
    if (received, sum) != (messages, sum_of_numbers(messages)) {
        return Err(format!("{received} messages with the sum {sum} arrived, of {messages}").into());
    }
    let start = outcomes.iter().map(|outcome| outcome.start).min().unwrap_or_default();
    let end = outcomes.iter().map(|outcome| outcome.end).max().unwrap_or_default();
    Ok(messages as f64 / (end.saturating_sub(start).max(1) as f64 / 1e9))
}

impl Outcome {
    fn parse(line: &str) -> Option<Self> {
        let numbers = line.split_whitespace().map(|word| word.parse().ok()).collect::<Option<Vec<u64>>>()?;
        let [start, end, received, sum] = numbers[..] else { return None };
        Some(Outcome { start, end, received, sum })
    }
}

/// A participant that was told to begin.
pub(crate) struct Runner {
    socket: UnixStream,
    start: u64,
}

impl Runner {
    /// Goes to the line and waits there.
    pub(crate) fn ready(line: &str) -> io::Result<Self> {
        let mut socket = UnixStream::connect_addr(&SocketAddr::from_abstract_name(line)?)?;
        socket.read_exact(&mut [0])?;
        Ok(Runner { socket, start: now() })
    }

    /// Now all is done.
    pub(crate) fn done(mut self, received: u64, sum: u64) -> io::Result<()> {
        writeln!(self.socket, "{} {} {received} {sum}", self.start, now())?;
        self.socket.shutdown(Shutdown::Both)
    }
}

fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    // Neither is ever negative on this clock.
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { size: 8, producers: 1, consumers: 2, each: 4 };

    #[test]
    fn the_time_is_from_the_first_start_to_the_last_end() {
        let outcomes =
            ["1000 5000 0 0", "2000 2000001000 3 6\n", "1500 3000 1 0"].map(|line| Outcome::parse(line).unwrap());
        assert_eq!(rate(SHAPE, &outcomes).unwrap(), 2.0);
    }

    #[test]
    fn a_message_too_few_or_another_one_is_no_figure() {
        for consumer in ["0 9 3 6", "0 9 4 7", "0 9 5 6"] {
            assert!(rate(SHAPE, &[Outcome::parse(consumer).unwrap()]).is_err());
        }
        assert_eq!(Outcome::parse("0 9 3"), None);
        assert_eq!(Outcome::parse("IOError"), None);
    }

    #[test]
    fn participants_begin_when_all_are_there() {
        let line = Line::draw().unwrap();
        let name = line.name().to_owned();
        let runners: Vec<_> = [(0, 0), (1, 1), (3, 5)]
            .map(|(received, sum)| {
                let name = name.clone();
                std::thread::spawn(move || Runner::ready(&name).unwrap().done(received, sum).unwrap())
            })
            .into();
        assert!(line.race(SHAPE).unwrap() > 0.0);
        runners.into_iter().for_each(|runner| runner.join().unwrap());
    }
}
