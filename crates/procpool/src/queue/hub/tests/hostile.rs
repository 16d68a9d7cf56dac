//! Participants that keep to no rule: each costs itself only.

use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};

use super::puppet::{Puppet, new_hub, until};
use crate::queue::broker::api::Question;
use crate::queue::key::{Key, QueueId, Role};
use crate::queue::link::{Written, open};
use crate::queue::wire::{Flags, HEADER_LEN, Header, Kind, ToHub};
use crate::sys::memory::SharedWords;
use crate::sys::socket;

/// Two that work, while a third does `what`, and is cut off.
fn others_go_on(what: impl FnOnce(&Puppet)) {
    let hub = new_hub();
    let (one, two, bad) = (Puppet::remote(&hub), Puppet::remote(&hub), Puppet::remote(&hub));
    one.create(1, 7, 4);
    two.attach(1, 7, Role::Receiver);
    one.detach(1, Role::Receiver);
    bad.attach(1, 7, Role::Sender);
    std::thread::scope(|scope| {
        scope.spawn(|| (0..500).for_each(|n: u32| assert!(one.send(1, n, &n.to_le_bytes()))));
        what(&bad);
        bad.until_gone();
        // What the bad one sent rightly may be among it.
        let mut next = 0u32;
        while next < 500 {
            let body = two.recv(1).expect("not cut off");
            if body[..] == next.to_le_bytes() {
                next += 1;
            } else {
                assert_eq!(body[..], b"bad!"[..]);
            }
        }
    });
    // No trace is left of it: another one can come.
    drop(bad);
    let next = Puppet::remote(&hub);
    next.attach(1, 7, Role::Sender);
    assert!(next.send(1, 0, b"good"));
    assert_eq!(two.recv(1).as_deref(), Some(&b"good"[..]));
    drop((one, two, next));
    until(|| !hub.has_thread());
}

#[test]
fn who_sends_without_a_credit_is_cut_off() {
    others_go_on(|bad| while bad.send_without_credit(1, 0, b"bad!") {});
}

/// It may have been given it by somebody who made it up: to it the queue is gone, and no more.
#[test]
fn a_wrong_key_opens_nothing() {
    let hub = new_hub();
    let (one, bad) = (Puppet::remote(&hub), Puppet::remote(&hub));
    one.create(1, 7, 4);
    assert!(one.send(1, 0, b"private"));
    assert!(bad.say(&ToHub::Attach { slot: 2, queue: QueueId(7), role: Role::Receiver, key: Key(12345) }));
    bad.wait_for(|bad| bad.end.board().state(2).drained.then_some(()));
    assert!(!bad.end.board().is_gone());
    assert_eq!(one.recv(1).as_deref(), Some(&b"private"[..]));
}

#[test]
fn who_names_a_slot_that_it_does_not_hold_is_cut_off() {
    others_go_on(|bad| {
        let _ = bad.say(&ToHub::Detach { slot: 4000, role: Role::Sender });
    });
}

#[test]
fn who_says_what_only_the_hub_says_is_cut_off() {
    others_go_on(|bad| {
        let _ = bad.write(&Header::whole(Kind::Freed, 1, 0), &[]);
        bad.end.ring_bell();
    });
}

#[test]
fn who_goes_on_with_what_never_began_is_cut_off() {
    others_go_on(|bad| {
        let _ = bad.write(&Header { kind: Kind::Send, flags: Flags::LAST, slot: 1, number: 3 }, &[b"rest"]);
        bad.end.ring_bell();
    });
}

#[test]
fn who_announces_too_much_is_cut_off() {
    others_go_on(|bad| {
        let header = Header { kind: Kind::Send, flags: Flags::FIRST, slot: 1, number: 3 };
        let _ = bad.write(&header, &[&u64::MAX.to_le_bytes(), b"a little of it"]);
        bad.end.ring_bell();
    });
}

#[test]
fn who_buries_strangers_is_cut_off() {
    others_go_on(|bad| {
        let _ = bad.say(&ToHub::Buried { number: 1 });
    });
}

#[test]
fn who_asks_without_end_is_cut_off_or_answered_but_stalls_nobody() {
    others_go_on(|bad| {
        for request in 0..200_000 {
            if !bad.say(&ToHub::Ask { slot: 1, request, question: Question::Join }) {
                return;
            }
        }
        panic!("it was let ask for ever");
    });
}

#[test]
fn who_looks_without_end_stalls_nobody() {
    others_go_on(|bad| {
        for _ in 0..200_000 {
            assert!(bad.say(&ToHub::Look { slot: 1 }));
        }
        let _ = bad.say(&ToHub::Buried { number: 1 });
    });
}

