use std::io;

use thiserror::Error;

use super::header::Kind;

/// Why what came on a link cannot be understood. There is no way on after it: the other side is broken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum WireError {
    #[error("a record of the unknown kind {0}")]
    UnknownKind(u8),
    #[error("a record of kind {0:?}, which does not go this way")]
    Direction(Kind),
    #[error("a record of kind {kind:?} with the impossible flags {flags:#x}")]
    Flags { kind: Kind, flags: u8 },
    #[error("a record whose reserved bytes are not zero")]
    Reserved,
    #[error("a record of {0} bytes, more than a record may have")]
    TooLong(u32),
    #[error("a record about slot {0}, which no board has")]
    Slot(u32),
    #[error("a message of {len} bytes, over the limit of {limit}")]
    MessageTooLong { len: u64, limit: u64 },
    #[error("a part of a message that was never begun")]
    Stray,
    #[error("a message that begins twice")]
    Twice,
    #[error("a part of a message without content")]
    Empty,
    #[error("parts that do not add up to their message's length")]
    Length,
    #[error("more than {0} messages that have begun and not ended")]
    TooManyPartial(usize),
    #[error("a body that kind {0:?} cannot have")]
    Body(Kind),
    #[error("a shape that no queue can have")]
    Shape,
    #[error("a descriptor that belongs to no record, or a record without its descriptor")]
    Passenger,
    #[error("a ring whose indices or lengths cannot be")]
    Ring,
    #[error("a stream that does not begin as it must")]
    Opening,
}

impl From<WireError> for io::Error {
    fn from(error: WireError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}
