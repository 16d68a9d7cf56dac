//! A pool whose workers all wait at a queue says so.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use procpool::queue::{self, Receiver, Sender};
use procpool::{Pool, QueueCall, WaitReason, call};
use procpool_tests::queues::until_in;
use procpool_tests::tasks::power;
use procpool_tests::{test, until};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps the warnings of pools.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "procpool::pool" && *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn receive(receiver: Receiver<u32>) -> u32 {
    receiver.recv_blocking().unwrap()
}

/// Waits as a future.
fn receive_async(receiver: Receiver<u32>) -> u32 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(receiver.recv()).unwrap()
}

fn give(sender: Sender<u32>, value: u32) {
    sender.send_blocking(value).unwrap();
}

async fn stuck(pool: Pool) {
    let warnings = Warnings::default();
    tracing::subscriber::set_global_default(warnings.clone()).unwrap();
    let (sender, receiver) = queue::bounded::<u32>(1);
    let first = pool.spawn(call!(receive(receiver.clone())));
    let second = pool.spawn(call!(receive_async(receiver.clone())));
    until_in(&pool, QueueCall::Receiving, 2);
    assert_eq!(pool.snapshot().reason, None, "no task waits");
    // What would help them waits behind them.
    let helper = pool.spawn(call!(give(sender.clone(), 1)));
    let snapshot = pool.snapshot();
    assert_eq!(snapshot.reason, Some(WaitReason::WorkersInQueueCalls));
    let text = snapshot.to_string();
    assert!(text.contains("that all wait in queue calls") && text.contains("that waits for a message"), "{text}");
    let heard = || warnings.0.lock().unwrap().clone();
    until("the pool warns", || !heard().is_empty());
    assert!(heard()[0].contains("workers=2") && heard()[0].contains("receiving=2"), "{:?}", heard());
    assert!(heard()[0].contains("tasks=1"), "{:?}", heard());
    // Somebody else sends: one worker is free, and the helper has its turn.
    sender.send(0).await.unwrap();
    helper.await.unwrap();
    assert_eq!(first.await.unwrap() + second.await.unwrap(), 1);
    assert_eq!(pool.run(call!(power(4))).await.unwrap(), 256);
    assert_eq!(heard().len(), 1);
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn a_pool_of_processes_that_waits_for_itself_says_so() {
        stuck(Pool::builder().workers(2).build().unwrap()).await;
    }
}

test! {
    queues async fn a_pool_of_threads_that_waits_for_itself_says_so() {
        stuck(Pool::builder().in_process().workers(2).build().unwrap()).await;
    }
}
