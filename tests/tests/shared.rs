//! Values that many tasks use and each worker is sent once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use futures::future::{join, join_all};
use procpool::{ErrorKind, Json, Pool, PoolErrorKind, Process, Shared, Started, call};
use procpool_tests::tasks::{segfault, wait_at};
use procpool_tests::{Gate, Signal, freeze, send, test, until};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// How often a [`Counted`] was decoded and dropped in this process.
static DECODED: AtomicU32 = AtomicU32::new(0);
static DROPPED: AtomicU32 = AtomicU32::new(0);

/// Tells how often it is decoded, and where it ends.
#[derive(Debug, Serialize)]
struct Counted(u64);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "Counted")]
        struct Plain(u64);

        DECODED.fetch_add(1, Ordering::Relaxed);
        Plain::deserialize(deserializer).map(|plain| Counted(plain.0))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
        assert_ne!(self.0, u64::MAX, "one whose end goes wrong");
    }
}

/// The value, and what became of its kind in this process.
fn look(value: &Shared<Counted>) -> (u64, u32, u32, u32) {
    (value.0, DECODED.load(Ordering::Relaxed), DROPPED.load(Ordering::Relaxed), std::process::id())
}

fn counts() -> (u32, u32) {
    (DECODED.load(Ordering::Relaxed), DROPPED.load(Ordering::Relaxed))
}

fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).build().unwrap()
}

fn sum_at((table, at): (Shared<Vec<u64>>, usize)) -> u64 {
    table[at] + table.len() as u64
}

/// How many bytes of memory a process has.
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

test! {
    async fn a_value_is_decoded_once_in_each_worker() {
        let pool = pool(2);
        pool.ready().await.unwrap();
        let value = pool.shared(Counted(7)).unwrap();
        assert_eq!((value.0, counts()), (7, (0, 0)), "it is here, too, and was not decoded for it");
        let looks = join_all((0..40).map(|_| pool.run(call!(look(&value))))).await;
        let looks: Result<Vec<_>, _> = looks.into_iter().map(|look| look.map(|(value, decoded, dropped, _)| (value, decoded, dropped))).collect();
        assert_eq!(looks.unwrap(), [(7, 1, 0); 40]);
        pool.shutdown().await.unwrap();
        drop(value);
        assert_eq!(counts(), (0, 1));
    }
}

test! {
    async fn each_thread_has_its_own() {
        let pool = Pool::builder().in_process().workers(2).build().unwrap();
        let (value, gate) = (pool.shared(Counted(7)).unwrap(), Gate::new());
        let both = [0, 1].map(|word| pool.spawn(call!(visit_with(&value, gate.path(), word))));
        for visitor in gate.arrivals(2).await {
            visitor.release().await;
        }
        let mut addresses: Vec<usize> = Vec::new();
        for run in both {
            addresses.push(run.await.unwrap());
        }
        addresses.push(std::ptr::from_ref(&*value).addr());
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!((addresses.len(), counts().0), (3, 2), "nothing is shared between threads");
        drop(value);
        until("the threads let go of it", || counts().1 == 3);
        pool.shutdown().await.unwrap();
    }
}

fn visit_with(value: &Shared<Counted>, gate: String, word: u64) -> usize {
    let _ = wait_at(gate, word);
    std::ptr::from_ref(&**value).addr()
}

test! {
    async fn a_large_value_is_sent_once_and_forgotten_when_nobody_needs_it() {
        const LEN: usize = 64 << 20;
        let pool = pool(1);
        let worker = pool.run(call!(procpool_tests::tasks::pid())).await.unwrap();
        let before = resident(worker);
        let value = pool.shared(vec![3u8; LEN]).unwrap();
        // Small tasks right behind it do not overtake it.
        let tasks = (0..300).map(|at| pool.run(call!(byte_at(&value, at))));
        assert!(join_all(tasks).await.into_iter().all(|byte| byte.unwrap() == 3));
        assert!(resident(worker) > before + LEN as u64);
        drop(value);
        until("the worker's memory is free again", || resident(worker) < before + LEN as u64 / 4);
        assert_eq!(pool.run(call!(procpool_tests::tasks::pid())).await.unwrap(), worker);
        pool.shutdown().await.unwrap();
    }
}

