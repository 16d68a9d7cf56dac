//! Queues among processes: who is served, what is held back, where handles go, and what a death leaves.

use std::time::Duration;

use futures::FutureExt;
use procpool::queue::{self, Receiver, SendError, Sender, TryRecvError, TrySendError};
use procpool::{Pool, Process, QueueCall, call};
use procpool_tests::queues::{Item, consume, items, produce, rest, until_in};
use procpool_tests::{Gate, Signal, ended, send, test, until, visit};

const BIG: usize = 16 << 20;

fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).build().unwrap()
}

/// Makes a queue, fills it, and leaves its receiver to the caller.
fn make(count: u32) -> Receiver<Item> {
    let (sender, receiver) = queue::bounded(count as usize);
    produce(sender, 0, count);
    receiver
}

fn make_both() -> (Sender<Item>, Receiver<Item>) {
    queue::bounded(2)
}

async fn made_in_a_worker() {
    let (pool, other) = (pool(1), pool(1));
    let receiver = pool.run(call!(make(5))).await.unwrap();
    let (sender, results) = pool.run(call!(make_both())).await.unwrap();
    // Whoever made them is gone.
    pool.shutdown().await.unwrap();
    assert!(rest(&receiver).await.into_iter().eq(items(0, 5)));
    let producer = other.spawn(call!(produce(sender, 7, 20)));
    assert!(rest(&results).await.into_iter().eq(items(7, 20)));
    producer.await.unwrap();
    // A result that nobody takes gives its handles back.
    let (sender, receiver) = queue::bounded::<Item>(1);
    drop(other.run(call!(give_back(sender))).await.unwrap());
    assert!(rest(&receiver).await.is_empty());
    other.shutdown().await.unwrap();
}

fn give_back(sender: Sender<Item>) -> Sender<Item> {
    sender
}

test! {
    queues async fn a_queue_outlives_the_task_and_the_worker_that_made_it() {
        made_in_a_worker().await;
    }
}

/// Sends to a queue that nobody empties, from a thread that it leaves behind.
fn leave_a_sender(sender: Sender<Item>, receiver: Receiver<Item>, full: Sender<()>) {
    for number in 0..4 {
        sender.send_blocking((0, number)).unwrap();
    }
    std::thread::spawn(move || sender.send_blocking((0, 4)));
    std::thread::spawn(move || drop(receiver.recv_timeout_blocking(Duration::MAX)));
    full.send_blocking(()).unwrap();
}

async fn exit_does_not_wait() {
    let (sender, receiver) = queue::bounded::<Item>(4);
    let (full, fulls) = queue::bounded(2);
    let unread = queue::bounded::<Item>(1);
    // Python's process would not end before somebody has read what it put.
    let process = {
        let (sender, receiver, full) = (sender.clone(), unread.1.clone(), full.clone());
        Process::spawn(call!(leave_a_sender(sender, receiver, full))).unwrap()
    };
    fulls.recv().await.unwrap();
    assert_eq!(process.wait().await.code(), Some(0));
    process.join().await.unwrap();
    assert_eq!(receiver.len().await.unwrap(), 4, "what was confirmed is there");
    drop(sender);
    let all = rest(&receiver).await;
    assert!(all.into_iter().eq(items(0, 4)));
    drop((full, unread));
}

test! {
    queues async fn the_exit_of_a_process_does_not_wait_for_a_queue() {
        exit_does_not_wait().await;
    }
}

fn send_big_ones(sender: Sender<Vec<u8>>, pings: Receiver<u32>, pongs: Sender<u32>) {
    std::thread::scope(|scope| {
        scope.spawn(|| while sender.send_blocking(vec![7; BIG]).is_ok() {});
        for ping in pings.iter() {
            pongs.send_blocking(ping.unwrap()).unwrap();
        }
        sender.close();
    });
}

/// If a small message had to wait for a big one each time, this would not be done in the time that a test has.
async fn big_beside_small() {
    let pool = pool(1);
    let (big_sender, big) = queue::bounded::<Vec<u8>>(2);
    let (pings, theirs) = queue::bounded(1);
    let (pong_sender, pongs) = queue::bounded(1);
    let task = pool.spawn(call!(send_big_ones(big_sender, theirs, pong_sender)));
    let reader = tokio::spawn(async move {
        let mut count = 0;
        while let Ok(message) = big.recv().await {
            assert_eq!(message.len(), BIG);
            count += 1;
        }
        count
    });
    for number in 0..1000 {
        pings.send(number).await.unwrap();
        assert_eq!(pongs.recv().await.unwrap(), number);
    }
    drop(pings);
    task.await.unwrap();
    assert!(reader.await.unwrap() > 0);
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn a_big_message_does_not_stall_small_ones_of_another_queue() {
        big_beside_small().await;
    }
}

