//! The pieces that bodies are made of.

use std::ops::Deref;

use bytes::Bytes;

use crate::queue::broker::api::Named;
use crate::queue::key::{Key, QueueId, Role};

use super::error::WireError;
use super::header::Kind;

/// A body of a few bytes, made without a heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Small {
    bytes: [u8; Small::MAX],
    len: usize,
}

impl Small {
    /// The longest is that of `Create`.
    const MAX: usize = 80;

    pub(crate) const EMPTY: Small = Small { bytes: [0; Small::MAX], len: 0 };

    /// With `piece` appended. The bodies made here are all shorter than [`Small::MAX`].
    pub(super) fn with(mut self, piece: &[u8]) -> Small {
        self.bytes[self.len..self.len + piece.len()].copy_from_slice(piece);
        self.len += piece.len();
        self
    }
}

impl Deref for Small {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// One entry of a table of handles: queue, role, key.
const NAMED_LEN: usize = 8 + 1 + 16;

/// A table of handles: how many (u32), and each.
pub(crate) fn encode_handles(handles: &[Named]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + handles.len() * NAMED_LEN);
    bytes.extend_from_slice(&u32::try_from(handles.len()).unwrap_or(u32::MAX).to_le_bytes());
    for handle in handles {
        bytes.extend_from_slice(&handle.queue.0.to_le_bytes());
        bytes.push(role_byte(handle.role));
        bytes.extend_from_slice(&handle.key.0.to_le_bytes());
    }
    bytes
}

pub(super) fn role_byte(role: Role) -> u8 {
    match role {
        Role::Sender => 0,
        Role::Receiver => 1,
    }
}

/// Reads a body from its front. Whatever is missing or impossible is [`WireError::Body`].
#[derive(Debug)]
pub(super) struct Body {
    kind: Kind,
    rest: Bytes,
}

impl Body {
    pub(super) fn new(kind: Kind, rest: Bytes) -> Body {
        Body { kind, rest }
    }

    pub(super) fn wrong(&self) -> WireError {
        WireError::Body(self.kind)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let bytes = *self.rest.first_chunk::<N>().ok_or(self.wrong())?;
        self.rest = self.rest.split_off(N);
        Ok(bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, WireError> {
        self.take().map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, WireError> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, WireError> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn queue(&mut self) -> Result<QueueId, WireError> {
        self.u64().map(QueueId)
    }

    pub(super) fn key(&mut self) -> Result<Key, WireError> {
        self.take().map(u128::from_le_bytes).map(Key)
    }

    pub(super) fn role(&mut self) -> Result<Role, WireError> {
        match self.u8()? {
            0 => Ok(Role::Sender),
            1 => Ok(Role::Receiver),
            _ => Err(self.wrong()),
        }
    }

    pub(super) fn handles(&mut self) -> Result<Vec<Named>, WireError> {
        let count = self.u32()? as usize;
        // No more room is set aside than what is there can fill.
        if count > self.rest.len() / NAMED_LEN {
            return Err(self.wrong());
        }
        let mut handles = Vec::with_capacity(count);
        for _ in 0..count {
            handles.push(Named { queue: self.queue()?, role: self.role()?, key: self.key()? });
        }
        Ok(handles)
    }

    pub(super) fn rest(self) -> Bytes {
        self.rest
    }

    /// Nothing more may follow.
    pub(super) fn end(self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.wrong()) }
    }
}
