//! A hub that is played by the test: what is written, in which order, and what becomes of everybody when the hub goes.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::scope;

use crate::queue::key::{Capability, QueueId, QueueState, Role, Shape};
use crate::queue::link::{HubEnd, Incoming, Written, private};
use crate::queue::wire::{MAX_FRAGMENT, ToClient, ToHub};

use super::super::core::Client;
use super::super::events::Rousing;
use super::super::{Asking, Broken, Ended, Question, Receiving, Refused, Reserving, Sending, Side, Taking};
use super::world::{message, number, poll_once, shape};

/// The hub, played.
struct Played {
    end: HubEnd,
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A waker that is foreign code at its worst.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

impl Played {
    /// `on_event` is the test's to call.
    fn new() -> (Played, Arc<Client>) {
        Played::rousing(Rousing::ByHub)
    }

    fn rousing(rousing: Rousing) -> (Played, Arc<Client>) {
        let (client, end) = private(Box::new(|| {})).unwrap();
        (Played { end }, Client::new(Arc::new(client), rousing))
    }

    /// Everything whole that has been written.
    fn read(&mut self) -> Vec<ToHub> {
        let mut read = Vec::new();
        let _ = self
            .end
            .read(&mut |incoming: Incoming| {
                read.push(ToHub::decode(&incoming.header, incoming.body).unwrap());
                ControlFlow::Continue(())
            })
            .unwrap();
        read
    }

    /// The numbers of the messages that have been written; whatever else was written is forgotten.
    fn sent(&mut self) -> Vec<u64> {
        let sent = |message| match message {
            ToHub::Send { body, .. } => Some(number(&body)),
            _ => None,
        };
        self.read().into_iter().filter_map(sent).collect()
    }

