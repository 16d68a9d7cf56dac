//! One queue at a time: what each call of its handles says and does.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use procpool::queue::{
    self, AckError, Delivery, Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender, TryRecvError,
    TrySendError,
};
use procpool::{JoinHandle, Pool, Process, QueueCall, call};
use procpool_tests::queues::{Item, consume, items, produce, until_in};
use procpool_tests::{Gate, Signal, send, test, until, visit};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};

/// Short, and never what a result depends on.
const SHORT: Duration = Duration::from_millis(20);

fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).build().unwrap()
}

/// What all the calls that do not wait for ever say of a queue of capacity 2, from inside of a worker.
fn look_at(sender: Sender<u32>, receiver: Receiver<u32>) {
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty)));
    assert!(matches!(receiver.recv_timeout_blocking(SHORT), Err(RecvTimeoutError::TimedOut)));
    sender.try_send(1).unwrap();
    sender.send_timeout_blocking(2, SHORT).unwrap();
    assert!(matches!(sender.try_send(3), Err(TrySendError::Full(3))));
    assert!(matches!(sender.send_timeout_blocking(3, SHORT), Err(SendTimeoutError::TimedOut(3))));
    assert_eq!(receiver.recv_timeout_blocking(SHORT).unwrap(), 1);
    sender.try_send(3).unwrap();
    assert_eq!((receiver.try_recv().unwrap(), receiver.recv_blocking().unwrap()), (2, 3));
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty)));
}

async fn full_and_empty() {
    let (sender, receiver) = queue::bounded::<u32>(2);
    assert_eq!((sender.capacity(), receiver.capacity()), (2, 2));
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty)));
    assert!(matches!(receiver.recv_timeout(SHORT).await, Err(RecvTimeoutError::TimedOut)));
    sender.send(1).await.unwrap();
    sender.send_timeout(2, SHORT).await.unwrap();
    assert_eq!((sender.len().await.unwrap(), receiver.len().await.unwrap()), (2, 2));
    assert!(matches!(sender.try_send(3), Err(TrySendError::Full(3))));
    assert!(matches!(sender.send_timeout(3, SHORT).await, Err(SendTimeoutError::TimedOut(3))));
    assert_eq!(receiver.try_recv().unwrap(), 1);
    sender.try_send(3).unwrap();
    assert_eq!((receiver.recv_timeout(SHORT).await.unwrap(), receiver.recv().await.unwrap()), (2, 3));
    let pool = pool(1);
    drop((sender, receiver));
    let (sender, receiver) = queue::bounded::<u32>(2);
    pool.run(call!(look_at(sender, receiver.clone()))).await.unwrap();
    assert!(matches!(receiver.recv().await, Err(RecvError::Disconnected)));
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn behaviour_46_full_empty_and_out_of_time() {
        full_and_empty().await;
    }
}

/// Waits until so many messages wait.
fn until_full(receiver: &Receiver<Item>, count: usize) {
    until("the queue is full", || receiver.len_blocking().unwrap() == count);
}

fn send_until_closed(sender: Sender<Item>, producer: u32) -> u32 {
    (0..).take_while(|&number| sender.send_blocking((producer, number)).is_ok()).count() as u32
}