fn byte_at(value: &Shared<Vec<u8>>, at: usize) -> u8 {
    value[at]
}

test! {
    async fn the_last_handle_and_the_last_task_are_needed() {
        let (pool, gate) = (pool(1), Gate::new());
        let value = pool.shared(Counted(7)).unwrap();
        // A task that waits in the queue, and nobody else, has it.
        let first = pool.spawn(call!(wait_at(gate.path(), 0)));
        let second = pool.spawn(call!(look(&value)));
        let visitor = gate.arrival().await;
        drop(value);
        visitor.release().await;
        first.await.unwrap();
        assert_eq!(second.await.unwrap().0, 7);
        // That it is forgotten is said before anything else is.
        assert_eq!(pool.run(call!(counts())).await.unwrap(), (1, 1));
        // Again and again, and none stays; not even one whose end goes wrong.
        for n in [1, 2, 3, u64::MAX] {
            let value = std::mem::ManuallyDrop::new(pool.shared(Counted(n)).unwrap());
            assert_eq!(pool.run(call!(look(&*value))).await.unwrap().0, n);
            let value = std::mem::ManuallyDrop::into_inner(value);
            assert_eq!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(value))).is_err(), n == u64::MAX);
        }
        assert_eq!(pool.run(call!(counts())).await.unwrap(), (5, 5));
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn a_replacement_gets_it_anew() {
        let pool = pool(1);
        let value = pool.shared(Counted(7)).unwrap();
        let (_, decoded, _, first) = pool.run(call!(look(&value))).await.unwrap();
        let crash = pool.spawn(call!(segfault()));
        let second = pool.run(call!(look(&value))).await.unwrap();
        assert!(crash.await.is_err());
        assert_eq!((decoded, second.1), (1, 1));
        assert_ne!(first, second.3);
        // Also a task that is run again because its worker died, and one in a worker that was added.
        let gate = Gate::new();
        let again = pool.run(call!(look_late(&value, gate.path()))).retries(1).spawn();
        let visitor = gate.arrival().await;
        send(Signal::KILL, visitor.pid);
        visitor.gone().await;
        gate.arrival().await.release().await;
        assert_eq!(again.await.unwrap(), 7);
        pool.resize(2).unwrap();
        pool.ready().await.unwrap();
        let looks = join_all((0..10).map(|_| pool.run(call!(look(&value))))).await;
        assert!(looks.into_iter().all(|look| look.unwrap().1 == 1));
        pool.shutdown().await.unwrap();
    }
}

fn look_late(value: &Shared<Counted>, gate: String) -> u64 {
    let _ = wait_at(gate, 0);
    value.0
}

#[derive(Serialize, Deserialize)]
struct Nested {
    tables: Vec<Option<Shared<Vec<u64>>>>,
    json: Json<(Shared<String>, u8)>,
    inner: Shared<(Shared<String>, String)>,
}

fn unnest(nested: Nested) -> (Vec<u64>, String, bool) {
    let sums = nested.tables.iter().map(|table| table.as_ref().map_or(0, |table| table.iter().sum())).collect();
    let same = std::ptr::eq(&*nested.json.0.0, &*nested.inner.0);
    (sums, format!("{}{}{}", &*nested.json.0.0, nested.json.0.1, nested.inner.1), same)
}

