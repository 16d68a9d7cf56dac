//! `Blob`: bytes in memory that workers map; where it travels in which way, and that nothing of it is left.

use std::sync::Mutex;

use futures::future::{join, join_all};
use procpool::{Blob, ErrorKind, Json, Pool, Process, Shared, Started, call, queue};
use procpool_tests::tasks::{pid, power, same};
use procpool_tests::{Famine, Gate, Signal, freeze, send, test, until, visit};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const PAGE: usize = 4096;

/// From here on the memory is a file of its own.
const SEALED: usize = 64 << 10;

const SIZES: [usize; 12] =
    [0, 1, PAGE - 1, PAGE, PAGE + 1, SEALED - 1, SEALED, SEALED + 1, 17 * PAGE - 1, 17 * PAGE, 17 * PAGE + 1, 20 << 20];

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}

fn blob(len: usize) -> Blob {
    Blob::copy_from(pattern(len)).unwrap()
}

fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).build().unwrap()
}

/// Its length, if it is what it should be.
fn check(blob: &Blob) -> Option<usize> {
    (**blob == pattern(blob.len())).then_some(blob.len())
}

fn checked(blob: Blob) -> Option<usize> {
    check(&blob)
}

fn addresses(blobs: Vec<Blob>) -> Vec<usize> {
    blobs.iter().map(|blob| blob.as_ptr().addr()).collect()
}

/// One deep in other values, and not alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Page {
    title: String,
    parts: Vec<Option<Blob>>,
}

fn page(blob: &Blob) -> Page {
    Page { title: "many".into(), parts: vec![None, Some(blob.clone()), Some(blob.clone())] }
}

/// The checked length of each part.
fn lengths(page: &Page) -> Vec<Option<usize>> {
    page.parts.iter().flatten().map(check).collect()
}

/// How many descriptors and how many mappings of blobs this process has.
fn holdings() -> (usize, usize) {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let is_blob = |link: std::path::PathBuf| link.to_string_lossy().contains("memfd:procpool-blob");
    let descriptors = links.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(is_blob)).count();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    (descriptors, maps.lines().filter(|line| line.contains("memfd:procpool-blob")).count())
}

/// The same, of a process that has a blob.
fn holdings_with(blob: Blob) -> (usize, usize) {
    drop(blob);
    holdings()
}

async fn sizes(pool: Pool) {
    for len in SIZES {
        let blob = blob(len);
        assert_eq!(pool.run(call!(checked(blob.clone()))).await.unwrap(), Some(len));
        assert_eq!(pool.run(call!(check(&blob))).await.unwrap(), Some(len), "lent");
        assert_eq!(check(&pool.run(call!(same(blob.clone()))).await.unwrap()), Some(len), "there and back");
        let page = page(&blob);
        assert_eq!(pool.run(call!(lengths(&page))).await.unwrap(), [Some(len); 2], "deep inside");
        assert_eq!(lengths(&pool.run(call!(same(page))).await.unwrap()), [Some(len); 2], "and back");
        let built = Blob::build(len, |room| {
            room.copy_from_slice(&blob);
            Ok(())
        });
        assert_eq!(pool.run(call!(checked(built.unwrap()))).await.unwrap(), Some(len), "built");
    }
    pool.shutdown().await.unwrap();
}

async fn ways(pool: Pool) {
    let (small, big) = (blob(1000), blob(1 << 20));
    for blob in [&small, &big] {
        let len = blob.len();
        let items = (0..200).map(|n| (blob.clone(), n));
        let sums = pool.map(|(blob, n): (Blob, usize)| check(&blob).unwrap() + n, items).await.unwrap();
        assert_eq!(sums, (0..200).map(|n| len + n).collect::<Vec<_>>(), "items");
        let found = pool.map_with(page(blob), |page, n: usize| (lengths(page), n), 0..200).await.unwrap();
        assert!(found.into_iter().eq((0..200).map(|n| (vec![Some(len); 2], n))), "a context");
        let shared = pool.shared(page(blob)).unwrap();
        let look = |shared: Shared<Page>| lengths(&shared);
        assert_eq!(pool.map(look, vec![shared; 20]).await.unwrap(), vec![vec![Some(len); 2]; 20], "a shared value");
    }
    // Each item has one of its own.
    let many: Vec<_> = (0..300).map(|n| blob(SEALED - 150 + n)).collect();
    let lens = pool.map(checked, many.iter().cloned()).await.unwrap();
    assert!(lens.into_iter().eq((0..300).map(|n| Some(SEALED - 150 + n))));
    let all = pool.run(call!(total(many))).await.unwrap();
    assert_eq!(all, (0..300).map(|n| SEALED - 150 + n).sum::<usize>());
    pool.shutdown().await.unwrap();
}

