//! What the hub tells a client.

use bytes::Bytes;

use super::body::{Body, Small};
use super::error::WireError;
use super::header::{Flags, Header, Kind};

/// A whole message from the hub (all but `Welcome`, which comes before there is a link).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToClient {
    Deliver {
        slot: u32,
        /// The low half of its number.
        delivery: u32,
        /// How often it was delivered before and not acknowledged.
        redelivered: u32,
        /// The message names handles: `Opened` is to be written once it has been decoded.
        handles: bool,
        body: Bytes,
    },
    Answer {
        request: u32,
        value: u64,
    },
    Freed {
        slot: u32,
    },
}

impl ToClient {
    /// Understands what the hub wrote.
    ///
    /// # Errors
    /// It is nothing that a hub writes.
    pub(crate) fn decode(header: &Header, body: Bytes) -> Result<ToClient, WireError> {
        let Header { kind, flags, slot, number } = *header;
        let mut body = Body::new(kind, body);
        let message = match kind {
            Kind::Deliver => {
                let redelivered = if flags.has(Flags::REDELIVERED) { body.u32()? } else { 0 };
                let handles = flags.has(Flags::HANDLES);
                return Ok(ToClient::Deliver { slot, delivery: number, redelivered, handles, body: body.rest() });
            }
            Kind::Answer => ToClient::Answer { request: number, value: body.u64()? },
            Kind::Freed => ToClient::Freed { slot },
            _ => return Err(WireError::Direction(kind)),
        };
        body.end()?;
        Ok(message)
    }

    /// The header (for [`Cuts`](super::Cuts)) and the prefix of a delivery, whose payload follows.
    pub(crate) fn delivery(slot: u32, delivery: u32, redelivered: u32, has_handles: bool) -> (Header, Small) {
        let mut header = Header::whole(Kind::Deliver, slot, delivery);
        let mut prefix = Small::EMPTY;
        if has_handles {
            header.flags = header.flags | Flags::HANDLES;
        }
        if redelivered > 0 {
            header.flags = header.flags | Flags::REDELIVERED;
            prefix = prefix.with(&redelivered.to_le_bytes());
        }
        (header, prefix)
    }

    /// The record of an answer.
    pub(crate) fn answer(request: u32, value: u64) -> (Header, Small) {
        (Header::whole(Kind::Answer, 0, request), Small::EMPTY.with(&value.to_le_bytes()))
    }

    /// The record that gives a slot back.
    pub(crate) fn freed(slot: u32) -> Header {
        Header::whole(Kind::Freed, slot, 0)
    }
}
