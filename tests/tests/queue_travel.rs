//! Where handles of queues travel, and that the queue lives exactly as long as one of them does.

use std::cell::RefCell;
use std::collections::HashMap;

use futures::FutureExt;
use procpool::queue::{self, Receiver, Sender, TryRecvError};
use procpool::{ErrorKind, Pool, Process, Shared, Shutdown, call};
use procpool_tests::queues::{Item, items, produce, rest};
use procpool_tests::tasks::wait_at;
use procpool_tests::{Gate, Signal, ended, send, test, until, until_it_waits, visit};
use serde::{Deserialize, Serialize, Serializer};

fn processes(workers: usize) -> Pool {
    Pool::builder().workers(workers).build().unwrap()
}

fn threads(workers: usize) -> Pool {
    Pool::builder().workers(workers).in_process().build().unwrap()
}

fn sorted(mut all: Vec<Item>) -> Vec<Item> {
    all.sort_unstable();
    all
}

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    number: u32,
    answers: HashMap<String, Option<Sender<Item>>>,
    more: Vec<(Sender<Item>, Receiver<Item>)>,
}

/// Sends one item by each of its senders, and whatever it receives by the first.
fn carry_out(order: Order) {
    for answer in order.answers.values().flatten() {
        answer.send_blocking((order.number, 0)).unwrap();
    }
    for (sender, receiver) in order.more {
        let (_, number) = receiver.recv_blocking().unwrap();
        sender.send_blocking((order.number, number)).unwrap();
    }
}

/// One sender is all there is of the queue's senders, and it travels.
async fn in_arguments(pool: Pool) {
    for _ in 0..50 {
        let (sender, receiver) = queue::bounded(2);
        pool.run(call!(produce(sender, 1, 2))).await.unwrap();
        assert!(rest(&receiver).await.into_iter().eq(items(1, 2)));
    }
    let (sender, receiver) = queue::bounded(10);
    let (questions, theirs) = queue::bounded(10);
    questions.send((0, 7)).await.unwrap();
    questions.send((0, 8)).await.unwrap();
    let answers = [("none".to_owned(), None), ("one".to_owned(), Some(sender.clone()))].into();
    let more = vec![(sender.clone(), theirs.clone()), (sender, theirs)];
    pool.run(call!(carry_out(Order { number: 3, answers, more }))).await.unwrap();
    assert_eq!(rest(&receiver).await, [(3, 0), (3, 7), (3, 8)]);
    assert!(questions.is_disconnected() || questions.send((0, 9)).await.is_err());
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn handles_travel_in_arguments_however_deep_and_often() {
        in_arguments(processes(1)).await;
    }
}

test! {
    queues async fn handles_travel_in_arguments_to_threads() {
        in_arguments(threads(1)).await;
    }
}

fn send_one((sender, number): (Sender<Item>, u32)) {
    sender.send_blocking((0, number)).unwrap();
}

fn send_by(context: &(u32, Sender<Item>), number: u32) {
    context.1.send_blocking((context.0, number)).unwrap();
}

fn send_by_shared(sender: Shared<(Sender<Item>, Shared<Sender<Item>>)>, number: u32) {
    sender.0.send_blocking((1, number)).unwrap();
    sender.1.send_blocking((2, number)).unwrap();
}

async fn in_maps_and_shared_values(pool: Pool) {
    let (sender, receiver) = queue::bounded(100);
    pool.map(send_one, (0..20).map(|number| (sender.clone(), number))).await.unwrap();
    drop(sender);
    assert!(sorted(rest(&receiver).await).into_iter().eq(items(0, 20)));

    let (sender, receiver) = queue::bounded(100);
    pool.map_with((4, sender), send_by, 0..20).await.unwrap();
    assert!(sorted(rest(&receiver).await).into_iter().eq(items(4, 20)));

    let ((one, one_end), (other, other_end)) = (queue::bounded(100), queue::bounded(100));
    let inner = pool.shared(other).unwrap();
    let shared = pool.shared((one, inner)).unwrap();
    for number in 0..4 {
        pool.run(call!(send_by_shared(shared.clone(), number))).await.unwrap();
    }
    assert!(matches!(one_end.recv().await, Ok((1, 0))));
    drop(shared);
    assert!(rest(&one_end).await.into_iter().eq(items(1, 4).skip(1)));
    assert!(rest(&other_end).await.into_iter().eq(items(2, 4)));
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn handles_travel_in_maps_and_in_shared_values() {
        in_maps_and_shared_values(processes(2)).await;
    }
}