    fn deliver(&mut self, slot: u32, delivery: u32) {
        let (header, prefix) = ToClient::delivery(slot, delivery, 0, false);
        let body = message(delivery.into(), 16).body;
        self.end.board().allow(slot, delivery.into(), u64::from(delivery) + 1);
        assert_eq!(self.end.write(&header, &[&prefix, &body]), Written::Whole);
    }
}

fn received(result: Poll<Result<super::super::Received, Ended>>) -> Option<u64> {
    match result {
        Poll::Ready(Ok(received)) => Some(number(&received.body)),
        _ => None,
    }
}

#[test]
fn a_message_goes_with_a_credit_and_not_without() {
    let (mut hub, client) = Played::new();
    let (sender, _receiver) = client.create(shape(2)).unwrap();
    let mut sending = Sending::new(&sender, message(1, 8));
    assert!(poll_once(|context| sending.poll(context)).is_pending());
    let read = hub.read();
    assert!(matches!(read[..], [ToHub::Create { slot: 0, .. }, ToHub::Look { slot: 0 }]), "{read:?}");
    assert_eq!(hub.end.board().producer(0).waiting, 1);
    hub.end.board().grant(0, 2, 0);
    client.on_event();
    assert!(poll_once(|context| sending.poll(context)).is_ready());
    assert_eq!(hub.end.board().producer(0).waiting, 0);
    assert_eq!(Sending::new(&sender, message(2, 8)).wait(None), Ok(true));
    assert_eq!(hub.sent(), [1, 2]);
    assert_eq!(hub.end.board().producer(0).credits, 0);
}

#[test]
fn those_who_wait_for_room_are_served_in_their_order() {
    let (mut hub, client) = Played::new();
    let (sender, _receiver) = client.create(shape(9)).unwrap();
    let mut sends: Vec<_> = (0..3).map(|n| Sending::new(&sender, message(n, 8))).collect();
    for sending in &mut sends {
        assert!(poll_once(|context| sending.poll(context)).is_pending());
    }
    hub.end.board().grant(0, 2, 0);
    client.on_event();
    // Whoever comes later does not overtake the one that waits.
    let mut late = Sending::new(&sender, message(3, 8));
    assert!(poll_once(|context| late.poll(context)).is_pending());
    let ready: Vec<bool> = sends.iter_mut().map(|s| poll_once(|context| s.poll(context)).is_ready()).collect();
    assert_eq!(ready, [true, true, false]);
    hub.end.board().grant(0, 1, 0);
    client.on_event();
    assert!(poll_once(|context| late.poll(context)).is_pending());
    assert!(poll_once(|context| sends[2].poll(context)).is_ready());
    assert_eq!(hub.sent(), [0, 1, 2]);
}

#[test]
fn a_big_message_that_is_dropped_half_way_is_taken_back_and_others_go_in_between() {
    let (mut hub, client) = Played::new();
    let (sender, _receiver) = client.create(shape(9)).unwrap();
    let (other, _other_receiver) = client.create(shape(9)).unwrap();
    hub.end.board().grant(0, 1, 0);
    hub.end.board().grant(1, 1, 0);
    hub.read();
    let mut big = Sending::new(&sender, message(1, 20 * MAX_FRAGMENT));
    assert!(poll_once(|context| big.poll(context)).is_pending());
    // The ring is full. There is room after the hub has read; a message of another queue may take it.
    assert_eq!(hub.sent(), [0; 0]);
    assert_eq!(Sending::new(&other, message(2, 8)).wait(None), Ok(true));
    assert_eq!(hub.sent(), [2]);
    drop(big);
    assert!(hub.read().iter().all(|message| matches!(message, ToHub::Look { slot: 0 })));
    assert_eq!(hub.end.board().producer(0).credits, 1);
    // The hub would refuse what was not taken back properly.
    let mut next = Sending::new(&sender, message(3, 2 * MAX_FRAGMENT));
    assert!(poll_once(|context| next.poll(context)).is_ready());
    assert_eq!(hub.sent(), [3]);
}

#[test]
fn control_messages_wait_in_the_backlog_and_no_message_overtakes_them() {
    let (mut hub, client) = Played::new();
    let (sender, receiver) = client.create(shape(9)).unwrap();
    hub.end.board().grant(0, 2, 0);
    hub.read();
    let mut big = Sending::new(&sender, message(1, 20 * MAX_FRAGMENT));
    assert!(poll_once(|context| big.poll(context)).is_pending());
    // Fills what is left, and more.
    for delivery in 0..20_000 {
        receiver.ack(delivery).unwrap();
    }
    let count = Arc::new(Count::default());
    let mut small = Sending::new(&sender, message(2, 8));
    assert!(small.poll(&mut Context::from_waker(&Waker::from(Arc::clone(&count)))).is_pending());
    let mut read = Vec::new();
    while count.get() == 0 || read.len() < 20_000 {
        read.extend(hub.read());
        client.on_event();
    }
    assert!(
        read.iter()
            .enumerate()
            .all(|(n, message)| { matches!(*message, ToHub::Ack { delivery, .. } if delivery as usize == n) })
    );
    assert!(poll_once(|context| small.poll(context)).is_ready());
    assert_eq!(hub.sent(), [2]);
    drop(big);
}

#[test]
fn settling_waits_until_the_backlog_has_left() {
    for rousing in [Rousing::ByHub, Rousing::Own] {
        let (mut hub, client) = Played::rousing(rousing);
        let (_sender, receiver) = client.create(shape(9)).unwrap();
        for delivery in 0..40_000 {
            receiver.ack(delivery).unwrap();
        }
        scope(|scope| {
            let settling = scope.spawn(|| client.settle());
            let mut read = 0;
            while read <= 40_000 {
                read += hub.read().len();
                if hub.end.room_is_wanted() {
                    hub.end.rouse();
                    if rousing == Rousing::ByHub {
                        client.on_event();
                    }
                }
            }
            settling.join().unwrap();
        });
        client.settle();
    }
}

#[test]
fn receivers_are_served_in_their_order_and_stale_deliveries_are_dropped() {
    let (mut hub, client) = Played::new();
    let (_sender, receiver) = client.create(shape(9)).unwrap();
    let mut waiting: Vec<_> = (0..3).map(|_| Receiving::new(&receiver, Taking::Done)).collect();
    for receiving in &mut waiting {
        assert!(poll_once(|context| receiving.poll(context)).is_pending());
    }
    assert_eq!(hub.end.board().consumer(0).waiting, 3);
    hub.deliver(0, 0);
    hub.deliver(0, 1);
    client.on_event();
    // Both are taken back, before anybody has come for them, and other numbers follow.
    assert_eq!(hub.end.board().revoke(0, 0), 0);
    assert!(poll_once(|context| waiting[0].poll(context)).is_pending());
    hub.deliver(0, 2);
    client.on_event();
    let mut late = Receiving::new(&receiver, Taking::Done);
    assert!(poll_once(|context| late.poll(context)).is_pending());
    assert!(poll_once(|context| waiting[1].poll(context)).is_pending());
    assert_eq!(received(poll_once(|context| waiting[0].poll(context))), Some(2));
    assert_eq!(hub.end.board().consumer(0).waiting, 3);
    // The next in line goes: the one after it is woken for what had come.
    let count = Arc::new(Count::default());
    assert!(waiting[2].poll(&mut Context::from_waker(&Waker::from(Arc::clone(&count)))).is_pending());
    hub.deliver(0, 3);
    client.on_event();
    assert_eq!(count.get(), 0);
    drop(waiting.remove(1));
    assert_eq!(count.get(), 1);
    assert_eq!(received(poll_once(|context| waiting[1].poll(context))), Some(3));
}

#[test]
fn a_plain_receive_acknowledges_before_it_claims() {
    let (mut hub, client) = Played::new();
    let (_sender, receiver) = client.create(shape(9)).unwrap();
    (0..3).for_each(|n| hub.deliver(0, n));
    assert!(Receiving::new(&receiver, Taking::Done).attempt().unwrap().is_some());
    assert_eq!(hub.end.board().consumer(0).acked_from, None);
    let first = Receiving::new(&receiver, Taking::ToAcknowledge).attempt().unwrap().unwrap();
    assert_eq!((first.delivery, hub.end.board().consumer(0).acked_from), (1, Some(1)));
    hub.read();
    assert_eq!(Receiving::new(&receiver, Taking::Done).attempt().unwrap().unwrap().delivery, 2);
    assert_eq!(hub.read(), [ToHub::Ack { slot: 0, delivery: 2 }]);
    receiver.ack(first.delivery).unwrap();
    assert_eq!(hub.read(), [ToHub::Ack { slot: 0, delivery: 1 }]);
}

#[test]
fn the_hub_is_told_when_what_it_asked_for_has_been_claimed() {
    let (mut hub, client) = Played::new();
    let (_sender, receiver) = client.create(shape(9)).unwrap();
    (0..3).for_each(|n| hub.deliver(0, n));
    let _ = hub.end.board().arm(0, 2);
    let take = || Receiving::new(&receiver, Taking::Done).attempt().unwrap().unwrap().delivery;
    hub.read();
    assert_eq!((take(), hub.read().len()), (0, 0));
    assert_eq!(take(), 1);
    assert_eq!(hub.read(), [ToHub::Look { slot: 0 }]);
    assert_eq!((take(), hub.read().len()), (2, 0));
}

#[test]
fn questions_are_answered_or_taken_back() {
    let (mut hub, client) = Played::new();
    let (sender, _receiver) = client.create(shape(9)).unwrap();
    hub.read();
    let mut join = Asking::new(&sender, Question::Join);
    let mut len = Asking::new(&sender, Question::Len);
    assert!(poll_once(|context| join.poll(context)).is_pending());
    assert!(poll_once(|context| len.poll(context)).is_pending());
    let asked = hub.read();
    let [ToHub::Ask { request: first, .. }, ToHub::Ask { request: second, .. }] = asked[..] else {
        panic!("{asked:?}");
    };
    let (header, body) = ToClient::answer(second, 7);
    assert_eq!(hub.end.write(&header, &[&body]), Written::Whole);
    assert_eq!(poll_once(|context| len.poll(context)), Poll::Ready(Ok(7)));
    drop(len);
    drop(join);
    assert_eq!(hub.read(), [ToHub::Unask { request: first }]);
}

#[test]
fn a_slot_is_used_again_once_it_has_been_freed() {
    let (mut hub, client) = Played::new();
    let (sender, receiver) = client.create(shape(9)).unwrap();
    let capability = sender.capability();
    let same = client.attach(&capability).unwrap();
    hub.read();
    drop((sender, receiver));
    assert_eq!(hub.read(), [ToHub::Detach { slot: 0, role: Role::Receiver }]);
    drop(same);
    assert_eq!(hub.read(), [ToHub::Detach { slot: 0, role: Role::Sender }]);
    let slot_of = |hub: &mut Played| match hub.read()[..] {
        [ToHub::Attach { slot, .. }] => slot,
        ref other => panic!("{other:?}"),
    };
    let again = client.attach(&capability).unwrap();
    assert_eq!(slot_of(&mut hub), 1);
    assert_eq!(hub.end.write(&ToClient::freed(0), &[]), Written::Whole);
    client.on_event();
    let receiver = Capability { queue: QueueId(77), ..capability };
    let _third = client.attach(&receiver).unwrap();
    assert_eq!(slot_of(&mut hub), 0);
    drop(again);
}

/// Everything that can wait.
struct Everybody {
    sending: Sending,
    big: Sending,
    reserving: Reserving,
    receiving: Receiving,
    asking: Asking,
}

impl Everybody {
    fn wait_for(hub: &mut Played, sender: &Side, receiver: &Side, bigs: &Side) -> Everybody {
        hub.end.board().grant(1, 1, 0);
        Everybody {
            sending: Sending::new(sender, message(1, 8)),
            big: Sending::new(bigs, message(2, 20 * MAX_FRAGMENT)),
            reserving: Reserving::new(sender),
            receiving: Receiving::new(receiver, Taking::Done),
            asking: Asking::new(sender, Question::Join),
        }
    }

