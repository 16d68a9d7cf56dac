//! What a client tells the hub.

use bytes::Bytes;

use crate::queue::broker::api::{Named, Question};
use crate::queue::key::{Key, QueueId, Role, Shape};

use super::body::{Body, Small, role_byte};
use super::error::WireError;
use super::header::{Flags, Header, Kind};

/// A whole message from a client. As [`Event`](crate::queue::broker::api::Event), but deliveries are the low halves of
/// their numbers, and some are about the link itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToHub {
    Open,
    Bell,
    Create {
        slot: u32,
        queue: QueueId,
        shape: Shape,
        sender_key: Key,
        receiver_key: Key,
    },
    Attach {
        slot: u32,
        queue: QueueId,
        role: Role,
        key: Key,
    },
    Detach {
        slot: u32,
        role: Role,
    },
    Send {
        slot: u32,
        handles: Vec<Named>,
        body: Bytes,
    },
    Look {
        slot: u32,
    },
    Ack {
        slot: u32,
        delivery: u32,
    },
    Nack {
        slot: u32,
        delivery: u32,
    },
    Opened {
        slot: u32,
        delivery: u32,
    },
    Close {
        slot: u32,
    },
    Ask {
        slot: u32,
        request: u32,
        question: Question,
    },
    Unask {
        request: u32,
    },
    Park {
        parcel: Key,
        handles: Vec<Named>,
    },
    Adopt {
        parcel: Key,
    },
    Unpark {
        parcel: Key,
    },
    /// With a descriptor ([`Incoming::passenger`](crate::queue::link::Incoming)).
    Introduce {
        number: u32,
    },
    Buried {
        number: u32,
    },
}

impl ToHub {
    /// Understands what a client wrote.
    ///
    /// # Errors
    /// It is nothing that a client may write.
    pub(crate) fn decode(header: &Header, body: Bytes) -> Result<ToHub, WireError> {
        let Header { kind, flags, slot, number } = *header;
        let mut body = Body::new(kind, body);
        let message = match kind {
            Kind::Send => {
                let handles = if flags.has(Flags::HANDLES) { body.handles()? } else { Vec::new() };
                return Ok(ToHub::Send { slot, handles, body: body.rest() });
            }
            Kind::Look => ToHub::Look { slot },
            Kind::Ack => ToHub::Ack { slot, delivery: number },
            Kind::Nack => ToHub::Nack { slot, delivery: number },
            Kind::Opened => ToHub::Opened { slot, delivery: number },
            Kind::Open => ToHub::Open,
            Kind::Bell => ToHub::Bell,
            Kind::Create => ToHub::Create {
                slot,
                queue: body.queue()?,
                sender_key: body.key()?,
                receiver_key: body.key()?,
                shape: decode_shape(&mut body)?,
            },
            Kind::Attach => ToHub::Attach { slot, queue: body.queue()?, role: body.role()?, key: body.key()? },
            Kind::Detach => ToHub::Detach { slot, role: body.role()? },
            Kind::Close => ToHub::Close { slot },
            Kind::Ask => {
                let question = match body.u8()? {
                    0 => Question::Len,
                    1 => Question::Join,
                    2 => Question::Room { bytes: body.u64()? },
                    3 => Question::Message,
                    _ => return Err(body.wrong()),
                };
                ToHub::Ask { slot, request: number, question }
            }
            Kind::Unask => ToHub::Unask { request: number },
            Kind::Park => ToHub::Park { parcel: body.key()?, handles: body.handles()? },
            Kind::Adopt => ToHub::Adopt { parcel: body.key()? },
            Kind::Unpark => ToHub::Unpark { parcel: body.key()? },
            Kind::Introduce => ToHub::Introduce { number },
            Kind::Buried => ToHub::Buried { number },
            Kind::Welcome | Kind::Deliver | Kind::Answer | Kind::Freed => return Err(WireError::Direction(kind)),
        };
        body.end()?;
        Ok(message)
    }

    /// The record that says it, for everything that fits one for certain. `None` for `Send` and `Park`, which are
    /// written as [`Cuts`](super::Cuts): `Send` with [`encode_handles`](super::encode_handles) (if there are any) as
    /// prefix, `Park` with the parcel's key as prefix and the table as payload.
    pub(crate) fn encode(&self) -> Option<(Header, Small)> {
        let empty = Small::EMPTY;
        Some(match *self {
            ToHub::Send { .. } | ToHub::Park { .. } => return None,
            ToHub::Open => (Header::whole(Kind::Open, 0, 0), empty),
            ToHub::Bell => (Header::whole(Kind::Bell, 0, 0), empty),
            ToHub::Create { slot, queue, shape, sender_key, receiver_key } => {
                let keys = empty.with(&queue.0.to_le_bytes()).with(&sender_key.0.to_le_bytes());
                let keys = keys.with(&receiver_key.0.to_le_bytes());
                (Header::whole(Kind::Create, slot, 0), encode_shape(keys, shape))
            }
            ToHub::Attach { slot, queue, role, key } => {
                let body = empty.with(&queue.0.to_le_bytes()).with(&[role_byte(role)]).with(&key.0.to_le_bytes());
                (Header::whole(Kind::Attach, slot, 0), body)
            }
            ToHub::Detach { slot, role } => (Header::whole(Kind::Detach, slot, 0), empty.with(&[role_byte(role)])),
            ToHub::Look { slot } => (Header::whole(Kind::Look, slot, 0), empty),
            ToHub::Ack { slot, delivery } => (Header::whole(Kind::Ack, slot, delivery), empty),
            ToHub::Nack { slot, delivery } => (Header::whole(Kind::Nack, slot, delivery), empty),
            ToHub::Opened { slot, delivery } => (Header::whole(Kind::Opened, slot, delivery), empty),
            ToHub::Close { slot } => (Header::whole(Kind::Close, slot, 0), empty),
            ToHub::Ask { slot, request, question } => {
                let body = match question {
                    Question::Len => empty.with(&[0]),
                    Question::Join => empty.with(&[1]),
                    Question::Room { bytes } => empty.with(&[2]).with(&bytes.to_le_bytes()),
                    Question::Message => empty.with(&[3]),
                };
                (Header::whole(Kind::Ask, slot, request), body)
            }
            ToHub::Unask { request } => (Header::whole(Kind::Unask, 0, request), empty),
            ToHub::Adopt { parcel } => (Header::whole(Kind::Adopt, 0, 0), empty.with(&parcel.0.to_le_bytes())),
            ToHub::Unpark { parcel } => (Header::whole(Kind::Unpark, 0, 0), empty.with(&parcel.0.to_le_bytes())),
            ToHub::Introduce { number } => (Header::whole(Kind::Introduce, 0, number), empty),
            ToHub::Buried { number } => (Header::whole(Kind::Buried, 0, number), empty),
        })
    }
}

fn encode_shape(body: Small, shape: Shape) -> Small {
    let body = body.with(&shape.capacity.to_le_bytes()).with(&shape.max_message.to_le_bytes());
    let body = body.with(&[u8::from(shape.bytes.is_some())]);
    body.with(&shape.bytes.unwrap_or(0).to_le_bytes())
}

fn decode_shape(body: &mut Body) -> Result<Shape, WireError> {
    let (capacity, max_message) = (body.u32()?, body.u64()?);
    let bytes = match (body.u8()?, body.u64()?) {
        (0, 0) => None,
        (1, bytes) => Some(bytes),
        _ => return Err(body.wrong()),
    };
    if capacity == 0 || bytes == Some(0) {
        return Err(WireError::Shape);
    }
    Ok(Shape { capacity, bytes, max_message })
}
