//! The socket of a link: split anywhere, with descriptors, and with anything else.

use std::io::IoSlice;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};

use proptest::prelude::*;

use super::super::{Drained, HubEnd, Incoming, LinkError, Transport, welcome};
use super::{bytes, socketpair};
use crate::queue::wire::{Header, Kind, WireError};
use crate::sys::socket::{send, send_with_fd};

/// A hub's end, and the socket of a client that writes what it likes.
fn bare(transport: Transport) -> (HubEnd, OwnedFd) {
    let (ours, theirs) = socketpair().unwrap();
    (welcome(ours, transport).unwrap(), theirs)
}

fn record(header: Header, body: &[u8]) -> Vec<u8> {
    [&header.encode(body.len() as u32)[..], body].concat()
}

fn opening() -> Vec<u8> {
    record(Header::whole(Kind::Open, 0, 0), &[])
}

fn put(socket: &OwnedFd, bytes: &[u8]) {
    assert_eq!(send(socket, &[IoSlice::new(bytes)]).unwrap(), bytes.len());
}

fn put_with_fd(socket: &OwnedFd, bytes: &[u8]) {
    let null = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(send_with_fd(socket, &[IoSlice::new(bytes)], null.as_fd()).unwrap(), bytes.len());
}

fn read(hub: &mut HubEnd, got: &mut Vec<Incoming>) -> Result<Drained, WireError> {
    let result = hub.read_socket(&mut |incoming: Incoming| {
        got.push(incoming);
        ControlFlow::Continue(())
    });
    result.map_err(|error| match error {
        LinkError::Wire(error) => error,
        LinkError::Io(error) => panic!("{error}"),
    })
}

#[test]
fn records_may_be_split_at_every_byte() {
    let stream = [
        opening(),
        record(Header::whole(Kind::Look, 1, 0), &[]),
        record(Header::whole(Kind::Send, 2, 3), b"hello"),
        record(Header::whole(Kind::Bell, 0, 0), &[]),
        record(Header::whole(Kind::Ack, 4, 5), &[]),
    ]
    .concat();
    for first in 0..=stream.len() {
        let (mut hub, client) = bare(Transport::Socket);
        let mut got = Vec::new();
        for part in [&stream[..first], &stream[first..]] {
            if !part.is_empty() {
                put(&client, part);
            }
            assert_eq!(read(&mut hub, &mut got), Ok(Drained::All));
        }
        let kinds: Vec<Kind> = got.iter().map(|incoming| incoming.header.kind).collect();
        assert_eq!(kinds, [Kind::Look, Kind::Send, Kind::Ack]);
        assert_eq!(got[1].body, b"hello"[..]);
        drop(client);
        assert_eq!(read(&mut hub, &mut got), Ok(Drained::Ended));
    }
}

#[test]
fn a_descriptor_comes_with_its_introduction() {
    for transport in [Transport::Ring, Transport::Socket] {
        let (mut hub, client) = bare(transport);
        put(&client, &opening());
        for number in 0..3 {
            put(&client, &record(Header::whole(Kind::Bell, 0, 0), &[]));
            put_with_fd(&client, &record(Header::whole(Kind::Introduce, 0, number), &[]));
        }
        let mut got = Vec::new();
        assert_eq!(read(&mut hub, &mut got), Ok(Drained::All));
        assert_eq!(got.iter().map(|incoming| incoming.header.number).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(got.iter().all(|incoming| incoming.passenger.is_some()));
    }
}

#[test]
fn a_descriptor_in_the_wrong_place_is_an_error() {
    let introduce = record(Header::whole(Kind::Introduce, 0, 1), &[]);
    let look = record(Header::whole(Kind::Look, 0, 1), &[]);
    let wrong: [&dyn Fn(&OwnedFd); 4] = [
        &|socket| put(socket, &introduce),
        &|socket| put_with_fd(socket, &look),
        // With the record before, so that the introduction has none.
        &|socket| {
            put_with_fd(socket, &look[..8]);
            put(socket, &look[8..]);
            put(socket, &introduce);
        },
        // Two with one record.
        &|socket| {
            put_with_fd(socket, &introduce[..8]);
            put_with_fd(socket, &introduce[8..]);
        },
    ];
    for write in wrong {
        let (mut hub, client) = bare(Transport::Socket);
        put(&client, &opening());
        write(&client);
        assert_eq!(read(&mut hub, &mut Vec::new()), Err(WireError::Passenger));
    }
}

#[test]
fn a_stream_opens_once_and_first() {
    let look = record(Header::whole(Kind::Look, 0, 1), &[]);
    for stream in [look.clone(), [opening(), opening()].concat()] {
        let (mut hub, client) = bare(Transport::Socket);
        put(&client, &stream);
        assert_eq!(read(&mut hub, &mut Vec::new()), Err(WireError::Opening));
    }
    // And beside a ring there is little to be said.
    let (mut hub, client) = bare(Transport::Ring);
    put(&client, &[opening(), look].concat());
    assert_eq!(read(&mut hub, &mut Vec::new()), Err(WireError::Direction(Kind::Look)));
    let (mut hub, client) = bare(Transport::Socket);
    put(&client, &[opening(), record(Header::whole(Kind::Freed, 0, 0), &[])].concat());
    assert_eq!(read(&mut hub, &mut Vec::new()), Err(WireError::Direction(Kind::Freed)));
}

#[test]
fn what_was_written_before_the_end_is_read() {
    let (mut hub, client) = bare(Transport::Socket);
    let body = bytes(60_000, 4);
    let mut stream = opening();
    for number in 0..3 {
        stream.extend(record(Header::whole(Kind::Send, 0, number), &body));
    }
    put(&client, &stream[..stream.len() - 1]);
    hub.set_gone();
    drop(client);
    let mut got = Vec::new();
    assert_eq!(read(&mut hub, &mut got), Ok(Drained::Ended));
    assert!(got.len() == 2 && got.iter().all(|incoming| incoming.body == body));
}

proptest! {
    #[test]
    fn any_bytes_are_records_or_an_error(
        stream: Vec<u8>,
        heads in proptest::collection::vec((0..40u8, 0..20u8, 0..30u8), 0..10),
    ) {
        let (mut hub, client) = bare(Transport::Socket);
        let mut all = opening();
        for (kind, flags, len) in heads {
            all.extend([len, 0, 0, 0, kind, flags, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            all.extend(std::iter::repeat_n(kind, len.into()));
        }
        all.extend(stream);
        put(&client, &all);
        let mut got = Vec::new();
        let result = read(&mut hub, &mut got);
        prop_assert!(result.is_err() || result == Ok(Drained::All));
        prop_assert!(got.iter().map(|incoming| incoming.body.len()).sum::<usize>() <= all.len());
    }
}
