//! Participants that keep to the rules: how they come, work and go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::puppet::{Puppet, new_hub, until};
use crate::queue::broker::api::Question;
use crate::queue::hub::after::After;
use crate::queue::hub::api::Hub;
use crate::queue::hub::state::{Knock, State};
use crate::queue::key::{Key, QueueId, Role};
use crate::queue::link::{Transport, open};
use crate::queue::wire::ToHub;
use crate::sys::socket;

/// Sends so many numbered messages of a size from one to the other.
fn pass(from: &Puppet, to: &Puppet, slots: (u32, u32), count: u32, size: usize) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..count {
                let mut body = vec![n as u8; size];
                body[..4].copy_from_slice(&n.to_le_bytes());
                assert!(from.send(slots.0, n, &body));
            }
        });
        for n in 0..count {
            let body = to.recv(slots.1).expect("not cut off");
            assert_eq!((body.len(), &body[..4]), (size, &n.to_le_bytes()[..]));
            assert!(body[4..].iter().all(|byte| *byte == n as u8));
        }
    });
}

fn messages_cross(transport: Transport) {
    let hub = Hub::new(transport);
    let (root, one, two) = (Puppet::root(&hub), Puppet::remote(&hub), Puppet::remote(&hub));
    root.create(1, 7, 10);
    one.attach(3, 7, Role::Sender);
    two.attach(5, 7, Role::Receiver);
    // It would be given some ahead.
    root.detach(1, Role::Receiver);
    root.create(2, 8, 10);
    one.attach(4, 8, Role::Sender);
    pass(&one, &two, (3, 5), 2000, 8);
    pass(&one, &two, (3, 5), 20, 300_000);
    pass(&root, &two, (1, 5), 500, 64);
    pass(&one, &root, (4, 2), 500, 64);
    // Larger than any ring or socket.
    pass(&one, &two, (3, 5), 2, 5_000_000);
    pass(&one, &root, (4, 2), 2, 5_000_000);
}

#[test]
fn messages_cross_by_rings() {
    messages_cross(Transport::Ring);
}

#[test]
fn messages_cross_by_sockets() {
    messages_cross(Transport::Socket);
}

#[test]
fn the_thread_lives_while_somebody_else_is_there() {
    let hub = new_hub();
    for _ in 0..20 {
        assert!(!hub.has_thread());
        let one = Puppet::remote(&hub);
        one.create(1, 7, 1);
        assert!(hub.has_thread());
        let two = Puppet::remote(&hub);
        drop(one);
        two.create(1, 8, 1);
        assert!(two.send(1, 0, b"x"));
        assert_eq!(two.recv(1).as_deref(), Some(&b"x"[..]));
        drop(two);
        until(|| !hub.has_thread());
    }
}

/// A worker's worker is buried: that is said by the ring, and what was said before it by the socket is read at once, with
/// the bell. The thread of the hub, which that bell was to wake, sleeps on if this turn was not its own.
#[test]
fn a_bell_that_another_turn_has_read_is_asked_for_again() {
    let mut state = State::new(Transport::Ring);
    let mut after = After::default();
    let (ours, theirs) = socket::pair().unwrap();
    let id = state.number();
    state.turn(vec![Knock::Introduced { id, socket: ours }], None, &mut after);
    let one = Puppet::of(open(theirs).unwrap(), None);
    let _ward = one.introduce_unopened(5);
    state.turn(Vec::new(), None, &mut after);
    state.readable(id);
    state.turn(Vec::new(), None, &mut after);
    assert!(state.may_sleep());
    assert!(one.say(&ToHub::Buried { number: 5 }));
    // Not the thread's.
    assert!(!state.turn(Vec::new(), None, &mut after));
    assert!(state.has_taken_bells());
    assert!(!state.put_bells_back() && !state.has_taken_bells());
    one.create(1, 7, 1);
    state.readable(id);
    state.turn(Vec::new(), None, &mut after);
    assert!(state.has_taken_bells(), "nobody has rung: the thread would sleep on");
}

/// Whoever finds somebody at work leaves word, and relies on it: also on the thread in its last turn.
#[test]
fn the_thread_does_not_leave_what_it_was_asked_for() {
    let hub = new_hub();
    let asking: Arc<OnceLock<Arc<Puppet>>> = Arc::default();
    let (weak, then, asked) = (Arc::downgrade(&hub), Arc::clone(&asking), AtomicBool::new(false));
    let root = Puppet::root_with(&hub, move || {
        // Between the thread's last turn and its end.
        let (Some(root), Some(hub)) = (then.get(), weak.upgrade()) else { return };
        if asked.swap(true, Ordering::AcqRel) {
            return;
        }
        let question = ToHub::Ask { slot: 1, request: 5, question: Question::Len };
        let (header, body) = question.encode().unwrap();
        assert!(root.write(&header, &[&body]));
        hub.leave_word();
    });
    let root = Arc::new(root);
    root.create(1, 7, 1);
    let one = Puppet::remote(&hub);
    one.attach(3, 7, Role::Sender);
    one.ask(3, 1, Question::Len);
    root.detach(1, Role::Sender);
    assert!(asking.set(Arc::clone(&root)).is_ok());
    // The root is told that no sender is left.
    drop(one);
    assert_eq!(root.answer(5), 0);
}

