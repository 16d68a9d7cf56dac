//! What is written comes, whole and in order, over every kind of link.

use std::cell::Cell;
use std::ops::ControlFlow;

use proptest::prelude::*;

use super::super::layout::RING_WORDS;
use super::super::ring::{RingReader, RingWriter, Way};
use super::{Drained, Incoming, Mode, Written, bytes, each_mode, link, memory, read_until, write};
use crate::queue::wire::{Cuts, Flags, HEADER_LEN, Header, Kind, MAX_FRAGMENT, ToHub};

each_mode!(
    a_million_small_records_go_up,
    many_records_go_down,
    big_messages_do_not_stall_small_ones,
    big_messages_go_down_in_turns,
    an_aborted_message_does_not_come,
    an_intake_that_has_enough_misses_nothing,
    records_of_every_length_cross,
    a_full_pipe_takes_no_part_of_a_record,
);

fn a_million_small_records_go_up(mode: Mode) {
    let count: u32 = if mode == Mode::Ring { 1_000_000 } else { 50_000 };
    let (client, mut hub) = link(mode);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..count {
                let body = number.to_le_bytes();
                write(&client, &Header::whole(Kind::Send, number % 4096, number), &[&body[..number as usize % 5]]);
            }
        });
        let got = Cell::new(0);
        hub.read_until(
            |incoming| {
                let number = got.replace(got.get() + 1);
                assert_eq!(incoming.header, Header::whole(Kind::Send, number % 4096, number));
                assert_eq!(incoming.body, number.to_le_bytes()[..number as usize % 5]);
                assert!(incoming.passenger.is_none());
            },
            || got.get() == count,
        );
    });
}

fn many_records_go_down(mode: Mode) {
    let count = 50_000;
    let (client, mut hub) = link(mode);
    std::thread::scope(|scope| {
        let client = scope.spawn(move || {
            let got = Cell::new(0u32);
            read_until(
                &client,
                |incoming| {
                    let number = got.replace(got.get() + 1);
                    assert_eq!(incoming.header, Header::whole(Kind::Deliver, 9, number));
                    assert_eq!(incoming.body, bytes(number as usize % 100, number));
                },
                || got.get() == count,
            );
            client
        });
        for number in 0..count {
            let header = Header::whole(Kind::Deliver, 9, number);
            hub.write(&header, &[&bytes(number as usize % 100, number)]);
            if number % 7 == 0 {
                hub.end.rouse();
            }
        }
        hub.end.rouse();
        // A socket may still hold a part of the last back, which goes when the client has made room.
        while !client.is_finished() {
            let _ = hub.read(&mut |incoming: Incoming| panic!("{incoming:?}"));
            hub.end.rouse();
            std::thread::yield_now();
        }
        client.join().unwrap();
    });
}

const BIG: usize = 16 << 20;

fn big_messages_do_not_stall_small_ones(mode: Mode) {
    let (client, mut hub) = link(mode);
    let done = std::sync::atomic::AtomicBool::new(false);
    let (small, big) = (Cell::new(0), Cell::new(0));
    let between = Cell::new(0);
    std::thread::scope(|scope| {
        for stream in 0..2u32 {
            let client = &client;
            scope.spawn(move || {
                let payload = bytes(BIG, stream);
                let mut cuts = Cuts::new(Header::whole(Kind::Send, 1, stream), 0, BIG);
                while let Some(cut) = cuts.current() {
                    write(client, &cut.header, &cut.parts(&[], &payload));
                    cuts.advance();
                }
            });
        }
        scope.spawn(|| {
            let mut number = 0u32;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                write(&client, &Header::whole(Kind::Send, 2, number), &[&number.to_le_bytes()]);
                number += 1;
            }
        });
        hub.read_until(
            |incoming| {
                if incoming.header.slot == 2 {
                    assert_eq!(incoming.header.number, small.replace(small.get() + 1));
                    assert_eq!(incoming.body, incoming.header.number.to_le_bytes()[..]);
                    between.set(between.get() + u32::from(big.get() < 2));
                } else {
                    assert!(incoming.body == bytes(BIG, incoming.header.number));
                    big.set(big.get() + 1);
                    // Those that waited for the write lock just now come yet.
                    done.store(big.get() == 2, std::sync::atomic::Ordering::Relaxed);
                }
            },
            || big.get() == 2,
        );
        // The writer of small ones must not be left waiting for room.
        let _ = hub.read(&mut |_| ControlFlow::Continue(()));
        hub.end.rouse();
    });
    assert!(between.get() > 0);
}