    fn poll(&mut self, waker: &Waker) -> [Option<Option<Broken>>; 5] {
        let mut context = Context::from_waker(waker);
        let refused = |refused| match refused {
            Refused::Broken(broken) => Some(broken),
            _ => None,
        };
        let ended = |ended| match ended {
            Ended::Broken(broken) => Some(broken),
            _ => None,
        };
        fn ready<T, E>(poll: Poll<Result<T, E>>, why: impl FnOnce(E) -> Option<Broken>) -> Option<Option<Broken>> {
            match poll {
                Poll::Ready(result) => Some(result.err().and_then(why)),
                Poll::Pending => None,
            }
        }
        [
            ready(self.sending.poll(&mut context), refused),
            ready(self.receiving.poll(&mut context), ended),
            ready(self.asking.poll(&mut context), Some),
            ready(self.reserving.poll(&mut context), refused),
            ready(self.big.poll(&mut context), refused),
        ]
    }
}

#[test]
fn a_hub_that_goes_is_an_error_for_everybody() {
    let (mut hub, client) = Played::new();
    let (sender, receiver) = client.create(shape(9)).unwrap();
    let (bigs, _bigs_receiver) = client.create(shape(9)).unwrap();
    let mut everybody = Everybody::wait_for(&mut hub, &sender, &receiver, &bigs);
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    assert_eq!(everybody.poll(&waker), [const { None }; 5]);
    let before = count.get();
    hub.end.set_gone();
    client.on_event();
    // Five that wait, each in one line.
    assert_eq!(count.get() - before, 5);
    for broken in everybody.poll(&waker) {
        assert!(broken.flatten().is_some_and(|broken| broken.to_string().contains("broker")));
    }
    assert!(matches!(client.create(shape(1)), Err(Broken(_))));
    assert!(receiver.ack(0).is_err());
}

/// The same for threads, which nobody calls.
#[test]
fn a_hub_that_goes_wakes_all_threads() {
    let (hub, client) = Played::rousing(Rousing::Own);
    let (sender, receiver) = client.create(shape(9)).unwrap();
    let started = Arc::new(AtomicUsize::new(0));
    scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                started.fetch_add(1, Ordering::SeqCst);
                assert!(matches!(Sending::new(&sender, message(1, 8)).wait(None), Err(Refused::Broken(_))));
            });
            scope.spawn(|| {
                started.fetch_add(1, Ordering::SeqCst);
                assert!(matches!(Receiving::new(&receiver, Taking::Done).wait(None), Err(Ended::Broken(_))));
            });
        }
        while started.load(Ordering::SeqCst) < 6 {
            std::thread::yield_now();
        }
        hub.end.set_gone();
    });
}

