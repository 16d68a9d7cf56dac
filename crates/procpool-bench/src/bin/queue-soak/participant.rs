//! What producers and consumers do, each in a process that may be killed at any moment.

use procpool::queue::{Receiver, RecvError, Sender};
use serde::{Deserialize, Serialize};

use crate::ledger::{BEGUN, CONFIRMED, Entry, Id, Pen, Place};

/// How many bytes the number of a message has.
pub(crate) const NUMBER: usize = size_of::<u64>();

/// A producer's part of its lane.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Produce {
    pub(crate) ledger: Place,
    pub(crate) lane: u64,
    /// The first message that no predecessor may have sent.
    pub(crate) first: u64,
    /// How many are left to be confirmed.
    pub(crate) count: u64,
    /// Bytes of a message.
    pub(crate) bytes: usize,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Consume {
    pub(crate) ledger: Place,
    /// How many entries its predecessors made.
    pub(crate) entries: u64,
    pub(crate) acknowledges: bool,
    pub(crate) bytes: usize,
}

pub(crate) fn produce(sender: Sender<Vec<u8>>, part: Produce) -> Result<(), String> {
    let pen = Pen::take(&part.ledger, 0)?;
    for seq in part.first..part.first + part.count {
        let message = message(Id { lane: part.lane, seq }, part.bytes);
        pen.mark(seq, BEGUN)?;
        sender.send_blocking(message).map_err(|error| format!("send: {error}"))?;
        pen.mark(seq, CONFIRMED)?;
    }
    Ok(())
}

pub(crate) fn consume(receiver: Receiver<Vec<u8>>, part: Consume) -> Result<(), String> {
    let mut pen = Pen::take(&part.ledger, part.entries)?;
    loop {
        let ended = if part.acknowledges {
            match receiver.recv_acked_blocking() {
                Ok(mut delivery) => {
                    pen.enter(entry(&delivery, delivery.redelivered(), part.bytes))?;
                    delivery.ack().map_err(|error| format!("ack: {error}"))?;
                    continue;
                }
                Err(ended) => ended,
            }
        } else {
            match receiver.recv_blocking() {
                Ok(message) => {
                    pen.enter(entry(&message, 0, part.bytes))?;
                    continue;
                }
                Err(ended) => ended,
            }
        };
        return match ended {
            RecvError::Disconnected => Ok(()),
            other => Err(format!("recv: {other}")),
        };
    }
}

/// The number, and then its low byte over and over.
fn message(id: Id, bytes: usize) -> Vec<u8> {
    let number = id.to_bits();
    let mut message = vec![number as u8; bytes];
    message[..NUMBER].copy_from_slice(&number.to_le_bytes());
    message
}

fn entry(bytes: &[u8], redelivered: u32, expected: usize) -> Entry {
    let number = bytes.first_chunk().map_or(u64::MAX, |number| u64::from_le_bytes(*number));
    let id = Id::from_bits(number);
    let whole = bytes.len() == expected && id.to_bits() == number;
    let damaged = !whole || bytes[NUMBER..].iter().any(|byte| *byte != number as u8);
    Entry { id, redelivered, damaged }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_recognised_and_a_part_of_one_is_not() {
        let id = Id { lane: 3, seq: 1_000_000 };
        for bytes in [NUMBER, 100] {
            assert_eq!(entry(&message(id, bytes), 2, bytes), Entry { id, redelivered: 2, damaged: false });
        }
        assert!(entry(&message(id, 100)[..99], 0, 100).damaged);
        assert!(entry(&[1, 2, 3], 0, NUMBER).damaged);
        let mut mixed = message(id, 100);
        mixed[50] ^= 1;
        assert!(entry(&mixed, 0, 100).damaged);
    }
}