fn total(blobs: Vec<Blob>) -> usize {
    blobs.iter().map(|blob| check(blob).unwrap()).sum()
}

test! {
    async fn blobs_of_every_size_go_there_and_back() {
        sizes(pool(2)).await;
    }
}

test! {
    async fn they_do_also_on_threads() {
        sizes(Pool::builder().workers(2).in_process().build().unwrap()).await;
    }
}

test! {
    async fn they_travel_in_items_contexts_and_shared_values() {
        ways(pool(2)).await;
    }
}

test! {
    async fn they_do_so_on_threads_too() {
        ways(Pool::builder().workers(2).in_process().build().unwrap()).await;
    }
}

test! {
    async fn a_worker_maps_a_blob_once_and_keeps_no_descriptor() {
        let pool = pool(1);
        let (one, other) = (blob(1 << 20), blob(1 << 20));
        let all = pool.run(call!(addresses(vec![one.clone(), one.clone(), other.clone()]))).await.unwrap();
        assert_eq!((all[0] == all[1], all[0] == all[2]), (true, false));
        assert_eq!(pool.run(call!(addresses(vec![other, one.clone()]))).await.unwrap(), [all[2], all[0]]);
        assert_eq!(pool.run(call!(holdings_with(one.clone()))).await.unwrap(), (0, 1), "the other one is forgotten");
        assert_eq!(holdings(), (1, 1));
        drop(one);
        assert_eq!(pool.run(call!(holdings())).await.unwrap(), (0, 0));
        pool.shutdown().await.unwrap();
    }
}

test! {
    async fn threads_see_the_memory_of_this_process() {
        let pool = Pool::builder().workers(1).in_process().build().unwrap();
        for len in [100, 1 << 20] {
            let blob = blob(len);
            let seen = pool.run(call!(addresses(vec![blob.clone()]))).await.unwrap();
            assert!(len < SEALED || seen == [blob.as_ptr().addr()]);
        }
        pool.shutdown().await.unwrap();
        assert_eq!(holdings(), (0, 0));
    }
}

fn mark(room: &mut [u8]) -> std::io::Result<()> {
    if let Some(last) = room.last_mut() {
        *last = 7;
    }
    Ok(())
}

fn last_of(blob: Blob) -> (usize, u8) {
    (blob.len(), blob[blob.len() - 1])
}

test! {
    async fn thousands_of_blobs_leave_nothing() {
        let pool = pool(2);
        for round in 0..30 {
            let runs = (0..100).map(|n| pool.run(call!(last_of(Blob::build(SEALED + n, mark).unwrap()))));
            assert!(join_all(runs).await.into_iter().map(Result::unwrap).eq((0..100).map(|n| (SEALED + n, 7))), "{round}");
        }
        assert_eq!(holdings(), (0, 0));
        let both = join(pool.run(call!(holdings())), pool.run(call!(holdings()))).await;
        assert_eq!((both.0.unwrap(), both.1.unwrap()), ((0, 0), (0, 0)));
        assert_eq!(pool.shutdown().await.unwrap().workers_started, 2);
    }
}

fn keep(blob: Blob) {
    static KEPT: Mutex<Vec<Blob>> = Mutex::new(Vec::new());
    KEPT.lock().unwrap().push(blob);
}