#[test]
fn a_waker_that_panics_hurts_nobody() {
    let (mut hub, client) = Played::new();
    let (_sender, receiver) = client.create(shape(9)).unwrap();
    let mut first = Receiving::new(&receiver, Taking::Done);
    let mut second = Receiving::new(&receiver, Taking::Done);
    let count = Arc::new(Count::default());
    assert!(first.poll(&mut Context::from_waker(&Waker::from(Arc::new(Panics)))).is_pending());
    assert!(second.poll(&mut Context::from_waker(&Waker::from(Arc::clone(&count)))).is_pending());
    hub.deliver(0, 0);
    hub.deliver(0, 1);
    client.on_event();
    assert_eq!(count.get(), 1);
    assert_eq!(received(poll_once(|context| first.poll(context))), Some(0));
    assert_eq!(received(poll_once(|context| second.poll(context))), Some(1));
}

/// A waker whose end is the end of another receiver at the same queue: foreign code that comes back here.
#[test]
fn a_waker_may_come_back_when_it_is_called_or_dropped() {
    struct Comes(std::sync::Mutex<Option<Receiving>>);
    impl Wake for Comes {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
        }
    }
    let (mut hub, client) = Played::new();
    let (_sender, receiver) = client.create(shape(9)).unwrap();
    let waiting = || {
        let mut other = Receiving::new(&receiver, Taking::Done);
        assert!(poll_once(|context| other.poll(context)).is_pending());
        Waker::from(Arc::new(Comes(std::sync::Mutex::new(Some(other)))))
    };
    let mut first = Receiving::new(&receiver, Taking::Done);
    assert!(first.poll(&mut Context::from_waker(&waiting())).is_pending());
    // Replaced, and so dropped.
    assert!(first.poll(&mut Context::from_waker(&waiting())).is_pending());
    hub.deliver(0, 0);
    client.on_event();
    drop(first);
    let mut last = Receiving::new(&receiver, Taking::Done);
    assert_eq!(received(poll_once(|context| last.poll(context))), Some(0));
}

