//! Who does what in a run, and the loops that are the same for every system in Rust.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use super::line::{Line, Runner};
use super::message::Message;

/// How many places a bounded queue has, in every system that has bounds.
pub(crate) const CAPACITY: usize = 1024;

/// One run: how many messages of which size, from how many to how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bytes of a message.
    pub(crate) size: usize,
    pub(crate) producers: u64,
    pub(crate) consumers: u64,
    /// Messages of each producer.
    pub(crate) each: u64,
}

impl Shape {
    pub(crate) fn messages(self) -> u64 {
        self.producers * self.each
    }

    /// Producer number `producer`'s part.
    pub(crate) fn producer(self, line: &Line, producer: u64) -> Part {
        Part { line: line.name().to_owned(), size: self.size, first: producer * self.each, count: self.each }
    }

    /// A consumer's part: whatever comes.
    pub(crate) fn consumer(self, line: &Line) -> Part {
        Part { line: line.name().to_owned(), size: self.size, first: 0, count: self.messages() }
    }
}

/// The sum of the numbers of all messages.
pub(crate) fn sum_of_numbers(messages: u64) -> u64 {
    messages * messages.saturating_sub(1) / 2
}

/// What one participant does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    line: String,
    pub(crate) size: usize,
    /// A producer's messages have the numbers from here …
    pub(crate) first: u64,
    /// … as many as these; a consumer expects no more.
    pub(crate) count: u64,
}

/// Sends a part's messages. The sender goes with `send`: it is dropped before anybody is told that all is done.
pub(crate) fn produce<M: Message, E: Display>(
    part: &Part,
    mut send: impl FnMut(M) -> Result<(), E>,
) -> Result<(), String> {
    let runner = ready(part)?;
    for number in part.first..part.first + part.count {
        send(M::make(number, part.size)).map_err(|error| format!("send: {error}"))?;
    }
    drop(send);
    runner.done(0, 0).map_err(|error| format!("done: {error}"))
}

/// Receives until `receive` gives `None`.
pub(crate) fn consume<M: Message, E: Display>(
    part: &Part,
    mut receive: impl FnMut() -> Result<Option<M>, E>,
) -> Result<(), String> {
    let runner = ready(part)?;
    let (mut received, mut sum) = (0u64, 0u64);
    while let Some(message) = receive().map_err(|error| format!("receive: {error}"))? {
        let number = message.number(part.size).ok_or("a message that nobody sent")?;
        received += 1;
        sum = sum.wrapping_add(number);
    }
    runner.done(received, sum).map_err(|error| format!("done: {error}"))
}

fn ready(part: &Part) -> Result<Runner, String> {
    Runner::ready(&part.line).map_err(|error| format!("the starting line: {error}"))
}