test! {
    queues async fn handles_travel_in_maps_and_in_shared_values_to_threads() {
        in_maps_and_shared_values(threads(2)).await;
    }
}

thread_local! {
    static LOG: RefCell<Option<Sender<Item>>> = const { RefCell::new(None) };
}

fn keep_log(log: Sender<Item>) {
    log.send_blocking((1, 0)).unwrap();
    LOG.set(Some(log));
}

fn log(number: u32) {
    LOG.with_borrow(|log| log.as_ref().unwrap().send_blocking((2, number))).unwrap();
}

fn last_words(log: Sender<Item>) {
    log.send_blocking((3, 0)).unwrap();
    LOG.take();
}

async fn in_hooks(threads: bool) {
    let (sender, receiver) = queue::bounded(100);
    let (last, lasts) = queue::bounded(100);
    let builder = Pool::builder().workers(1);
    let builder = if threads { builder.in_process() } else { builder };
    let pool = builder.init(call!(keep_log(sender))).exit(call!(last_words(last))).build().unwrap();
    pool.run(call!(log(1))).await.unwrap();
    if !threads {
        // Its successor finds the queue, too, although nobody in this program has a sender.
        let pid = pool.run(call!(std::process::id())).await.unwrap();
        send(Signal::KILL, pid);
        ended(pid).await;
    }
    assert_eq!(lasts.len().await.unwrap(), 0);
    assert!(matches!(lasts.try_recv(), Err(TryRecvError::Empty)), "somebody may still send");
    pool.run(call!(log(2))).await.unwrap();
    pool.shutdown().await.unwrap();
    drop(pool);
    let expected: &[_] = if threads { &[(1, 0), (2, 1), (2, 2)] } else { &[(1, 0), (2, 1), (1, 0), (2, 2)] };
    assert_eq!(rest(&receiver).await, expected);
    assert_eq!(rest(&lasts).await, [(3, 0)]);
}

test! {
    queues async fn init_and_exit_jobs_get_handles() {
        in_hooks(false).await;
    }
}

test! {
    queues async fn init_and_exit_jobs_of_threads_get_handles() {
        in_hooks(true).await;
    }
}

struct Desk {
    out: Sender<Item>,
    count: u32,
}

fn make_desk((out, count): (Sender<Item>, u32)) -> Desk {
    Desk { out, count }
}

fn use_desk(desk: &mut Desk, also: Option<Sender<Item>>) -> Option<Sender<Item>> {
    desk.out.send_blocking((0, desk.count)).unwrap();
    desk.count += 1;
    also
}

async fn in_states() {
    let (sender, receiver) = queue::bounded(10);
    let pool = Pool::builder().workers(1).build_with_state(make_desk, (sender, 5)).unwrap();
    assert!(pool.run(use_desk, None).await.unwrap().is_none());
    let (other, others) = queue::bounded(1);
    let back = pool.run(use_desk, Some(other)).await.unwrap().unwrap();
    back.send((9, 9)).await.unwrap();
    drop(back);
    assert_eq!(rest(&others).await, [(9, 9)]);
    pool.pool().shutdown().await.unwrap();
    drop(pool);
    assert_eq!(rest(&receiver).await, [(0, 5), (0, 6)]);
}

test! {
    queues async fn states_and_their_tasks_get_handles() {
        in_states().await;
    }
}

fn make(count: u32) -> (Sender<Item>, Vec<Receiver<Item>>) {
    let (sender, receiver) = queue::bounded(count as usize + 10);
    for number in 0..count {
        sender.send_blocking((0, number)).unwrap();
    }
    (sender, vec![receiver])
}

fn give_back(sender: Sender<Item>) -> Sender<Item> {
    sender
}

/// A handle, and something that is too long for a result.
fn give_too_much(sender: Sender<Item>) -> (Sender<Item>, Vec<u8>) {
    (sender, vec![0; 1 << 20])
}

/// Cannot be encoded, which its second part finds out.
#[derive(Deserialize)]
struct Broken(Sender<Item>, bool);

impl Serialize for Broken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        drop(self.0.serialize(serializer));
        if self.1 { panic!("on purpose") } else { Err(serde::ser::Error::custom("on purpose")) }
    }
}