/// Tells of each message that was confirmed.
fn produce_and_tell(sender: Sender<Item>, confirmed: Sender<Item>, producer: u32) {
    for number in 0.. {
        let item = (producer, number);
        if sender.send_blocking(item).is_err() || confirmed.send_blocking(item).is_err() {
            return;
        }
    }
}

async fn slow_consumer() {
    let pool = pool(2);
    let (sender, receiver) = queue::bounded::<Item>(10);
    let (confirmed, log) = queue::bounded::<Item>(1000);
    let producers: Vec<_> = (0..2)
        .map(|producer| {
            let (sender, confirmed) = (sender.clone(), confirmed.clone());
            pool.spawn(call!(produce_and_tell(sender, confirmed, producer)))
        })
        .collect();
    for received in 0..50 {
        until("all places are used", || log.len_blocking().unwrap() == 10 + received);
        until_in(&pool, QueueCall::Sending, 2);
        assert_eq!(log.len().await.unwrap(), 10 + received, "no more than there is room for");
        assert_eq!(receiver.len().await.unwrap(), 10);
        receiver.recv().await.unwrap();
    }
    receiver.close();
    for producer in producers {
        producer.await.unwrap();
    }
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn a_slow_consumer_slows_its_producers() {
        slow_consumer().await;
    }
}

async fn bytes_are_bounded() {
    let (sender, receiver) = queue::bounded_bytes::<String>(100, 1000);
    let text = "x".repeat(400);
    sender.try_send(text.clone()).unwrap();
    sender.try_send(text.clone()).unwrap();
    assert!(matches!(sender.try_send(text.clone()), Err(TrySendError::Full(_))));
    sender.try_send("small".to_owned()).unwrap();
    let error = sender.send("x".repeat(1001)).await.unwrap_err();
    assert!(matches!(error, SendError::TooLarge { .. }), "{error}");
    assert_eq!(receiver.recv().await.unwrap().len(), 400);
    sender.try_send(text).unwrap();
    drop(sender);
    assert_eq!(rest(&receiver).await.len(), 3);
}

test! {
    queues async fn bytes_are_bounded_too() {
        bytes_are_bounded().await;
    }
}

fn receive_one(receiver: Receiver<Item>) -> Item {
    receiver.recv_blocking().unwrap()
}

fn hold(receiver: Receiver<Item>, gate: String) -> usize {
    drop(receiver.try_recv());
    visit(gate, 0);
    rest_blocking(&receiver)
}

fn rest_blocking(receiver: &Receiver<Item>) -> usize {
    receiver.iter().count()
}

async fn fair_to_consumers() {
    let (pool, idle) = (pool(4), pool(1));
    let gate = Gate::new();
    let (sender, receiver) = queue::bounded::<Item>(100);
    // One who holds a receiver and does not receive keeps nothing from the others.
    let holder = {
        let (receiver, path) = (receiver.clone(), gate.path());
        idle.spawn(call!(hold(receiver, path)))
    };
    let visitor = gate.arrival().await;
    for round in 0..10 {
        let consumers: Vec<_> = (0..4).map(|_| pool.spawn(call!(receive_one(receiver.clone())))).collect();
        until_in(&pool, QueueCall::Receiving, 4);
        for number in 0..4 {
            sender.send((round, number)).await.unwrap();
        }
        let mut seen = Vec::new();
        for consumer in consumers {
            seen.push(consumer.await.unwrap());
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(items(round, 4)));
    }
    for number in 0..100 {
        sender.send((10, number)).await.unwrap();
    }
    // What one of those who were there before was given ahead comes back, and may come back behind others.
    let mut seen = Vec::new();
    for _ in 0..100 {
        seen.push(receiver.recv().await.unwrap());
    }
    seen.sort_unstable();
    assert!(seen.into_iter().eq(items(10, 100)));
    drop(sender);
    visitor.release().await;
    assert_eq!(holder.await.unwrap(), 0);
    pool.shutdown().await.unwrap();
    idle.shutdown().await.unwrap();
}

test! {
    queues async fn messages_go_to_those_who_receive() {
        fair_to_consumers().await;
    }
}