fn big_messages_go_down_in_turns(mode: Mode) {
    let (client, mut hub) = link(mode);
    let lengths = [BIG, 3 << 20, 70_000, 5];
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let order = std::cell::RefCell::new(Vec::new());
            read_until(
                &client,
                |incoming| {
                    let slot = incoming.header.slot;
                    assert!(incoming.body == bytes(lengths[slot as usize], slot));
                    order.borrow_mut().push(slot);
                },
                || order.borrow().len() == lengths.len(),
            );
            order.into_inner()
        });
        let mut all: Vec<_> = (0..lengths.len())
            .map(|n| {
                let header = Header::whole(Kind::Deliver, n as u32, 8);
                (Cuts::new(header, 0, lengths[n]), bytes(lengths[n], n as u32))
            })
            .collect();
        while all.iter().any(|(cuts, _)| cuts.current().is_some()) {
            for (cuts, payload) in &mut all {
                let Some(cut) = cuts.current() else { continue };
                hub.write(&cut.header, &cut.parts(&[], payload));
                cuts.advance();
            }
            hub.end.rouse();
        }
        while !reader.is_finished() {
            let _ = hub.read(&mut |incoming: Incoming| panic!("{incoming:?}"));
            hub.end.rouse();
            std::thread::yield_now();
        }
        assert_eq!(reader.join().unwrap(), [3, 2, 1, 0]);
    });
}

fn an_aborted_message_does_not_come(mode: Mode) {
    let (client, mut hub) = link(mode);
    let payload = bytes(150_000, 1);
    let header = Header::whole(Kind::Send, 1, 77);
    let mut cuts = Cuts::new(header, 0, payload.len());
    let mut got = Vec::new();
    for _ in 0..2 {
        let cut = cuts.current().unwrap();
        write(&client, &cut.header, &cut.parts(&[], &payload));
        cuts.advance();
        got.clear();
        let _ = hub.read(&mut |incoming: Incoming| {
            got.push(incoming);
            ControlFlow::Continue(())
        });
        assert!(got.is_empty());
    }
    assert!(cuts.is_partial());
    write(&client, &header.abort(), &[]);
    write(&client, &header, &[b"instead"]);
    let count = Cell::new(0);
    hub.read_until(
        |incoming| {
            assert_eq!((incoming.header, &incoming.body[..]), (header, &b"instead"[..]));
            count.set(1);
        },
        || count.get() == 1,
    );
}

