//! Records: sixteen bytes that say what follows, and at most [`MAX_FRAGMENT`] bytes.

use std::fmt;
use std::ops::BitOr;

use super::error::WireError;

/// The most bytes that follow one header.
pub(crate) const MAX_FRAGMENT: usize = 64 * 1024;

/// The length of a header.
pub(crate) const HEADER_LEN: usize = 16;

/// How many queues one participant can use at a time: the entries of a board.
pub(crate) const SLOTS: u32 = 4096;

/// What a record is about. The numbers are the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    /// To the hub, first: somebody wants this link.
    Open = 1,
    /// To the hub, on the socket: look at the ring.
    Bell = 2,
    Create = 3,
    Attach = 4,
    Detach = 5,
    Send = 6,
    Look = 7,
    Ack = 8,
    Nack = 9,
    Opened = 10,
    Close = 11,
    Ask = 12,
    Unask = 13,
    Park = 14,
    Adopt = 15,
    Unpark = 16,
    /// To the hub, with a descriptor: the parent's end of the link of a process that this participant has started.
    Introduce = 17,
    /// To the hub: a process that was introduced has been buried.
    Buried = 18,
    /// To the client, first, with a descriptor: the memory.
    Welcome = 32,
    Deliver = 33,
    Answer = 34,
    Freed = 35,
}

impl Kind {
    const ALL: [Kind; 22] = [
        Kind::Open,
        Kind::Bell,
        Kind::Create,
        Kind::Attach,
        Kind::Detach,
        Kind::Send,
        Kind::Look,
        Kind::Ack,
        Kind::Nack,
        Kind::Opened,
        Kind::Close,
        Kind::Ask,
        Kind::Unask,
        Kind::Park,
        Kind::Adopt,
        Kind::Unpark,
        Kind::Introduce,
        Kind::Buried,
        Kind::Welcome,
        Kind::Deliver,
        Kind::Answer,
        Kind::Freed,
    ];

    fn from_wire(byte: u8) -> Option<Kind> {
        // A table: this is looked up once a record.
        const TABLE: [Option<Kind>; 36] = {
            let mut table = [None; 36];
            let mut index = 0;
            while index < Kind::ALL.len() {
                table[Kind::ALL[index] as usize] = Some(Kind::ALL[index]);
                index += 1;
            }
            table
        };
        TABLE.get(usize::from(byte)).copied().flatten()
    }

    /// Whether a client may write it; the hub writes the others.
    pub(crate) fn is_to_hub(self) -> bool {
        (self as u8) < Kind::Welcome as u8
    }

    /// Which flags a record of this kind may carry beside `FIRST` and `LAST`. `None`: it is always one whole record.
    fn extras(self) -> Option<Flags> {
        match self {
            Kind::Send => Some(Flags::HANDLES),
            Kind::Park => Some(Flags::NONE),
            Kind::Deliver => Some(Flags::HANDLES | Flags::REDELIVERED),
            _ => None,
        }
    }
}

/// The flags of a record.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Flags(pub(super) u8);

impl Flags {
    pub(crate) const NONE: Flags = Flags(0);
    /// The message begins here. Without `LAST`: the body begins with the total length of what follows that number, in
    /// this record and in the message's other ones (u64).
    pub(crate) const FIRST: Flags = Flags(1);
    /// The message ends here.
    pub(crate) const LAST: Flags = Flags(2);
    /// A message that begins and ends in this record.
    pub(crate) const WHOLE: Flags = Flags(3);
    /// The message that began will not come. Alone, and without a body.
    pub(crate) const ABORT: Flags = Flags(4);
    /// With `FIRST` only. `Send`: the message begins with a table of handles. `Deliver`: `Opened` is to be written once
    /// the message has been decoded.
    pub(crate) const HANDLES: Flags = Flags(8);
    /// `Deliver`, with `FIRST` only: the message begins with how often it has been delivered before (u32).
    pub(crate) const REDELIVERED: Flags = Flags(16);

    /// Whether all of `flags` are set.
    pub(crate) fn has(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Only what is not about where a message begins and ends.
    pub(super) fn extras(self) -> Flags {
        Flags(self.0 & (Flags::HANDLES.0 | Flags::REDELIVERED.0))
    }

    fn without(self, flags: Flags) -> Flags {
        Flags(self.0 & !flags.0)
    }

    fn are_possible(self, kind: Kind) -> bool {
        match kind.extras() {
            None => self == Flags::WHOLE,
            Some(_) if self == Flags::ABORT => true,
            Some(extras) if self.has(Flags::FIRST) => self.without(Flags::WHOLE | extras) == Flags::NONE,
            Some(_) => self.without(Flags::LAST) == Flags::NONE,
        }
    }
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({:#x})", self.0)
    }
}

/// What a record is about. The length of the body is not kept here: whoever writes a record measures it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) flags: Flags,
    /// The participant's slot, below [`SLOTS`]; 0 for what is about none.
    pub(crate) slot: u32,
    /// A delivery (its low half), a stream of the client's choice, a request, or 0.
    pub(crate) number: u32,
}

impl Header {
    /// The header of a message in one record.
    pub(crate) fn whole(kind: Kind, slot: u32, number: u32) -> Header {
        Header { kind, flags: Flags::WHOLE, slot, number }
    }

    /// The record that takes back a message of which some records, but not the last, have been written.
    pub(crate) fn abort(&self) -> Header {
        Header { flags: Flags::ABORT, ..*self }
    }

    /// As two words, for a body of `len` bytes.
    pub(crate) fn encode_words(&self, len: u32) -> [u64; 2] {
        [
            u64::from(len) | (self.kind as u64) << 32 | u64::from(self.flags.0) << 40,
            u64::from(self.slot) | u64::from(self.number) << 32,
        ]
    }

    /// As bytes (len, kind, flags, two zero bytes, slot, number; little-endian), for a body of `len` bytes.
    pub(crate) fn encode(&self, len: u32) -> [u8; HEADER_LEN] {
        let [first, second] = self.encode_words(len);
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&first.to_le_bytes());
        bytes[8..].copy_from_slice(&second.to_le_bytes());
        bytes
    }

    /// The header and the length of the body, every field checked.
    pub(crate) fn decode_words([first, second]: [u64; 2]) -> Result<(Header, u32), WireError> {
        let len = first as u32;
        let [_, _, _, _, kind, flags, zero_a, zero_b] = first.to_le_bytes();
        let kind = Kind::from_wire(kind).ok_or(WireError::UnknownKind(kind))?;
        if (zero_a, zero_b) != (0, 0) {
            return Err(WireError::Reserved);
        }
        if !Flags(flags).are_possible(kind) || Flags(flags) == Flags::ABORT && len != 0 {
            return Err(WireError::Flags { kind, flags });
        }
        if len as usize > MAX_FRAGMENT {
            return Err(WireError::TooLong(len));
        }
        let (slot, number) = (second as u32, (second >> 32) as u32);
        if slot >= SLOTS {
            return Err(WireError::Slot(slot));
        }
        Ok((Header { kind, flags: Flags(flags), slot, number }, len))
    }

    /// [`decode_words`](Header::decode_words), from bytes.
    pub(crate) fn decode(bytes: &[u8; HEADER_LEN]) -> Result<(Header, u32), WireError> {
        let [a, b, c, d, e, f, g, h, second @ ..] = *bytes;
        Self::decode_words([u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes(second)])
    }
}