test! {
    async fn it_travels_wherever_an_argument_goes() {
        for builder in [Pool::builder(), Pool::builder().in_process()] {
            let pool = builder.workers(1).build().unwrap();
            let (one, two) = (pool.shared(vec![1, 2, 3]).unwrap(), pool.shared(vec![4]).unwrap());
            let text = pool.shared("text".to_owned()).unwrap();
            let inner = pool.shared((text.clone(), "inner".to_owned())).unwrap();
            let nested = Nested {
                tables: vec![Some(one.clone()), None, Some(two.clone()), Some(one.clone())],
                json: Json((text.clone(), 5)),
                inner,
            };
            // Only the task has them now: the one inside another is kept by that.
            drop((text, two));
            let expected = (vec![6, 0, 4, 6], "text5inner".to_owned(), true);
            assert_eq!(pool.run(call!(unnest(nested))).await.unwrap(), expected);
            // Items, contexts, and a value whose only owner is the map.
            let items = [0, 1, 2].map(|at| (one.clone(), at));
            assert_eq!(pool.map(sum_at, items).await.unwrap(), [4, 5, 6]);
            let sums = pool.map_with((one, 10), |(table, add), at: usize| table[at] + add, 0..3);
            assert_eq!(sums.await.unwrap(), [11, 12, 13]);
            let states = pool.shared(5u64).unwrap();
            pool.shutdown().await.unwrap();
            // Another pool, with a state.
            let pool = Pool::builder().workers(1).build_with_state(|x: u64| x, 2).unwrap();
            assert_eq!(pool.run(|state, shared: Shared<u64>| *state + *shared, states).await.unwrap(), 7);
            pool.pool().shutdown().await.unwrap();
        }
    }
}

test! {
    async fn many_values() {
        let pool = pool(2);
        let values: Vec<_> = (0..1000u64).map(|n| pool.shared(n).unwrap()).collect();
        let sum = |values: Vec<Shared<u64>>| values.iter().map(|value| **value).sum::<u64>();
        assert_eq!(pool.map(sum, [values.clone(), values.clone()]).await.unwrap(), [499_500, 499_500]);
        let doubled = pool.map(|value: Shared<u64>| *value * 2, values).await.unwrap();
        assert!(doubled.into_iter().eq((0..1000).map(|n| n * 2)));
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn a_context_that_names_thousands_of_values_costs_each_item_no_more_than_to_name_them() {
        let pool = pool(1);
        let words: Vec<_> = (0..5000).map(|n: u32| pool.shared(n.to_string()).unwrap()).collect();
        // Were each value looked for among the others, this test would hang: over a minute, unoptimised.
        let lengths = pool.map_with(words, |words: &Vec<Shared<String>>, at: usize| words[at].len(), 0..1000).await.unwrap();
        assert_eq!(lengths.iter().sum::<usize>(), 10 + 2 * 90 + 3 * 900);
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn a_context_is_decoded_once_in_each_worker() {
        let pool = pool(2);
        let looks = pool.map_with(Counted(3), |context, ()| (context.0, counts().0), std::iter::repeat_n((), 40));
        assert_eq!(looks.await.unwrap(), [(3, 1); 40]);
        pool.shutdown().await.unwrap();
    }
}

fn give_back(value: Shared<u64>) -> Shared<u64> {
    value
}

fn initialise(value: Shared<u64>) {
    drop(value);
}

test! {
    async fn it_travels_nowhere_else() {
        for builder in [Pool::builder(), Pool::builder().in_process()] {
            let pool = builder.workers(1).build().unwrap();
            let value = pool.shared(7u64).unwrap();
            let error = pool.run(call!(give_back(value.clone()))).await.unwrap_err();
            assert_eq!((error.kind(), error.started()), (ErrorKind::Encode, Started::Yes), "{error}");
            assert!(error.to_string().contains("a `Shared` travels in the arguments of tasks and nowhere else"), "{error}");
            let error = Pool::builder().init(call!(initialise(value.clone()))).build().unwrap_err();
            assert_eq!(error.kind(), PoolErrorKind::InvalidConfig);
            assert!(error.to_string().contains("nowhere else"), "{error}");
            assert_eq!(pool.run(call!(twice(&value))).await.unwrap(), 14);
            pool.shutdown().await.unwrap();
        }
    }
}

fn twice(value: &Shared<u64>) -> u64 {
    **value * 2
}

/// Encodes as it is told; never decodes.
#[derive(Debug)]
struct Stubborn {
    encodes: bool,
}

impl Serialize for Stubborn {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.encodes { serializer.serialize_bool(true) } else { Err(serde::ser::Error::custom("not this one")) }
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("not over here"))
    }
}

