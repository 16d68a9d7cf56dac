//! What both kinds of handles have in common: where they lead to, and how they travel.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::client::{Broken, Side, client};
use super::error::Unavailable;
use super::key::{Capability, Key, QueueId, QueueState, Role, Shape};
use super::travel;

/// A handle of a queue, whatever travels in it.
#[derive(Clone)]
pub(super) struct Handle {
    /// Or why there is none. Making a queue does not fail: using it does, with an error that says so.
    side: Result<Side, Broken>,
    shape: Shape,
}

impl Handle {
    /// A sender's and a receiver's.
    pub(super) fn pair(shape: Shape) -> (Handle, Handle) {
        match client().and_then(|client| client.create(shape)) {
            Ok((sender, receiver)) => (Handle { side: Ok(sender), shape }, Handle { side: Ok(receiver), shape }),
            Err(why) => (Handle { side: Err(why.clone()), shape }, Handle { side: Err(why), shape }),
        }
    }

    pub(super) fn side(&self) -> Result<&Side, Unavailable> {
        self.side.as_ref().map_err(|why| why.clone().into())
    }

    pub(super) fn state(&self) -> QueueState {
        self.side.as_ref().map(Side::state).unwrap_or_default()
    }

    pub(super) fn close(&self) {
        if let Ok(side) = &self.side {
            side.close();
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.shape.capacity as usize
    }

    pub(super) fn is_of_queue_of(&self, other: &Handle) -> bool {
        match (&self.side, &other.side) {
            (Ok(one), Ok(other)) => one.capability().queue == other.capability().queue,
            _ => false,
        }
    }

    pub(super) fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct(name);
        shown.field("capacity", &self.shape.capacity);
        if let Some(bytes) = self.shape.bytes {
            shown.field("bytes", &bytes);
        }
        shown.finish_non_exhaustive()
    }

    pub(super) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let side = self.side().map_err(ser::Error::custom)?;
        if serializer.is_human_readable() || !travel::name(side) {
            return Err(ser::Error::custom(NOWHERE_ELSE));
        }
        let Capability { queue, key, shape, .. } = side.capability();
        let Shape { capacity, bytes, max_message } = shape;
        Named { queue: queue.0, key: key.0, capacity, bytes, max_message }.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D, role: Role) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() || !travel::is_decoding() {
            return Err(de::Error::custom(NOWHERE_ELSE));
        }
        let Named { queue, key, capacity, bytes, max_message } = Named::deserialize(deserializer)?;
        if capacity == 0 {
            return Err(de::Error::custom("a handle of a queue without any room"));
        }
        let shape = Shape { capacity, bytes, max_message };
        let capability = Capability { queue: QueueId(queue), role, key: Key(key), shape };
        let side = client().and_then(|client| client.attach(&capability));
        let side = side.map_err(|why| de::Error::custom(Unavailable::from(why)))?;
        Ok(Handle { side: Ok(side), shape })
    }
}

const NOWHERE_ELSE: &str = "a handle of a queue travels in arguments and results of tasks and in messages of queues \
                            and nowhere else (also not in `Json`): pass it as it is, or keep it out with `#[serde(skip)]`";

/// What of a handle is in the bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename = "QueueHandle")]
struct Named {
    queue: u64,
    key: u128,
    capacity: u32,
    bytes: Option<u64>,
    max_message: u64,
}
