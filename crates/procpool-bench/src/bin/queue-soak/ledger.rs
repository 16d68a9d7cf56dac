//! What participants did, kept where their death cannot reach it: in files in memory that belong to the parent. One
//! participant at a time writes to a ledger, by plain writes; what a write has put there survives a SIGKILL.
//!
//! A producer's ledger has a byte for each message of its lane: [`BEGUN`] before `send` is called, [`CONFIRMED`] after
//! it returned. A consumer's ledger has an [`Entry`] for each message, written after `recv` returned.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};

/// `send` may have been called.
pub(crate) const BEGUN: u8 = 1;
/// `send` has returned without an error.
pub(crate) const CONFIRMED: u8 = 2;

/// How many lanes there are at most; each producer, with those that replace it, has one.
pub(crate) const LANES: u64 = 64;

const SEQ_BITS: u32 = 42;
const LANE_BITS: u32 = 6;
const COUNT_BITS: u32 = 15;

/// How many bytes an entry has.
const ENTRY: u64 = 8;

/// A message: the lane of its producer, and which one of the lane's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) lane: u64,
    pub(crate) seq: u64,
}

impl Id {
    pub(crate) fn to_bits(self) -> u64 {
        self.lane << SEQ_BITS | self.seq
    }

    /// The bits above are ignored.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Id { lane: bits >> SEQ_BITS & ((1 << LANE_BITS) - 1), seq: bits & ((1 << SEQ_BITS) - 1) }
    }
}

/// What a consumer wrote down about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: Id,
    /// How often it had been delivered before; 0 if the consumer does not acknowledge, for then it is not told.
    pub(crate) redelivered: u32,
    /// The message was not as it had been sent.
    pub(crate) damaged: bool,
}

impl Entry {
    fn to_bits(self) -> u64 {
        let count = u64::from(self.redelivered).min((1 << COUNT_BITS) - 1);
        u64::from(self.damaged) << 63 | count << (SEQ_BITS + LANE_BITS) | self.id.to_bits()
    }

    fn from_bits(bits: u64) -> Self {
        let count = bits >> (SEQ_BITS + LANE_BITS) & ((1 << COUNT_BITS) - 1);
        Entry { id: Id::from_bits(bits), redelivered: count as u32, damaged: bits >> 63 == 1 }
    }
}

/// The parent's side of a ledger.
pub(crate) struct Ledger(File);

/// Where a participant finds its ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Place(String);

impl Ledger {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Ledger(File::from(memfd_create("queue-soak", MemfdFlags::CLOEXEC)?)))
    }

    pub(crate) fn place(&self) -> Place {
        Place(format!("/proc/{}/fd/{}", std::process::id(), self.0.as_fd().as_raw_fd()))
    }

    /// How many messages of the lane may have been sent: those behind have no byte yet.
    pub(crate) fn begun(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    /// Whether the last message that was begun is confirmed, too. All before it are.
    pub(crate) fn last_is_confirmed(&self) -> io::Result<bool> {
        let Some(last) = self.begun()?.checked_sub(1) else { return Ok(true) };
        let mut byte = [0];
        self.0.read_exact_at(&mut byte, last)?;
        Ok(byte == [CONFIRMED])
    }

    /// How many entries there are.
    pub(crate) fn entries(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len() / ENTRY)
    }

    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.0.metadata()?.len()).map_err(io::Error::other)?];
        self.0.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    pub(crate) fn read_entries(&self) -> io::Result<Vec<Entry>> {
        let bytes = self.read()?;
        let (entries, rest) = bytes.as_chunks::<{ ENTRY as usize }>();
        if !rest.is_empty() {
            return Err(io::Error::other("a consumer's last entry is cut off"));
        }
        Ok(entries.iter().map(|bits| Entry::from_bits(u64::from_le_bytes(*bits))).collect())
    }
}

/// A participant's side of a ledger.
pub(crate) struct Pen {
    file: File,
    /// The next entry of a consumer.
    next: u64,
}

impl Pen {
    /// `next`: how many entries are there already.
    pub(crate) fn take(place: &Place, next: u64) -> Result<Self, String> {
        let file = OpenOptions::new().read(true).write(true).open(&place.0);
        Ok(Pen { file: file.map_err(|error| format!("{}: {error}", place.0))?, next })
    }

    pub(crate) fn mark(&self, seq: u64, state: u8) -> Result<(), String> {
        self.file.write_all_at(&[state], seq).map_err(|error| format!("ledger: {error}"))
    }

    pub(crate) fn enter(&mut self, entry: Entry) -> Result<(), String> {
        let written = self.file.write_all_at(&entry.to_bits().to_le_bytes(), self.next * ENTRY);
        self.next += 1;
        written.map_err(|error| format!("ledger: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_participant_writes_the_parent_reads() {
        let ledger = Ledger::new().unwrap();
        assert_eq!((ledger.begun().unwrap(), ledger.last_is_confirmed().unwrap()), (0, true));
        let pen = Pen::take(&ledger.place(), 0).unwrap();
        pen.mark(0, BEGUN).unwrap();
        pen.mark(0, CONFIRMED).unwrap();
        pen.mark(1, BEGUN).unwrap();
        assert_eq!((ledger.begun().unwrap(), ledger.last_is_confirmed().unwrap()), (2, false));
        assert_eq!(ledger.read().unwrap(), [CONFIRMED, BEGUN]);
    }

    #[test]
    fn entries_come_back_in_order_and_whole() {
        let ledger = Ledger::new().unwrap();
        let entry = |lane, seq, redelivered, damaged| Entry { id: Id { lane, seq }, redelivered, damaged };
        let entries = [entry(63, (1 << 42) - 1, 0, true), entry(0, 1, 32_767, false), entry(3, 0, 1, false)];
        let mut pen = Pen::take(&ledger.place(), 0).unwrap();
        pen.enter(entries[0]).unwrap();
        pen.enter(entries[1]).unwrap();
        // Its successor goes on behind it.
        Pen::take(&ledger.place(), ledger.entries().unwrap()).unwrap().enter(entries[2]).unwrap();
        assert_eq!(ledger.read_entries().unwrap(), entries);
    }
}