test! {
    async fn what_is_wrong_with_it_is_told() {
        let pool = Pool::builder().workers(1).max_message(1000).build().unwrap();
        let error = pool.shared(vec![0u8; 1000]).unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::TooLarge, Started::No));
        assert!(error.to_string().contains("it takes 1002 bytes, max_message is 1000"), "{error}");
        let error = pool.shared(Stubborn { encodes: false }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encode);
        assert!(error.to_string().contains("not this one"), "{error}");
        let value = pool.shared(Stubborn { encodes: true }).unwrap();
        // Each task that names it.
        for _ in 0..2 {
            let error = pool.run(call!(stubborn(&value))).await.unwrap_err();
            assert_eq!((error.kind(), error.started(), error.task()), (ErrorKind::Decode, Started::No, Some("stubborn")));
            assert!(error.to_string().contains("a shared value: ") && error.to_string().contains("not over here"), "{error}");
        }
        let error = pool.map_with(Stubborn { encodes: true }, |_, x: u8| x, [1]).await.unwrap_err();
        assert_eq!((error.kind(), error.index()), (ErrorKind::Decode, Some(0)));
        let error = pool.map_with(Stubborn { encodes: false }, |_, x: u8| x, [1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encode);
        let error = pool.map_with(vec![0u8; 1000], |_, x: u8| x, [1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert_eq!(pool.shutdown().await.unwrap().workers_started, 1);
    }
}

fn stubborn(_: &Shared<Stubborn>) {}

/// A task that has a pool, and passes on what it was given.
fn pass_on(value: Shared<Vec<u64>>, depth: u32) -> u64 {
    if depth == 0 {
        return value.iter().sum();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = pool(1);
        let again = pool.run(call!(pass_on(value.clone(), 0)));
        let (again, sum) = join(again, pool.run(call!(pass_on(value.clone(), depth - 1)))).await;
        pool.shutdown().await.unwrap();
        again.unwrap() + sum.unwrap()
    })
}

test! {
    processes async fn a_task_can_pass_it_on() {
        let pool = pool(1);
        let value = pool.shared(vec![1, 2, 3]).unwrap();
        assert_eq!(pool.run(call!(pass_on(value.clone(), 2))).await.unwrap(), 18);
        pool.shutdown().await.unwrap();
        let process = Process::spawn(call!(pass_on(value.clone(), 0))).unwrap();
        assert_eq!(process.join().await.unwrap(), 6);
    }
}

fn keep(value: Shared<String>) {
    static KEPT: OnceLock<Mutex<Vec<Shared<String>>>> = OnceLock::new();
    KEPT.get_or_init(Mutex::default).lock().unwrap().push(value);
}

test! {
    async fn a_worker_killed_while_a_value_is_on_its_way_costs_no_task() {
        let pool = pool(1);
        let first = pool.run(call!(procpool_tests::tasks::pid())).await.unwrap();
        freeze(first);
        let value = pool.shared(vec![7u8; 16 << 20]).unwrap();
        // More than the socket holds: it is half-way, and stays there.
        let run = pool.spawn(call!(byte_at(&value, (16 << 20) - 1)));
        until("it is with the worker", || pool.snapshot().workers[0].task.is_some());
        send(Signal::KILL, first);
        assert_eq!(run.await.unwrap(), 7);
        assert_ne!(pool.run(call!(procpool_tests::tasks::pid())).await.unwrap(), first);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.crashed, report.workers_started), (3, 0, 2), "{report:?}");
    }
}

test! {
    async fn what_is_taken_back_half_way_is_not_left_behind() {
        let pool = pool(1);
        let worker = pool.run(call!(procpool_tests::tasks::pid())).await.unwrap();
        let before = resident(worker);
        freeze(worker);
        let value = pool.shared(vec![3u8; 64 << 20]).unwrap();
        let run = pool.spawn(call!(byte_at(&value, 0)));
        until("it is with the worker", || pool.snapshot().workers[0].task.is_some());
        run.abort();
        assert!(run.await.unwrap_err().is_cancelled());
        drop(value);
        let next = pool.spawn(call!(procpool_tests::tasks::pid()));
        send(Signal::CONT, worker);
        assert_eq!(next.await.unwrap(), worker);
        assert!(resident(worker) < before + (16 << 20));
        // One that a task has kept stays.
        let text = pool.shared("kept".to_owned()).unwrap();
        pool.run(call!(keep(text.clone()))).await.unwrap();
        drop(text);
        pool.shutdown().await.unwrap();
    }
}