#[test]
fn who_introduces_without_end_is_cut_off() {
    // All of them on one socketpair's end: descriptors are not what is tested here.
    let hub = new_hub();
    let bad = Puppet::remote(&hub);
    let (ours, _theirs) = socket::pair().unwrap();
    for number in 0..3000 {
        if bad.end.introduce(number, ours.as_fd()) != Written::Whole {
            break;
        }
    }
    bad.until_gone();
    let good = Puppet::remote(&hub);
    good.create(1, 7, 1);
    assert!(good.send(1, 0, b"x"));
}

#[test]
fn who_introduces_no_socket_costs_itself_nothing_else() {
    let hub = new_hub();
    let one = Puppet::remote(&hub);
    let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    assert_eq!(one.end.introduce(1, null.as_fd()), Written::Whole);
    one.create(1, 7, 1);
    assert!(one.send(1, 0, b"x"));
    assert_eq!(one.recv(1).as_deref(), Some(&b"x"[..]));
}

#[test]
fn garbage_on_the_socket_ends_the_link() {
    let hub = new_hub();
    let good = Puppet::remote(&hub);
    good.create(1, 7, 1);
    for garbage in [&[0xff; 64][..], &[0; 64], b"GET / HTTP/1.1\r\n\r\n"] {
        let (ours, theirs) = socket::pair().unwrap();
        let copy = theirs.try_clone().unwrap();
        let _link = hub.introduce(ours);
        let bad = Puppet::of(open(theirs).unwrap(), None);
        socket::send(&copy, &[IoSlice::new(garbage)]).unwrap();
        bad.until_gone();
    }
    assert!(good.send(1, 0, b"x"));
    assert_eq!(good.recv(1).as_deref(), Some(&b"x"[..]));
}

#[test]
fn a_message_of_which_a_part_is_missing_never_arrives() {
    let hub = new_hub();
    let (one, two) = (Puppet::remote(&hub), Puppet::remote(&hub));
    one.create(1, 7, 4);
    two.attach(1, 7, Role::Sender);
    two.take_credit(1);
    let header = Header { kind: Kind::Send, flags: Flags::FIRST, slot: 1, number: 3 };
    assert!(two.write(&header, &[&100_000u64.to_le_bytes(), &[9; 50_000]]));
    drop(two);
    assert!(one.send(1, 0, b"whole"));
    assert_eq!(one.recv(1).as_deref(), Some(&b"whole"[..]));
}

/// Writes at random all over the memory that it shares with the hub, and rings.
#[test]
fn who_scribbles_on_all_that_it_shares_stalls_nobody() {
    let hub = new_hub();
    let (one, two) = (Puppet::remote(&hub), Puppet::remote(&hub));
    one.create(1, 7, 4);
    two.attach(1, 7, Role::Receiver);
    one.detach(1, Role::Receiver);
    for seed in 0..40u64 {
        let (ours, theirs) = socket::pair().unwrap();
        let link = hub.introduce(ours);
        let words = welcome(&theirs);
        let (bell, _) = ToHub::Bell.encode().unwrap();
        let (open, _) = ToHub::Open.encode().unwrap();
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let mut bytes = open.encode(0).to_vec();
        for _ in 0..2000 {
            // The head and the first entries, mostly.
            let at = if next() % 4 == 0 { next() as usize % words.len() } else { next() as usize % 256 };
            let value = if next() % 2 == 0 { next() } else { next() % 4096 };
            words[at].store(value, std::sync::atomic::Ordering::SeqCst);
            bytes.extend_from_slice(&bell.encode(0));
            // Until it is cut off.
            match socket::send(&theirs, &[IoSlice::new(&bytes)]) {
                Ok(count) => drop(bytes.drain(..count)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        assert!(one.send(1, 0, &seed.to_le_bytes()));
        assert_eq!(two.recv(1).as_deref(), Some(&seed.to_le_bytes()[..]));
        hub.buried(link);
    }
    drop((one, two));
    until(|| !hub.has_thread());
}

/// Takes the memory that comes with the welcome, without a link around it.
fn welcome(socket: &OwnedFd) -> SharedWords {
    let mut record = [0; HEADER_LEN];
    let (count, memory) = socket::recv_with_fd(socket, &mut record).unwrap();
    assert_eq!(count, HEADER_LEN);
    let memory = std::fs::File::from(memory.unwrap());
    let count = usize::try_from(memory.metadata().unwrap().len()).unwrap() / size_of::<u64>();
    SharedWords::map_received(memory.as_fd(), count).unwrap()
}
