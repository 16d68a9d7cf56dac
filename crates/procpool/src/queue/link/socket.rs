//! The socket of a link: everything where there are no rings, else bells and descriptors.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::{Buf, Bytes, BytesMut};

use crate::queue::wire::{HEADER_LEN, Header, Kind, MAX_FRAGMENT, WireError};
use crate::sys::{courier, socket};

use super::end::{LinkError, Written};

/// Smaller bodies are copied, so that a small message does not keep what was received along with it.
const COPIED: usize = 4096;

/// One record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) header: Header,
    pub(super) body: Bytes,
    pub(super) passenger: Option<OwnedFd>,
}

/// What a receive brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    Some(usize),
    Nothing,
    End,
}

/// Cuts what comes on a socket into records.
#[derive(Debug, Default)]
pub(super) struct SocketReader {
    buffer: BytesMut,
    /// How many bytes have come in all, and how many of them were cut off the buffer.
    received: u64,
    taken: u64,
    /// A descriptor that has come, and how many bytes had by then: it belongs to the record that the last one is in.
    passenger: Option<(OwnedFd, u64)>,
}

impl SocketReader {
    /// Receives once; never waits.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> Result<Received, LinkError> {
        let (count, passenger) = match courier::receive(socket, &mut self.buffer) {
            Ok(result) => result,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Received::Nothing),
            // A client that ended with something unread on its side.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(Received::End),
            Err(error) => return Err(error.into()),
        };
        self.received += count as u64;
        if let Some(passenger) = passenger {
            if self.passenger.is_some() {
                return Err(WireError::Passenger.into());
            }
            self.passenger = Some((passenger, self.received));
        }
        Ok(if count == 0 { Received::End } else { Received::Some(count) })
    }

    /// Whether [`next`](Self::next) has something to say without another receive.
    pub(super) fn has_whole(&self) -> bool {
        let Some(header) = self.buffer.first_chunk() else { return false };
        // What cannot be understood is an error that waits to be told.
        Header::decode(header).map_or(true, |(_, len)| self.buffer.len() >= HEADER_LEN + len as usize)
    }

    /// The next record that has come whole.
    pub(super) fn next(&mut self) -> Result<Option<Record>, WireError> {
        let Some(header) = self.buffer.first_chunk() else { return Ok(None) };
        let (header, len) = Header::decode(header)?;
        let end = HEADER_LEN + len as usize;
        if self.buffer.len() < end {
            return Ok(None);
        }
        self.buffer.advance(HEADER_LEN);
        let body = if end < COPIED {
            let body = Bytes::copy_from_slice(&self.buffer[..len as usize]);
            self.buffer.advance(len as usize);
            body
        } else {
            self.buffer.split_to(len as usize).freeze()
        };
        self.taken += end as u64;
        let taken = self.taken;
        let passenger = self.passenger.take_if(|(_, at)| *at <= taken).map(|(passenger, _)| passenger);
        if passenger.is_some() != (header.kind == Kind::Introduce) {
            return Err(WireError::Passenger);
        }
        Ok(Some(Record { header, body, passenger }))
    }
}

/// Writes one record, however long that takes.
pub(super) fn write_waiting(socket: &OwnedFd, header: &Header, parts: &[&[u8]]) -> Written {
    let (header, slices) = slices(header, parts);
    let mut all = vec![IoSlice::new(&header)];
    all.extend(slices);
    match socket::send_all(socket, &mut all) {
        Ok(()) => Written::Whole,
        Err(_) => Written::Gone,
    }
}

fn slices<'a>(header: &Header, parts: &'a [&[u8]]) -> ([u8; HEADER_LEN], impl Iterator<Item = IoSlice<'a>>) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    assert!(len <= MAX_FRAGMENT, "a record of {len} bytes");
    (header.encode(len as u32), parts.iter().map(|part| IoSlice::new(part)))
}

/// Writes records without waiting.
#[derive(Debug, Default)]
pub(super) struct SocketWriter {
    /// The rest of a record that went in part.
    carry: BytesMut,
}

impl SocketWriter {
    /// Writes one record if nothing of an earlier one is left. What does not fit of it is kept, to be
    /// [`flush`](Self::flush)ed.
    pub(super) fn write(&mut self, socket: BorrowedFd<'_>, header: &Header, parts: &[&[u8]]) -> Written {
        match self.flush(socket) {
            Written::Whole => {}
            other => return other,
        }
        let (header, slices) = slices(header, parts);
        let mut all = vec![IoSlice::new(&header)];
        all.extend(slices);
        match socket::send(socket, &all) {
            Ok(0) => Written::Full,
            Ok(mut sent) => {
                for slice in &all {
                    let skipped = sent.min(slice.len());
                    self.carry.extend_from_slice(&slice[skipped..]);
                    sent -= skipped;
                }
                Written::Whole
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Written::Full,
            Err(_) => Written::Gone,
        }
    }

    /// Writes what is left of the record before. `Full`: something still is.
    pub(super) fn flush(&mut self, socket: BorrowedFd<'_>) -> Written {
        while !self.carry.is_empty() {
            match socket::send(socket.as_fd(), &[IoSlice::new(&self.carry)]) {
                Ok(0) => return Written::Full,
                Ok(sent) => self.carry.advance(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Written::Full,
                Err(_) => return Written::Gone,
            }
        }
        Written::Whole
    }

    /// Whether something is left of a record.
    pub(super) fn has_carry(&self) -> bool {
        !self.carry.is_empty()
    }
}
