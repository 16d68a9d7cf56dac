//! Where things are in the memory that a client and the hub share, as words of eight bytes.
//!
//! What the one side writes and what the other side writes lie in cache lines of their own, and the indices of the rings
//! two lines apart, since processors fetch lines in pairs.

use crate::queue::wire::SLOTS;

/// How far the client has written its ring, and how far the hub has read it.
pub(super) const UP_TAIL: usize = 0;
pub(super) const UP_HEAD: usize = 16;
/// How far the hub has written its ring, and how far the client has read it.
pub(super) const DOWN_TAIL: usize = 32;
pub(super) const DOWN_HEAD: usize = 48;
/// Bumped by the hub; only ever used as a word of four bytes, which clients wait on.
pub(super) const EVENT: usize = 64;
/// 1: a thread of the client waits, or is about to, for the next event.
pub(super) const CLIENT_WAITS: usize = 80;
/// 1: the client waits for room in the up ring.
pub(super) const UP_WANTED: usize = 81;
/// 1: the hub sleeps, and is to be rung for.
pub(super) const HUB_WAITS: usize = 96;
/// 1: the hub waits for room in the down pipe, and is to be rung for once there is some.
pub(super) const DOWN_WANTED: usize = 97;
/// 1: nobody reads at the other end any more.
pub(super) const GONE: usize = 112;

/// The first entry of the board.
const ENTRIES: usize = 128;
/// Two lines an entry: the producer's and the consumer's.
const ENTRY_WORDS: usize = 16;

// The producer's line.
pub(super) const CREDITS: usize = 0;
pub(super) const CREDIT_BYTES: usize = 1;
/// How many senders wait. The client's.
pub(super) const SENDERS: usize = 2;
/// How many bytes the first of them needs. The client's.
pub(super) const NEEDS: usize = 3;

// The consumer's line.
/// The low half: which delivery is claimed next. The high half: which cannot be claimed yet.
pub(super) const CLAIM: usize = 8;
/// 0: nothing is to be acknowledged. Otherwise 1 in the high half, and in the low one from which claim on. The client's.
pub(super) const ACK_FROM: usize = 9;
/// How many receivers wait. The client's.
pub(super) const RECEIVERS: usize = 10;
/// The high half: a generation, 0 for "never". The low half: at which number the client is to write `Look`. The hub's.
pub(super) const NOTIFY: usize = 11;
/// Of these bits. The hub's.
pub(super) const STATE: usize = 12;
pub(super) const STATE_CLOSED: u64 = 1;
pub(super) const STATE_SENDERS_GONE: u64 = 2;
pub(super) const STATE_RECEIVERS_GONE: u64 = 4;
pub(super) const STATE_DRAINED: u64 = 8;

/// The board's length.
const BOARD_WORDS: usize = ENTRIES + SLOTS as usize * ENTRY_WORDS;

/// The length of one ring. At least three of the longest records.
pub(super) const RING_WORDS: usize = 1024 * 1024 / 8;
pub(super) const UP_RING: usize = BOARD_WORDS;
pub(super) const DOWN_RING: usize = UP_RING + RING_WORDS;

/// The first word of a slot's entry.
pub(super) fn entry(slot: u32) -> usize {
    ENTRIES + slot as usize * ENTRY_WORDS
}

/// What carries the records of a link. The board and its events are shared memory either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Two rings in the shared memory. The socket carries bells and descriptors.
    Ring,
    /// The socket carries everything.
    Socket,
}

impl Transport {
    /// How many words of memory the link takes.
    pub(super) fn words(self) -> usize {
        match self {
            Transport::Ring => BOARD_WORDS + 2 * RING_WORDS,
            Transport::Socket => BOARD_WORDS,
        }
    }

    /// As `Welcome` says it.
    pub(super) fn number(self) -> u32 {
        match self {
            Transport::Ring => 0,
            Transport::Socket => 1,
        }
    }

    pub(super) fn from_number(number: u32) -> Option<Transport> {
        [Transport::Ring, Transport::Socket].into_iter().find(|transport| transport.number() == number)
    }
}