async fn closed_and_disconnected() {
    let pool = pool(2);
    // Closed: what was sent is received, then the end.
    let (sender, receiver) = queue::bounded::<Item>(4);
    let producer = pool.spawn(call!(send_until_closed(sender.clone(), 0)));
    until_full(&receiver, 4);
    until_in(&pool, QueueCall::Sending, 1);
    receiver.close();
    assert!(receiver.is_closed());
    assert_eq!(producer.await.unwrap(), 4);
    assert!(matches!(sender.send((1, 0)).await, Err(SendError::Closed((1, 0)))));
    assert!(matches!(sender.try_send((1, 0)), Err(TrySendError::Closed((1, 0)))));
    for number in 0..4 {
        assert_eq!(receiver.recv().await.unwrap(), (0, number));
    }
    assert!(matches!(receiver.recv().await, Err(RecvError::Closed)));
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Closed)));
    // No receiver is left.
    let (sender, receiver) = queue::bounded::<Item>(4);
    let producer = pool.spawn(call!(send_until_closed(sender.clone(), 0)));
    until_full(&receiver, 4);
    until_in(&pool, QueueCall::Sending, 1);
    drop(receiver);
    assert_eq!(producer.await.unwrap(), 4);
    assert!(matches!(sender.send((1, 0)).await, Err(SendError::Disconnected((1, 0)))));
    // No sender is left.
    let (sender, receiver) = queue::bounded::<Item>(4);
    let consumer = pool.spawn(call!(consume(receiver)));
    until_in(&pool, QueueCall::Receiving, 1);
    sender.send((0, 0)).await.unwrap();
    drop(sender);
    assert_eq!(consumer.await.unwrap(), [(0, 0)]);
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn closed_and_disconnected_are_told_apart() {
        closed_and_disconnected().await;
    }
}

/// Receives and acknowledges all there is; how many that were, and how many of them came again.
fn acknowledge_all(receiver: Receiver<u32>) -> (Vec<u32>, u32) {
    let (mut seen, mut again) = (Vec::new(), 0);
    while let Ok(mut delivery) = receiver.recv_acked_blocking() {
        again += u32::from(delivery.redelivered() > 0);
        seen.push(*delivery);
        delivery.ack().unwrap();
        assert!(matches!(delivery.ack(), Err(AckError::AlreadyAcknowledged)));
    }
    (seen, again)
}

/// Takes so many and never acknowledges them.
fn hoard(receiver: Receiver<u32>, count: usize, gate: String) {
    let hoard: Vec<Delivery<u32>> = (0..count).map(|_| receiver.recv_acked_blocking().unwrap()).collect();
    visit(gate, hoard.len() as u64);
}

async fn joinable() {
    let pool = pool(4);
    let (sender, receiver) = queue::bounded::<u32>(10);
    let consumers: Vec<JoinHandle<_>> = (0..4).map(|_| pool.spawn(call!(acknowledge_all(receiver.clone())))).collect();
    for item in 0..10 {
        sender.send(item).await.unwrap();
    }
    sender.join().await.unwrap();
    assert_eq!(receiver.len().await.unwrap(), 0);
    sender.close();
    let mut all = Vec::new();
    for consumer in consumers {
        let (seen, again) = consumer.await.unwrap();
        assert_eq!(again, 0);
        all.extend(seen);
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(0..10));
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn behaviour_47_ten_items_acknowledged_by_four_consumers() {
        joinable().await;
    }
}

async fn unacknowledged_at_death() {
    let gate = Gate::new();
    let (pool, hoarders) = (pool(1), pool(1));
    let (sender, receiver) = queue::bounded::<u32>(10);
    let hoarder = {
        let (receiver, path) = (receiver.clone(), gate.path());
        hoarders.spawn(call!(hoard(receiver, 3, path)))
    };
    for item in 0..10 {
        sender.send(item).await.unwrap();
    }
    let visitor = gate.arrival().await;
    assert_eq!(visitor.word, 3);
    let consumer = pool.spawn(call!(acknowledge_all(receiver.clone())));
    // They are with somebody: they count, but nobody else can have them.
    let join = sender.join();
    futures::pin_mut!(join);
    until("the others have been received", || receiver.len().now_or_never().is_none_or(|len| len.unwrap() == 0));
    assert!(join.as_mut().now_or_never().is_none());
    send(Signal::KILL, visitor.pid);
    hoarder.await.unwrap_err();
    join.await.unwrap();
    sender.close();
    let (mut seen, again) = consumer.await.unwrap();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..10), "each once");
    assert_eq!(again, 3);
    hoarders.shutdown().await.unwrap();
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn behaviour_47_what_a_dead_consumer_had_not_acknowledged_comes_again() {
        unacknowledged_at_death().await;
    }
}