test! {
    async fn a_task_may_keep_one() {
        let pool = pool(1);
        let kept = blob(1 << 20);
        pool.run(call!(keep(kept.clone()))).await.unwrap();
        drop(kept);
        assert_eq!((pool.run(call!(holdings())).await.unwrap(), holdings()), ((0, 1), (0, 0)));
        pool.shutdown().await.unwrap();
    }
}

fn check_at(gate: String, blob: Blob) -> Option<usize> {
    visit(gate, 0);
    check(&blob)
}

test! {
    async fn a_worker_that_dies_with_a_blob_leaves_it_to_the_next_attempt() {
        let (pool, gate) = (pool(1), Gate::new());
        let task = pool.run(call!(check_at(gate.path(), blob(20 << 20)))).retries(1).spawn();
        send(Signal::KILL, gate.arrival().await.pid);
        gate.arrival().await.release().await;
        assert_eq!(task.await.unwrap(), Some(20 << 20));
        pool.shutdown().await.unwrap();
        assert_eq!(holdings(), (0, 0));
    }
}

test! {
    async fn a_worker_killed_with_descriptors_on_their_way_costs_no_task() {
        let pool = pool(1);
        let first = pool.run(call!(pid())).await.unwrap();
        freeze(first);
        // More than may be on their way at a time.
        let task = pool.spawn(call!(total((0..300).map(|_| blob(SEALED)).collect())));
        until("it is with the worker", || pool.snapshot().workers[0].task.is_some());
        send(Signal::KILL, first);
        assert_eq!(task.await.unwrap(), 300 * SEALED);
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.crashed, report.workers_started), (2, 0, 2), "{report:?}");
        assert_eq!(holdings(), (0, 0));
    }
}

test! {
    async fn blobs_that_are_taken_back_on_their_way_cost_no_worker() {
        let pool = pool(1);
        let worker = pool.run(call!(pid())).await.unwrap();
        for _ in 0..3 {
            freeze(worker);
            let task = pool.spawn(call!(total((0..300).map(|_| blob(SEALED)).collect())));
            until("it is with the worker", || pool.snapshot().workers[0].task.is_some());
            task.abort();
            assert_eq!(task.await.unwrap_err().kind(), ErrorKind::Cancelled);
            send(Signal::CONT, worker);
            assert_eq!(pool.run(call!(power(4))).await.unwrap(), 256);
        }
        assert_eq!(pool.run(call!(holdings())).await.unwrap(), (0, 0));
        assert_eq!(pool.shutdown().await.unwrap().workers_started, 1);
        assert_eq!(holdings(), (0, 0));
    }
}

test! {
    current_thread async fn they_wait_for_a_busy_worker_without_anybody_s_help() {
        let (pool, gate) = (pool(1), Gate::new());
        let first = pool.spawn(call!(check_at(gate.path(), blob(SEALED))));
        let visitor = gate.arrival().await;
        let rest: Vec<_> = (0..100).map(|n| pool.spawn(call!(checked(blob(SEALED + n))))).collect();
        visitor.release().await;
        assert_eq!(first.await.unwrap(), Some(SEALED));
        for (n, task) in rest.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), Some(SEALED + n));
        }
        pool.shutdown().await.unwrap();
    }
}

/// What tasks in pools of tasks make of it.
fn below(depth: u32, given: Blob) -> (usize, Blob) {
    if depth == 0 {
        return (check(&given).unwrap(), given);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = pool(1);
        let (sum, back) = pool.run(call!(below(depth - 1, given.clone()))).await.unwrap();
        // One that has come back can be given away again.
        let again = pool.run(call!(checked(back.clone()))).await.unwrap().unwrap();
        pool.shutdown().await.unwrap();
        (sum + again, back)
    })
}

test! {
    processes async fn tasks_pass_them_on_to_pools_of_their_own() {
        let pool = pool(1);
        for len in [1000, 1 << 20] {
            let (sum, back) = pool.run(call!(below(2, blob(len)))).await.unwrap();
            assert_eq!((sum, check(&back)), (3 * len, Some(len)));
        }
        pool.shutdown().await.unwrap();
        let process = Process::spawn(call!(checked(blob(1 << 20)))).unwrap();
        assert_eq!(process.join().await.unwrap(), Some(1 << 20));
    }
}

