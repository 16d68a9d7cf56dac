//! What tasks do, in a worker.

use std::time::{Duration, Instant};

use procpool::queue::{Receiver, Sender};
use procpool::{Pool, call};
use serde::{Deserialize, Serialize};

use crate::marks::Place;

/// A task's number, and where it leaves its mark: the first that it does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ticket {
    pub(crate) place: Place,
    pub(crate) number: u64,
}

impl Ticket {
    fn begin(&self) {
        self.place.mark(self.number).expect("a mark can be made");
    }
}

/// What a number becomes: not by chance.
pub(crate) fn mix(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ number
}

pub(crate) fn quick(ticket: Ticket) -> u64 {
    ticket.begin();
    mix(ticket.number)
}

pub(crate) fn busy(ticket: Ticket, micros: u64) -> u64 {
    ticket.begin();
    spin(Duration::from_micros(micros));
    mix(ticket.number)
}

fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Gives the bytes back, changed.
pub(crate) fn big(ticket: Ticket, mut bytes: Vec<u8>) -> Vec<u8> {
    ticket.begin();
    bytes.iter_mut().for_each(|byte| *byte = !*byte);
    bytes
}

pub(crate) fn panics(ticket: Ticket) -> u64 {
    ticket.begin();
    panic!("on purpose: {}", ticket.number)
}

/// How a task takes its worker with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Death {
    Segfault,
    Abort,
    ExitZero,
    StackOverflow,
    Kill,
}

impl Death {
    /// The signal, or the exit code.
    pub(crate) fn signal(self) -> Result<i32, i32> {
        match self {
            Death::Segfault => Ok(11),
            Death::Abort | Death::StackOverflow => Ok(6),
            Death::ExitZero => Err(0),
            Death::Kill => Ok(9),
        }
    }
}

pub(crate) fn dies(ticket: Ticket, how: Death) -> u64 {
    ticket.begin();
    match how {
        Death::Segfault => send(rustix::process::Signal::SEGV),
        Death::Kill => send(rustix::process::Signal::KILL),
        Death::Abort => std::process::abort(),
        Death::ExitZero => std::process::exit(0),
        Death::StackOverflow => dig(0),
    }
}

/// Again and again: Rust's own handler takes the first SIGSEGV for a fault that will happen again.
fn send(signal: rustix::process::Signal) -> ! {
    loop {
        rustix::process::kill_process(rustix::process::getpid(), signal).expect("a signal to oneself");
    }
}

#[expect(unconditional_recursion, reason = "until the stack is full")]
fn dig(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 128]);
    dig(room[5] + 1) + room[7]
}

/// Never ends.
pub(crate) fn endless(ticket: Ticket) -> u64 {
    ticket.begin();
    loop {
        std::hint::spin_loop();
    }
}

/// Ends when it is asked to.
pub(crate) fn willing(ticket: Ticket) -> u64 {
    ticket.begin();
    while !procpool::current().is_cancelled() {
        spin(Duration::from_micros(20));
    }
    mix(ticket.number)
}

/// A pool within the pool.
pub(crate) fn nested(ticket: Ticket) -> u64 {
    ticket.begin();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let pool = Pool::builder().workers(1).build().expect("a pool");
        let number = ticket.number;
        pool.run(call!(inner(number))).await.expect("the inner task")
    })
}

pub(crate) fn inner(number: u64) -> u64 {
    mix(number)
}

/// An item of a map.
pub(crate) fn item(place: &Place, number: u64) -> u64 {
    place.mark(number).expect("a mark can be made");
    // Some items, and always the same.
    assert!(!is_bad(number), "on purpose: {number}");
    if mix(number).is_multiple_of(5000) {
        spin(Duration::from_millis(2));
    }
    mix(number)
}

pub(crate) fn is_bad(number: u64) -> bool {
    mix(number) % 1009 == 7
}

/// Sends these numbers, and marks each that was confirmed.
pub(crate) fn sends(place: Place, numbers: std::ops::Range<u64>, to: Sender<Vec<u8>>) -> u64 {
    let mut sent = 0;
    for number in numbers {
        if to.send_blocking(message(number)).is_err() {
            break;
        }
        place.mark(number).expect("a mark can be made");
        sent += 1;
    }
    sent
}

pub(crate) fn sends_one(to: Sender<u64>) {
    to.send_blocking(1).expect("there is room");
}

/// Receives up to so many, and marks each once it has been acknowledged.
pub(crate) fn receives(place: Place, most: u64, from: Receiver<Vec<u8>>) -> u64 {
    let mut received = 0;
    while received < most {
        let Ok(mut delivery) = from.recv_acked_timeout_blocking(Duration::from_millis(20)) else { break };
        let number = number_of(&delivery);
        if delivery.ack().is_err() {
            break;
        }
        place.mark(number).expect("a mark can be made");
        received += 1;
    }
    received
}

/// A number, and as many bytes as it says.
pub(crate) fn message(number: u64) -> Vec<u8> {
    let len = 8 + (mix(number) % 64) as usize * if mix(number).is_multiple_of(97) { 2000 } else { 1 };
    let mut bytes = vec![number as u8; len];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// The number of a message; `u64::MAX` if it is not as it was sent.
pub(crate) fn number_of(bytes: &[u8]) -> u64 {
    match bytes.first_chunk().map(|number| u64::from_le_bytes(*number)) {
        Some(number) if bytes == message(number) => number,
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_or_none() {
        for number in 0..2000 {
            let mut bytes = message(number);
            assert_eq!(number_of(&bytes), number);
            bytes.push(0);
            assert_eq!(number_of(&bytes), u64::MAX);
        }
        assert_eq!(number_of(&[1, 2]), u64::MAX);
    }
}