async fn not_acknowledged() {
    let (sender, receiver) = queue::bounded::<u32>(2);
    sender.send(1).await.unwrap();
    sender.send(2).await.unwrap();
    let mut first = receiver.recv_acked().await.unwrap();
    assert_eq!((*first, first.redelivered()), (1, 0));
    first.nack().unwrap();
    assert!(matches!(first.ack(), Err(AckError::AlreadyAcknowledged)));
    // The other one may be here already, and so come first.
    let mut both = [receiver.recv_acked().await.unwrap(), receiver.recv_acked().await.unwrap()];
    both.sort_by_key(|delivery| **delivery);
    assert_eq!(both.each_ref().map(|delivery| (**delivery, delivery.redelivered())), [(1, 1), (2, 0)]);
    let [first, mut second] = both;
    // Dropped: not acknowledged either.
    drop(first);
    second.ack().unwrap();
    for round in 2..4 {
        let delivery = receiver.recv_acked().await.unwrap();
        assert_eq!((*delivery, delivery.redelivered()), (1, round));
    }
    let delivery = receiver.recv_acked().await.unwrap().ack_on_drop();
    assert_eq!(*delivery, 1);
    drop(delivery);
    sender.send(2).await.unwrap();
    // One with somebody and one on its way are two: the queue is full.
    let second = receiver.recv_acked().await.unwrap();
    sender.try_send(3).unwrap();
    assert!(matches!(sender.try_send(4), Err(TrySendError::Full(4))));
    assert_eq!((second.into_inner(), receiver.recv().await.unwrap()), (2, 3));
    sender.join().await.unwrap();
}

test! {
    queues async fn behaviour_47_a_delivery_that_is_not_wanted_comes_again_with_a_count() {
        not_acknowledged().await;
    }
}

/// A number that does not encode if it is 13, and does not decode if it is 14.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Picky(u32);

impl Serialize for Picky {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            13 => Err(ser::Error::custom("unlucky")),
            number => serializer.serialize_u32(number),
        }
    }
}

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            14 => Err(serde::de::Error::custom("just as unlucky")),
            number => Ok(Picky(number)),
        }
    }
}

async fn not_encodable() {
    let (sender, receiver) = queue::bounded::<Picky>(2);
    sender.send(Picky(1)).await.unwrap();
    let error = sender.send(Picky(13)).await.unwrap_err();
    assert!(error.to_string().contains("unlucky"), "{error}");
    assert_eq!(error.into_inner(), Picky(13));
    assert_eq!(receiver.len().await.unwrap(), 1, "it took no place");
    sender.try_send(Picky(2)).unwrap();
    assert_eq!((receiver.recv().await.unwrap(), receiver.recv().await.unwrap()), (Picky(1), Picky(2)));
    // What does not decode is an error where it is received, and the next one follows.
    sender.send(Picky(14)).await.unwrap();
    sender.send(Picky(3)).await.unwrap();
    let error = receiver.recv().await.unwrap_err();
    assert!(error.to_string().contains("just as unlucky"), "{error}");
    assert_eq!(receiver.recv().await.unwrap(), Picky(3));
}

test! {
    queues async fn behaviour_48_what_does_not_encode_is_refused_and_the_next_one_flows() {
        not_encodable().await;
    }
}

const BIG: usize = 16 << 20;

fn echo(requests: Receiver<Vec<u8>>, answers: Sender<Vec<u8>>) {
    for request in requests.iter() {
        answers.send_blocking(request.unwrap()).unwrap();
    }
}