fn remember(blob: Blob) -> Result<(), String> {
    check(&blob).map(|_| keep(blob)).ok_or_else(|| "another one".to_owned())
}

test! {
    queues async fn hooks_states_and_messages_have_copies() {
        let blob = blob(1 << 20);
        let pool = Pool::builder().workers(1).init(call!(remember(blob.clone()))).build().unwrap();
        assert_eq!(pool.run(call!(power(4))).await.unwrap(), 256);
        pool.shutdown().await.unwrap();
        let (sender, receiver) = queue::bounded(1);
        sender.send(page(&blob)).await.unwrap();
        assert_eq!(lengths(&receiver.recv().await.unwrap()), [Some(1 << 20); 2]);
    }
}

test! {
    async fn nowhere_else() {
        let blob = blob(10);
        let pool = pool(1);
        let wrong = |error: &dyn std::fmt::Display| assert!(error.to_string().contains("nowhere else"), "{error}");
        let error = pool.run(call!(same(Json(blob.clone())))).await.unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::Encode, Started::No));
        wrong(&error);
        wrong(&pool.run(call!(boxed(blob))).await.unwrap_err());
        pool.shutdown().await.unwrap();
    }
}

fn boxed(blob: Blob) -> Json<Blob> {
    Json(blob)
}

/// What a broken worker may say that a blob is.
#[derive(Debug)]
struct Forged(u64);

impl Serialize for Forged {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0 => serializer.serialize_newtype_variant("Blob", 0, "Named", &0u64),
            1 => serializer.serialize_newtype_variant("Blob", 0, "Named", &u64::MAX),
            len => serializer.serialize_newtype_variant("Blob", 2, "Apart", &len),
        }
    }
}

impl<'de> Deserialize<'de> for Forged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Blob::deserialize(deserializer).map(|blob| Forged(blob.len() as u64))
    }
}

fn forge(what: u64, _real: Blob) -> Forged {
    Forged(what)
}

test! {
    async fn what_a_worker_makes_up_is_an_error_and_no_memory() {
        let pool = pool(1);
        let blob = blob(1 << 20);
        for what in [0, 1, 1 << 20, u64::MAX] {
            let error = pool.run(call!(forge(what, blob.clone()))).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
        }
        assert_eq!(pool.run(call!(checked(blob))).await.unwrap(), Some(1 << 20));
        assert_eq!(pool.shutdown().await.unwrap().workers_started, 1);
    }
}

fn starve() {
    static FAMINE: Mutex<Option<Famine>> = Mutex::new(None);
    let begun = Famine::new();
    *FAMINE.lock().unwrap() = Some(begun);
}

test! {
    async fn without_a_descriptor_there_is_an_error_that_says_so() {
        let famine = Famine::new();
        let none = Blob::copy_from(pattern(SEALED));
        drop(famine);
        assert!(none.is_err());
        let pool = pool(1);
        pool.run(call!(starve())).await.unwrap();
        let error = pool.run(call!(checked(blob(SEALED)))).await.unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::Decode, Started::No), "{error}");
        assert!(error.to_string().contains("no descriptor number was left"), "{error}");
        assert_eq!(pool.run(call!(checked(blob(SEALED - 1)))).await.unwrap(), Some(SEALED - 1), "small ones need none");
        assert_eq!(pool.shutdown().await.unwrap().workers_started, 1);
    }
}

test! {
    async fn a_result_counts_against_max_message_and_an_argument_does_not() {
        let pool = Pool::builder().workers(1).max_message(1 << 20).build().unwrap();
        let blob = blob(2 << 20);
        assert_eq!(pool.run(call!(checked(blob.clone()))).await.unwrap(), Some(2 << 20));
        assert_eq!(pool.run(call!(same(blob))).await.unwrap_err().kind(), ErrorKind::TooLarge);
        pool.shutdown().await.unwrap();
    }
}
