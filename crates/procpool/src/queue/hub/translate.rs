//! What a participant wrote, as the broker is told.

use crate::queue::broker::api::{Event, Message};
use crate::queue::link::HubBoard;
use crate::queue::wire::{ToHub, WireError};

/// One thing that a participant said.
#[derive(Debug)]
pub(super) enum Said {
    /// To the broker.
    Event(Event),
    /// The process has a worker that it calls so, by the socket that came with this.
    Introduce { number: u32 },
    /// That worker has ended.
    Buried { number: u32 },
    /// Nothing that matters here.
    Nothing,
}

/// Deliveries go by half of their number on the wire; `board` knows the other half.
pub(super) fn translate(said: ToHub, board: &mut HubBoard) -> Result<Said, WireError> {
    let mut whole = |slot, delivery| board.stretch(slot, delivery).ok_or(WireError::Stray);
    let event = match said {
        ToHub::Create { slot, queue, shape, sender_key, receiver_key } => {
            Event::Create { slot, queue, shape, sender_key, receiver_key }
        }
        ToHub::Attach { slot, queue, role, key } => Event::Attach { slot, queue, role, key },
        ToHub::Detach { slot, role } => Event::Detach { slot, role },
        ToHub::Send { slot, handles, body } => Event::Send { slot, message: Message { body, handles } },
        ToHub::Look { slot } => Event::Look { slot },
        ToHub::Ack { slot, delivery } => Event::Ack { slot, delivery: whole(slot, delivery)? },
        ToHub::Nack { slot, delivery } => Event::Nack { slot, delivery: whole(slot, delivery)? },
        ToHub::Opened { slot, delivery } => Event::Opened { slot, delivery: whole(slot, delivery)? },
        ToHub::Close { slot } => Event::Close { slot },
        ToHub::Ask { slot, request, question } => Event::Ask { slot, request, question },
        ToHub::Unask { request } => Event::Unask { request },
        ToHub::Park { parcel, handles } => Event::Park { parcel, handles },
        ToHub::Adopt { parcel } => Event::Adopt { parcel },
        ToHub::Unpark { parcel } => Event::Unpark { parcel },
        ToHub::Introduce { number } => return Ok(Said::Introduce { number }),
        ToHub::Buried { number } => return Ok(Said::Buried { number }),
        ToHub::Open | ToHub::Bell => return Ok(Said::Nothing),
    };
    Ok(Said::Event(event))
}