fn an_intake_that_has_enough_misses_nothing(mode: Mode) {
    let (client, mut hub) = link(mode);
    for number in 0..1000 {
        write(&client, &Header::whole(Kind::Look, 1, number), &[]);
    }
    let mut next = 0;
    while next < 1000 {
        let before = next;
        let drained = hub.end.read(&mut |incoming: Incoming| {
            assert_eq!(incoming.header.number, next);
            next += 1;
            if next % 7 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(next - before <= 7);
        if next % 7 == 0 {
            assert_eq!(drained.unwrap(), Drained::More);
            assert!(next == 1000 || mode == Mode::Socket && next > 990 || hub.end.has_input());
        }
    }
    assert!(!hub.end.has_input());
}

fn records_of_every_length_cross(mode: Mode) {
    let (client, mut hub) = link(mode);
    let lengths: Vec<usize> =
        (0..70).chain((4000..4200).step_by(3)).chain([8192, 65_528, 65_535, MAX_FRAGMENT]).cycle().take(1500).collect();
    for (number, len) in lengths.iter().enumerate() {
        // In parts that are not whole words.
        let body = bytes(*len, number as u32);
        let (first, rest) = body.split_at(number % (len + 1));
        let (second, third) = rest.split_at(rest.len() / 3);
        write(&client, &Header::whole(Kind::Send, 1, number as u32), &[first, second, third]);
        let got = Cell::new(false);
        hub.read_until(
            |incoming| {
                assert_eq!(incoming.header.number, number as u32);
                assert!(incoming.body == body);
                got.set(true);
            },
            || got.get(),
        );
    }
}

fn a_full_pipe_takes_no_part_of_a_record(mode: Mode) {
    let (client, mut hub) = link(mode);
    let body = bytes(40_000, 1);
    let mut written = 0;
    // The hub never waits, on a socket either.
    while hub.end.write(&Header::whole(Kind::Deliver, 1, written), &[&body]) == Written::Whole {
        written += 1;
    }
    hub.end.want_room();
    assert_eq!(hub.end.write(&Header::whole(Kind::Deliver, 1, written), &[&body]), Written::Full);
    let mut got = 0;
    let mut take = |incoming: Incoming| {
        assert_eq!(incoming.header.number, got);
        assert!(incoming.body == body);
        got += 1;
        ControlFlow::Continue(())
    };
    while client.read(&mut take).unwrap() != Drained::All {}
    client.made_room();
    // The bell that was asked for.
    hub.sleep();
    let _ = hub.read(&mut |incoming: Incoming| panic!("{incoming:?}"));
    while client.read(&mut take).unwrap() != Drained::All {}
    assert_eq!(got, written);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Any lengths, in any parts, with any number of records in the ring.
    #[test]
    fn a_ring_carries_any_records_over_its_end(
        records in proptest::collection::vec((0..60_000usize, any::<[u16; 2]>(), 1..4usize), 30..60),
    ) {
        let memory = memory();
        let mut writer = RingWriter::new(memory.clone(), Way::Down);
        let mut reader = RingReader::new(memory, Way::Down);
        let mut there = std::collections::VecDeque::new();
        for (number, (len, cuts, batch)) in records.into_iter().enumerate() {
            let body = bytes(len, number as u32);
            let (rest, third) = body.split_at(usize::from(cuts[0]).min(len));
            let (first, second) = rest.split_at(usize::from(cuts[1]).min(rest.len()));
            let header = Header::whole(Kind::Send, 1, number as u32);
            prop_assert!(writer.write(&header, &[first, second, third]).unwrap());
            there.push_back((header, body));
            if there.len() < batch {
                continue;
            }
            let tail = reader.tail().unwrap();
            while let Some(mut records) = reader.read(tail).unwrap() {
                while let Some((header, body)) = records.next().unwrap() {
                    let expected = there.pop_front().unwrap();
                    prop_assert!((header, &body[..]) == (expected.0, &expected.1[..]));
                }
            }
            prop_assert!(there.is_empty() && !reader.has_input());
        }
    }
}

#[test]
fn a_ring_holds_so_many_of_the_longest_records_and_then_no_part_of_another() {
    let memory = memory();
    let mut writer = RingWriter::new(memory.clone(), Way::Up);
    let mut reader = RingReader::new(memory, Way::Up);
    let body = bytes(MAX_FRAGMENT, 1);
    let most = (RING_WORDS * 8 / (HEADER_LEN + MAX_FRAGMENT)) as u32;
    for _ in 0..10 {
        for number in 0..most {
            assert!(writer.write(&Header::whole(Kind::Send, 1, number), &[&body]).unwrap());
        }
        assert!(!writer.write(&Header::whole(Kind::Send, 1, most), &[&body]).unwrap());
        let tail = reader.tail().unwrap();
        let mut count = 0;
        while let Some(mut records) = reader.read(tail).unwrap() {
            while let Some((header, got)) = records.next().unwrap() {
                assert!((header.number, &got[..]) == (count, &body[..]));
                count += 1;
            }
        }
        assert_eq!(count, most);
    }
}

#[test]
fn what_is_written_under_one_lock_stays_together() {
    let (client, mut hub) = link(Mode::Private);
    std::thread::scope(|scope| {
        for thread in 0..2u32 {
            let client = &client;
            scope.spawn(move || {
                for _ in 0..1000 {
                    let mut writer = client.writer();
                    for number in 0..3 {
                        let (header, body) = ToHub::Ack { slot: thread, delivery: number }.encode().unwrap();
                        assert_eq!(header.flags, Flags::WHOLE);
                        assert_eq!(writer.write(&header, &[&body]), Written::Whole);
                    }
                    drop(writer);
                    client.ring_bell();
                }
            });
        }
        let got = Cell::new((0, 0));
        hub.read_until(
            |incoming| {
                let (count, slot) = got.get();
                assert_eq!(incoming.header.number, count % 3);
                assert!(count % 3 == 0 || incoming.header.slot == slot);
                got.set((count + 1, incoming.header.slot));
            },
            || got.get().0 == 6000,
        );
    });
}