#[test]
fn who_is_buried_is_gone_although_something_holds_its_socket() {
    let hub = new_hub();
    let one = Puppet::remote(&hub);
    one.create(1, 7, 1);
    let link = one.link.unwrap();
    // Its memory and socket are still there, as a forked grandchild's would be.
    hub.buried(link);
    one.until_gone();
    until(|| !hub.has_thread());
    // Again, and of one that is gone: nothing.
    hub.buried(link);
    until(|| !hub.has_thread());
}

#[test]
fn one_that_never_opens_its_link_can_go() {
    let hub = new_hub();
    let (ours, theirs) = socket::pair().unwrap();
    let link = hub.introduce(ours);
    drop(theirs);
    until(|| !hub.has_thread());
    hub.buried(link);
    until(|| !hub.has_thread());
}

#[test]
fn workers_of_workers_are_served_alike() {
    let hub = new_hub();
    let one = Puppet::remote(&hub);
    one.create(1, 7, 3);
    let inner = one.introduce(1);
    let innermost = inner.introduce(1);
    inner.attach(1, 7, Role::Sender);
    innermost.attach(9, 7, Role::Receiver);
    one.detach(1, Role::Receiver);
    pass(&inner, &innermost, (1, 9), 100, 8);
    // The middle one is buried without having gone.
    assert!(one.say(&ToHub::Buried { number: 1 }));
    inner.until_gone();
    pass(&one, &innermost, (1, 9), 100, 8);
    // It can be introduced again.
    let next = one.introduce(1);
    next.attach(1, 7, Role::Sender);
    pass(&next, &innermost, (1, 9), 10, 8);
    drop((one, inner, innermost, next));
    until(|| !hub.has_thread());
}

/// What a participant says may be read before that which caused it.
#[test]
fn a_handle_never_overtakes_its_queue() {
    let hub = new_hub();
    let makers: Vec<_> = (0..2).map(|_| Arc::new(Puppet::remote(&hub))).collect();
    let user = Puppet::remote(&hub);
    for n in 0..2000 {
        let maker = Arc::clone(&makers[n % 2]);
        let slot = n as u32;
        // Each waits for the other's record to have been written, as a handle waits to be given.
        maker.create(slot, 1000 + n as u64, 1);
        user.attach(slot, 1000 + n as u64, Role::Sender);
        assert!(user.send(slot, 0, b"x"));
        assert_eq!(user.ask(slot, 1, Question::Len), 1);
    }
}

/// An unknown queue is one that is gone: no reason to cut anybody off.
#[test]
fn what_nobody_knows_is_not_waited_for() {
    let hub = new_hub();
    let one = Puppet::remote(&hub);
    one.create(1, 7, 1);
    assert!(one.say(&ToHub::Attach { slot: 2, queue: QueueId(99), role: Role::Sender, key: Key(1) }));
    assert!(one.say(&ToHub::Adopt { parcel: Key(5) }));
    assert_eq!(one.ask(1, 3, Question::Len), 0);
}

#[test]
fn a_socket_can_be_opened_only_once_it_is_introduced() {
    let hub = new_hub();
    let (ours, theirs) = socket::pair().unwrap();
    let opened = std::thread::spawn(move || open(theirs).map(drop));
    assert!(!opened.is_finished());
    let _link = hub.introduce(ours);
    opened.join().unwrap().unwrap();
    until(|| !hub.has_thread());
}

#[test]
fn a_slot_is_used_again_once_it_is_free() {
    let hub = new_hub();
    let one = Puppet::remote(&hub);
    for queue in 0..50 {
        one.create(1, queue, 2);
        assert!(one.send(1, 0, b"taken") && one.send(1, 0, b"left behind"));
        assert_eq!(one.recv(1).as_deref(), Some(&b"taken"[..]));
        one.detach(1, Role::Sender);
        one.detach(1, Role::Receiver);
        one.until_freed(1);
    }
}

/// What another participant has written when somebody asks is part of the answer.
#[test]
fn an_answer_knows_all_that_was_written_before_the_question() {
    let hub = new_hub();
    let (one, two, root) = (Puppet::remote(&hub), Puppet::remote(&hub), Puppet::root(&hub));
    one.create(1, 7, 900);
    two.attach(1, 7, Role::Sender);
    root.attach(1, 7, Role::Sender);
    for n in 0..300 {
        assert!(two.send(1, n, b"x"));
        assert_eq!(one.ask(1, n, Question::Len), u64::from(2 * n + 1));
        assert!(one.send(1, n, b"x"));
        assert_eq!(root.ask(1, n, Question::Len), u64::from(2 * n + 2));
    }
}