fn give_broken(sender: Sender<Item>, panics: bool) -> Broken {
    Broken(sender, panics)
}

fn fail_with(sender: Sender<Item>) {
    sender.send_blocking((0, 0)).unwrap();
    panic!("on purpose");
}

async fn in_results(pool: Pool) {
    let (sender, receivers) = pool.run(call!(make(3))).await.unwrap();
    sender.send((1, 0)).await.unwrap();
    drop(sender);
    assert!(rest(&receivers[0]).await.into_iter().eq(items(0, 3).chain([(1, 0)])));

    for (sender, receivers) in pool.map(make, 0..10).await.unwrap() {
        drop(sender);
        let count = rest(&receivers[0]).await.len() as u32;
        assert!(count < 10);
    }

    // Nobody takes the result, in each way in which that can be.
    let (sender, receiver) = queue::bounded::<Item>(1);
    drop(pool.spawn(call!(give_back(sender.clone()))));
    let task = pool.spawn(call!(give_back(sender.clone())));
    let aborted = pool.spawn(call!(give_back(sender.clone())));
    aborted.abort();
    drop(aborted.await);
    pool.run(call!(give_back(sender))).await.unwrap();
    assert!(receiver.recv().now_or_never().is_none_or(|end| end.is_err()));
    drop(task);
    assert!(rest(&receiver).await.is_empty());

    // There is none.
    let (sender, receiver) = queue::bounded::<Item>(1);
    let error = pool.run(call!(give_too_much(sender.clone()))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    let error = pool.run(call!(give_broken(sender.clone(), true))).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Panicked, "{error}");
    let error = pool.run(call!(give_broken(sender.clone(), false))).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Encode, "{error}");
    let error = pool.run(call!(fail_with(sender))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked, "{error}");
    assert_eq!(rest(&receiver).await, [(0, 0)]);
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn handles_travel_in_results_and_go_with_those_that_nobody_takes() {
        in_results(Pool::builder().workers(1).max_message(100_000).build().unwrap()).await;
    }
}

test! {
    queues async fn handles_travel_in_results_of_threads() {
        in_results(Pool::builder().workers(1).in_process().max_message(100_000).build().unwrap()).await;
    }
}

async fn in_processes() {
    let (sender, receiver) = queue::bounded::<Item>(3);
    let process = Process::spawn(call!(give_back(sender))).unwrap();
    let back = process.join().await.unwrap();
    back.send((1, 1)).await.unwrap();
    drop(back);
    assert_eq!(rest(&receiver).await, [(1, 1)]);
    let (sender, receiver) = queue::bounded::<Item>(3);
    let process = Process::spawn(call!(give_back(sender))).unwrap();
    process.wait().await;
    drop(process);
    assert!(rest(&receiver).await.is_empty());
}

test! {
    queues async fn handles_travel_to_a_process_of_its_own_and_back() {
        in_processes().await;
    }
}

fn try_once(sender: Sender<Item>, gate: String) -> Sender<Item> {
    visit(gate, 0);
    sender.send_blocking((0, 0)).unwrap();
    sender
}

async fn retried() {
    let (gate, pool) = (Gate::new(), processes(1));
    let (sender, receiver) = queue::bounded::<Item>(3);
    let (path, moved) = (gate.path(), sender);
    let task = pool.run(call!(try_once(moved, path))).retries(1).spawn();
    let visitor = gate.arrival().await;
    send(Signal::KILL, visitor.pid);
    ended(visitor.pid).await;
    gate.arrival().await.release().await;
    let back = task.await.unwrap();
    assert_eq!(receiver.recv().await.unwrap(), (0, 0));
    assert!(receiver.recv().now_or_never().is_none());
    drop(back);
    assert!(rest(&receiver).await.is_empty());
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn every_attempt_finds_the_queue() {
        retried().await;
    }
}

