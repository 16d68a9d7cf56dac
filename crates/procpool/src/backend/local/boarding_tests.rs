//! Descriptors leave with their messages, or before them, and in their order.

use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;

use bytes::BytesMut;

use super::outbox::{Order, Outbox, Outgoing};
use crate::sys::sealed::SealedBytes;
use crate::sys::{courier, socket};
use crate::task::attachment::Content;
use crate::wire::frame::{Assembler, Kind, MAX_FRAGMENT, Message};
use crate::wire::memory::MemoryBody;

fn memory(id: u64) -> Outgoing {
    let memory = SealedBytes::copy_of(&vec![7; id as usize + 1]).unwrap();
    Outgoing::attachment(id, &Content::Sealed(Arc::new(memory)))
}

fn task(id: u64, len: usize) -> Outgoing {
    Outgoing { body: vec![7; len].into(), ..Outgoing::new(Kind::Task, id) }
}

/// What leaves, through a carrier that takes `step` bytes at a time and no descriptor at first: the messages, and how many
/// bytes had left before each descriptor.
fn deliver(outbox: &mut Outbox, step: usize) -> (Vec<Message>, Vec<(usize, usize)>) {
    let (mut wire, mut boarded) = (BytesMut::new(), Vec::new());
    while !outbox.is_empty() {
        if let Some(passenger) = outbox.passenger() {
            assert_eq!(outbox.passenger().unwrap().memory.len(), passenger.memory.len(), "it waits");
            boarded.push((wire.len(), passenger.memory.len()));
            outbox.take_leave();
        }
        let (slices, count) = outbox.slices();
        let mut left = step;
        let before = wire.len();
        for slice in &slices[..count] {
            let take = slice.len().min(left);
            wire.extend_from_slice(&slice[..take]);
            left -= take;
        }
        let written = wire.len() - before;
        assert!(written > 0, "it goes on");
        outbox.advance(written);
    }
    let mut assembler = Assembler::new(1 << 30, Kind::FROM_PARENT);
    (std::iter::from_fn(|| assembler.push(&mut wire).unwrap()).collect(), boarded)
}

#[test]
fn each_descriptor_leaves_where_its_message_begins() {
    for step in [1, 10, 1000, MAX_FRAGMENT, usize::MAX] {
        let mut outbox = Outbox::default();
        let orders = [
            task(1, 10),
            memory(2),
            memory(3),
            task(4, 10),
            task(5, 3 * MAX_FRAGMENT),
            memory(6),
            Outgoing::new(Kind::Forget, 2),
            task(7, 5),
        ];
        for order in orders {
            outbox.accept(Order::Send(order));
        }
        let (messages, boarded) = deliver(&mut outbox, step);
        let ids: Vec<u64> = messages.iter().map(|message| message.id).collect();
        assert_eq!(ids, [1, 2, 3, 4, 6, 2, 5, 7], "what is small passes what is long, and no task does");
        assert!(
            messages
                .iter()
                .filter(|message| message.kind == Kind::Memory)
                .all(|message| { MemoryBody::decode(&message.body) == Some(MemoryBody::Comes(message.id + 1)) })
        );
        let starts = [26, 50, 100].into_iter().zip([3, 4, 7]).collect::<Vec<_>>();
        assert_eq!(boarded, starts, "in steps of {step}");
    }
}

#[test]
fn one_that_cannot_leave_is_told_of_and_the_others_leave() {
    let mut outbox = Outbox::default();
    outbox.accept(Order::Send(task(1, 10)));
    for id in 2..5 {
        outbox.accept(Order::Send(memory(id)));
    }
    let (slices, count) = outbox.slices();
    let first = slices[..count].iter().map(|slice| slice.len()).sum();
    outbox.advance(first);
    let passenger = outbox.passenger().unwrap();
    outbox.strand(&passenger, "there is no way".into());
    let (messages, boarded) = deliver(&mut outbox, 7);
    let bodies = messages.iter().map(|message| MemoryBody::decode(&message.body).unwrap());
    let lost = MemoryBody::Lost("there is no way".into());
    assert_eq!(bodies.collect::<Vec<_>>(), [lost, MemoryBody::Comes(4), MemoryBody::Comes(5)]);
    assert_eq!(boarded.iter().map(|(_, len)| *len).collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn few_descriptors_are_on_their_way_at_a_time() {
    let (ours, theirs) = socket::pair().unwrap();
    socket::narrow(&ours);
    let memory = SealedBytes::copy_of(b"bytes").unwrap();
    let send = || socket::send_with_fd(&ours, &[IoSlice::new(&[0])], memory.file().unwrap());
    let mut waiting = 0;
    for _ in 0..3 {
        let full = loop {
            match send() {
                Ok(_) => waiting += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        assert!((1..30).contains(&waiting), "{waiting}");
        while waiting > 0 {
            let (count, passenger) = courier::receive_some(&theirs, &mut [0; 100]).unwrap();
            assert_eq!((count, passenger.is_some()), (1, true), "each with a byte of its own");
            waiting -= 1;
        }
    }
}