#[test]
fn a_queue_that_ends_ends_those_who_wait() {
    let (mut hub, client) = Played::new();
    let (sender, receiver) = client.create(shape(9)).unwrap();
    let mut sending = Sending::new(&sender, message(1, 8));
    let mut receiving = Receiving::new(&receiver, Taking::Done);
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    assert!(sending.poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(receiving.poll(&mut Context::from_waker(&waker)).is_pending());
    hub.end.board().show(0, QueueState { closed: true, ..QueueState::default() });
    client.on_event();
    assert_eq!(count.get(), 1);
    assert_eq!(poll_once(|context| sending.poll(context)), Poll::Ready(Err(Refused::Closed)));
    assert!(receiving.poll(&mut Context::from_waker(&waker)).is_pending());
    hub.end.board().show(0, QueueState { closed: true, drained: true, ..QueueState::default() });
    client.on_event();
    assert_eq!(count.get(), 2);
    assert_eq!(poll_once(|context| receiving.poll(context)), Poll::Ready(Err(Ended::Closed)));
}

#[test]
fn what_is_too_long_is_refused_at_once() {
    let (_hub, client) = Played::new();
    let limited = Shape { capacity: 4, bytes: Some(100), max_message: 50 };
    let (sender, _receiver) = client.create(limited).unwrap();
    let refused = Err(Refused::TooLarge { len: 51, limit: 50 });
    assert_eq!(Sending::new(&sender, message(1, 51)).attempt(), refused);
    assert_eq!(Sending::new(&sender, message(1, 51)).wait(None), refused);
    assert_eq!(
        poll_once(|context| Sending::new(&sender, message(1, 51)).poll(context)),
        Poll::Ready(refused.map(|_| ()))
    );
}
