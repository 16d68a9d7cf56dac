//! Queues across pools in pools: the way to the root, and what deaths on it leave.

use procpool::queue::{self, Receiver, Sender};
use procpool::{Pool, call};
use procpool_tests::queues::{Item, consume, items, produce, rest};
use procpool_tests::{Gate, Signal, ended, send, test, visit};

fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).build().unwrap()
}

/// Runs on a runtime of its own, in a worker.
fn inside<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Produces in a process so many pools further down.
fn produce_below(depth: u32, sender: Sender<Item>, producer: u32, count: u32) {
    if depth == 0 {
        return produce(sender, producer, count);
    }
    inside(async {
        let pool = pool(1);
        pool.run(call!(produce_below(depth - 1, sender, producer, count))).await.unwrap();
        pool.shutdown().await.unwrap();
    });
}

/// Gives back a queue that was made, and filled, in a process so many pools further down, all of which are gone.
fn make_below(depth: u32, count: u32) -> Receiver<Item> {
    if depth == 0 {
        let (sender, receiver) = queue::bounded(count as usize);
        produce(sender, depth, count);
        return receiver;
    }
    inside(async {
        let pool = pool(1);
        let receiver = pool.run(call!(make_below(depth - 1, count))).await.unwrap();
        pool.shutdown().await.unwrap();
        receiver
    })
}

async fn both_ways() {
    let pool = pool(2);
    let (sender, receiver) = queue::bounded(3);
    let producers: Vec<_> =
        (0..4).map(|depth| pool.spawn(call!(produce_below(depth, sender.clone(), depth, 50)))).collect();
    drop(sender);
    let all = rest(&receiver).await;
    for depth in 0..4 {
        assert!(all.iter().copied().filter(|item| item.0 == depth).eq(items(depth, 50)), "{depth}");
    }
    for producer in producers {
        producer.await.unwrap();
    }
    for depth in 0..4 {
        let receiver = pool.run(call!(make_below(depth, 20))).await.unwrap();
        assert!(rest(&receiver).await.into_iter().eq(items(0, 20)), "{depth}");
    }
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn handles_go_down_and_up_through_pools_in_pools() {
        both_ways().await;
    }
}

/// Two workers of a pool in this worker pass things between them, while this one only waits.
fn among_siblings(count: u32) -> Vec<Item> {
    inside(async {
        let pool = pool(2);
        let (sender, receiver) = queue::bounded(2);
        let consumer = pool.spawn(call!(consume(receiver)));
        pool.run(call!(produce(sender, 9, count))).await.unwrap();
        let all = consumer.await.unwrap();
        pool.shutdown().await.unwrap();
        all
    })
}

async fn siblings() {
    let pool = pool(1);
    assert!(pool.run(call!(among_siblings(200))).await.unwrap().into_iter().eq(items(9, 200)));
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn a_queue_that_is_only_used_further_down_works_alike() {
        siblings().await;
    }
}

/// Sends one item, says which process it is in, and stays.
fn hold(sender: Sender<(u32, u32)>, gate: String) {
    sender.send_blocking((std::process::id(), 0)).unwrap();
    visit(&gate, 0);
}

fn hold_below(sender: Sender<(u32, u32)>, gate: String) {
    sender.send_blocking((std::process::id(), 1)).unwrap();
    inside(async {
        let pool = pool(1);
        // Its end is this task's, too, if it is not killed itself.
        pool.run(call!(hold(sender, gate))).await.unwrap_err();
    });
}

/// `level`: whose process is killed.
async fn kill_on_the_way(level: u32) {
    let pool = pool(1);
    let gate = Gate::new();
    let (sender, receiver) = queue::bounded(2);
    let holder = pool.spawn(call!(hold_below(sender, gate.path())));
    let mut pids = [0; 2];
    for _ in 0..2 {
        let (pid, above) = receiver.recv().await.unwrap();
        pids[above as usize] = pid;
    }
    send(Signal::KILL, pids[level as usize]);
    // Nobody below or above keeps a sender.
    assert!(rest(&receiver).await.is_empty());
    assert_eq!(holder.await.is_err(), level == 1);
    ended(pids[0]).await;
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn a_kill_further_down_gives_back_what_was_held_there() {
        kill_on_the_way(0).await;
    }
}

test! {
    queues async fn a_kill_on_the_way_gives_back_what_was_held_below() {
        kill_on_the_way(1).await;
    }
}