async fn many_to_many() {
    const COUNT: u32 = 2000;
    let (producing, consuming) = (pool(3), pool(3));
    let (sender, receiver) = queue::bounded::<Item>(32);
    let consumers: Vec<_> = (0..3).map(|_| consuming.spawn(call!(consume(receiver.clone())))).collect();
    let producers: Vec<_> =
        (0..3).map(|producer| producing.spawn(call!(produce(sender.clone(), producer, COUNT)))).collect();
    drop((sender, receiver));
    for producer in producers {
        producer.await.unwrap();
    }
    let mut all = Vec::new();
    for consumer in consumers {
        let seen = consumer.await.unwrap();
        all.extend(seen);
    }
    all.sort_unstable();
    assert!(all.into_iter().eq((0..3).flat_map(|producer| items(producer, COUNT))));
    producing.shutdown().await.unwrap();
    consuming.shutdown().await.unwrap();
}

test! {
    queues async fn many_producers_and_many_consumers() {
        many_to_many().await;
    }
}

/// A request, and where its answer is to go.
type Request = (u32, Sender<u32>);

fn serve(requests: Receiver<Request>) {
    for request in requests.iter() {
        let (number, answer) = request.unwrap();
        answer.send_blocking(number * number).unwrap();
    }
}

async fn many_to_one() {
    const COUNT: u32 = 2000;
    let pool = pool(3);
    let (sender, receiver) = queue::bounded::<Item>(32);
    let producers: Vec<_> =
        (0..3).map(|producer| pool.spawn(call!(produce(sender.clone(), producer, COUNT)))).collect();
    drop(sender);
    let all = rest(&receiver).await;
    for producer in 0..3 {
        let of_one = all.iter().copied().filter(|item| item.0 == producer);
        assert!(of_one.eq(items(producer, COUNT)), "of each producer in its order");
    }
    for producer in producers {
        producer.await.unwrap();
    }
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn one_consumer_receives_from_each_producer_in_its_order() {
        many_to_one().await;
    }
}

async fn handles_in_messages() {
    let pool = pool(2);
    let (requests, theirs) = queue::bounded::<Request>(4);
    let servers: Vec<_> = (0..2).map(|_| pool.spawn(call!(serve(theirs.clone())))).collect();
    for number in 0..50 {
        let (answer, answers) = queue::bounded::<u32>(1);
        requests.send((number, answer)).await.unwrap();
        assert_eq!(rest(&answers).await, [number * number]);
    }
    drop(requests);
    for server in servers {
        server.await.unwrap();
    }
    // While a sender lies in a queue, there is one; it goes with the message when nobody is left to receive it.
    let (requests, theirs) = queue::bounded::<Request>(4);
    let (answer, answers) = queue::bounded::<u32>(1);
    requests.send((1, answer)).await.unwrap();
    assert!(matches!(answers.try_recv(), Err(TryRecvError::Empty)));
    assert!(answers.recv().now_or_never().is_none());
    drop(theirs);
    assert!(rest(&answers).await.is_empty());
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn handles_travel_in_messages() {
        handles_in_messages().await;
    }
}

fn nested(sender: Sender<Item>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = pool(1);
        pool.run(call!(produce(sender.clone(), 1, 10))).await.unwrap();
        sender.send((2, 0)).await.unwrap();
        pool.shutdown().await.unwrap();
    });
}

async fn nested_pools() {
    let pool = pool(1);
    let (sender, receiver) = queue::bounded::<Item>(4);
    let task = pool.spawn(call!(nested(sender)));
    let all = rest(&receiver).await;
    assert!(all.into_iter().eq(items(1, 10).chain([(2, 0)])));
    task.await.unwrap();
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn a_worker_of_a_nested_pool_uses_queues_as_any_other() {
        nested_pools().await;
    }
}

async fn dies_with_handles() {
    let gate = Gate::new();
    let pool = pool(1);
    let (sender, receiver) = queue::bounded::<Item>(4);
    let (path, sender) = (gate.path(), sender);
    let task = pool.spawn(call!(produce_and_visit(sender, path)));
    let visitor = gate.arrival().await;
    send(Signal::KILL, visitor.pid);
    ended(visitor.pid).await;
    task.await.unwrap_err();
    assert_eq!(rest(&receiver).await, [(0, 0), (0, 1), (0, 2)]);
    pool.shutdown().await.unwrap();
}

fn produce_and_visit(sender: Sender<Item>, gate: String) {
    produce(sender.clone(), 0, 3);
    visit(gate, 0);
    drop(sender);
}

test! {
    queues async fn what_a_dead_worker_has_sent_is_received_and_then_the_end() {
        dies_with_handles().await;
    }
}

test! {
    slow sockets async fn all_of_it_over_sockets() {
        made_in_a_worker().await;
        exit_does_not_wait().await;
        big_beside_small().await;
        slow_consumer().await;
        bytes_are_bounded().await;
        fair_to_consumers().await;
        many_to_many().await;
        many_to_one().await;
        handles_in_messages().await;
        nested_pools().await;
        dies_with_handles().await;
    }
}