async fn never_claimed() {
    let gate = Gate::new();
    let pool = Pool::builder().workers(1).queue_limit(1).build().unwrap();
    let busy = pool.spawn(call!(wait_at(gate.path(), 0)));
    let visitor = gate.arrival().await;
    let (sender, receiver) = queue::bounded::<Item>(3);
    let waiting = pool.try_run(call!(give_back(sender.clone()))).unwrap().spawn();
    let error = pool.try_run(call!(give_back(sender.clone()))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QueueFull);
    // One waits for a place, and goes again.
    let mut run = Box::pin(pool.run(call!(give_back(sender.clone()))).into_future());
    assert!(run.as_mut().now_or_never().is_none());
    drop((run, sender));
    assert!(receiver.recv().now_or_never().is_none(), "one of them waits in the pool");
    waiting.abort();
    assert_eq!(waiting.await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(rest(&receiver).await.is_empty());

    let (sender, receiver) = queue::bounded::<Item>(3);
    let waiting = pool.spawn(call!(give_back(sender)));
    let (_, _) = tokio::join!(pool.shutdown_with(Shutdown::DropQueued), async {
        assert_eq!(waiting.await.unwrap_err().kind(), ErrorKind::Closed);
        assert!(rest(&receiver).await.is_empty());
        visitor.release().await;
        busy.await.unwrap();
    });
    let (sender, receiver) = queue::bounded::<Item>(3);
    assert_eq!(pool.run(call!(give_back(sender))).await.unwrap_err().kind(), ErrorKind::Closed);
    assert!(rest(&receiver).await.is_empty());
}

test! {
    queues async fn a_task_that_never_starts_lets_go_of_its_handles() {
        never_claimed().await;
    }
}

async fn killed_while_running() {
    let (gate, pool) = (Gate::new(), processes(1));
    let (sender, receiver) = queue::bounded::<Item>(3);
    let path = gate.path();
    let task = pool.spawn(call!(try_once(sender, path)));
    let visitor = gate.arrival().await;
    task.abort();
    visitor.gone().await;
    assert_eq!(task.await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(rest(&receiver).await.is_empty());
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn a_task_that_is_stopped_lets_go_of_its_handles() {
        killed_while_running().await;
    }
}

/// A result with a handle that takes long to write, because nobody reads.
fn give_long(sender: Sender<Item>, gate: String) -> (Sender<Item>, Vec<u8>) {
    let result = (sender, vec![1; 16 << 20]);
    visit(gate, 0);
    // The name of its thread says that from here on it waits for nothing but its reader.
    std::fs::write("/proc/self/comm", "answering").unwrap();
    result
}

/// On a runtime that does nothing as long as its thread is held up: nobody reads the worker's answer meanwhile.
fn die_while_answering() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (gate, pool) = (Gate::new(), processes(1));
        let (sender, receiver) = queue::bounded::<Item>(3);
        let path = gate.path();
        let task = pool.spawn(call!(give_long(sender, path)));
        let visitor = gate.arrival().await;
        let pid = visitor.pid;
        visitor.release().await;
        // It has parked the handle, and waits until somebody reads.
        until("the worker answers", || {
            std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "answering")
        });
        until_it_waits(pid);
        send(Signal::KILL, pid);
        assert_eq!(task.await.unwrap_err().kind(), ErrorKind::WorkerDied);
        assert!(rest(&receiver).await.is_empty());
        pool.shutdown().await.unwrap();
    });
}

test! {
    queues async fn what_a_worker_left_behind_goes_with_it_if_its_answer_never_comes() {
        std::thread::spawn(die_while_answering).join().unwrap();
    }
}

fn pass_on(sender: Sender<Item>) -> (Sender<Item>, Receiver<Item>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = processes(1);
        let back = pool.run(call!(give_back(sender))).await.unwrap();
        let (_, mut made) = pool.run(call!(make(2))).await.unwrap();
        pool.shutdown().await.unwrap();
        (back, made.remove(0))
    })
}

async fn further_down(pool: Pool) {
    let (sender, receiver) = queue::bounded::<Item>(3);
    let (back, made) = pool.run(call!(pass_on(sender))).await.unwrap();
    back.send((5, 5)).await.unwrap();
    drop(back);
    assert_eq!(rest(&receiver).await, [(5, 5)]);
    assert!(rest(&made).await.into_iter().eq(items(0, 2)));
    pool.shutdown().await.unwrap();
}

test! {
    queues async fn a_nested_pool_gets_handles_and_gives_them_back() {
        further_down(processes(1)).await;
    }
}

test! {
    slow sockets async fn handles_travel_over_sockets_alike() {
        in_arguments(processes(1)).await;
        in_maps_and_shared_values(processes(2)).await;
        in_hooks(false).await;
        in_states().await;
        in_results(Pool::builder().workers(1).max_message(100_000).build().unwrap()).await;
        in_processes().await;
        retried().await;
        never_claimed().await;
        killed_while_running().await;
        further_down(processes(1)).await;
    }
}