async fn boundaries() {
    let pool = pool(1);
    let (requests, theirs) = queue::bounded::<Vec<u8>>(3);
    let (answers, receiver) = queue::bounded::<Vec<u8>>(3);
    let task = pool.spawn(call!(echo(theirs, answers)));
    let big: Vec<u8> = (0..BIG).map(|n| (n % 251) as u8).collect();
    let sizes = [0, 1, 0, (64 << 10) - 16, 64 << 10, (64 << 10) + 1, 256 << 10, BIG, 0];
    let sending = async {
        for size in sizes {
            requests.send(big[..size].to_vec()).await.unwrap();
        }
    };
    let receiving = async {
        for size in sizes {
            let answer = receiver.recv().await.unwrap();
            assert!(answer == big[..size], "{} bytes instead of {size}, or others", answer.len());
        }
    };
    futures::join!(sending, receiving);
    drop(requests);
    task.await.unwrap();
    assert!(matches!(receiver.recv().await, Err(RecvError::Disconnected)));
    let (sender, receiver) = queue::bounded::<()>(2);
    sender.send(()).await.unwrap();
    drop(sender);
    receiver.recv().await.unwrap();
    assert!(receiver.recv().await.is_err());
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn behaviour_49_messages_of_no_bytes_and_of_16_megabytes() {
        boundaries().await;
    }
}

async fn dropped_futures() {
    const COUNT: u32 = 5000;
    let pool = pool(1);
    let (sender, receiver) = queue::bounded::<Item>(8);
    let producer = pool.spawn(call!(produce(sender, 0, COUNT)));
    let mut seen = Vec::new();
    let mut dropped = 0;
    loop {
        // Each is polled once, by itself, and dropped if it was too early.
        match receiver.recv().now_or_never() {
            Some(Ok(item)) => seen.push(item),
            Some(Err(_)) => break,
            None => {
                dropped += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    assert!(seen.into_iter().eq(items(0, COUNT)), "{dropped} futures were dropped");
    producer.await.unwrap();
    // A send that is dropped while it waits has not happened.
    let (sender, receiver) = queue::bounded::<u32>(1);
    sender.send(0).await.unwrap();
    for number in 1..100 {
        assert!(sender.send(number).now_or_never().is_none());
    }
    assert_eq!(receiver.recv().await.unwrap(), 0);
    sender.send(100).await.unwrap();
    assert_eq!(receiver.recv().await.unwrap(), 100);
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn behaviour_49_dropped_futures_lose_nothing() {
        dropped_futures().await;
    }
}

/// Sends to all four at once.
fn produce_in_threads(senders: Vec<Sender<Item>>, count: u32) {
    std::thread::scope(|scope| {
        for (producer, sender) in (0..).zip(senders) {
            scope.spawn(move || produce(sender, producer, count));
        }
    });
}

async fn select_over_all() {
    const COUNT: u32 = 500;
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..4).map(|_| queue::bounded::<Item>(16)).unzip();
    let process = Process::spawn(call!(produce_in_threads(senders, COUNT))).unwrap();
    let mut messages = futures::stream::select_all(receivers).fuse();
    let mut next = BTreeMap::<u32, u32>::new();
    let (mut ended, mut exit) = (false, None);
    while !ended || exit.is_none() {
        tokio::select! {
            biased;
            message = messages.next(), if !ended => match message {
                Some(message) => {
                    let (producer, number) = message.unwrap();
                    let expected = next.entry(producer).or_default();
                    assert_eq!(number, *expected, "of producer {producer}");
                    *expected += 1;
                }
                None => ended = true,
            },
            how = process.wait(), if exit.is_none() => exit = Some(how),
        }
    }
    assert_eq!(next, (0..4).map(|producer| (producer, COUNT)).collect());
    assert_eq!(exit.unwrap().code(), Some(0));
    process.join().await.unwrap();
}

test! {
    queues async fn behaviour_50_select_over_four_producers_and_an_exit() {
        select_over_all().await;
    }
}

test! {
    slow sockets async fn all_of_it_over_sockets() {
        full_and_empty().await;
        closed_and_disconnected().await;
        joinable().await;
        unacknowledged_at_death().await;
        not_acknowledged().await;
        not_encodable().await;
        boundaries().await;
        dropped_futures().await;
        select_over_all().await;
    }
}
