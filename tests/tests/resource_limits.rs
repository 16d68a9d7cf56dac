//! What the kernel allows workers: memory, processor time, files.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use futures::StreamExt;
use procpool::{ErrorKind, Limits, Pool, PoolErrorKind, RunError, Started, Stdio, call};
use procpool_tests::test;

const MIB: usize = 1 << 20;

/// Fills so many bytes.
fn fill(bytes: usize) -> usize {
    black_box(vec![1u8; bytes]).iter().step_by(4096).map(|byte| usize::from(*byte)).sum()
}

/// Keeps more and more.
fn hoard() -> usize {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1u8; MIB]));
    }
}

fn one() -> u32 {
    1
}

fn limited(limits: Limits) -> Pool {
    Pool::builder().workers(1).limits(limits).build().unwrap()
}

fn refused(error: &RunError, kind: ErrorKind, words: &str) {
    assert_eq!((error.kind(), error.started()), (kind, Started::Yes), "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

test! {
    async fn memory_beyond_the_limit_is_an_error_of_its_task() {
        let pool = limited(Limits::new().memory(256 * MIB as u64));
        assert_eq!(pool.run(call!(fill(100 * MIB))).await.unwrap(), 100 * 256);
        for _ in 0..2 {
            let error = pool.run(call!(fill(10 << 30))).await.unwrap_err();
            refused(&error, ErrorKind::MemoryLimit, "its limit of memory is 268435456 bytes");
            assert!(error.to_string().contains("a guess"), "{error}");
            assert_eq!(error.exit().and_then(procpool::Exit::signal_name), Some("SIGABRT"));
            let error = pool.run(call!(hoard())).await.unwrap_err();
            refused(&error, ErrorKind::MemoryLimit, "ran out of memory in worker-0");
            assert_eq!(pool.run(call!(fill(100 * MIB))).await.unwrap(), 100 * 256);
        }
        // It would go the same way again.
        let error = pool.run(call!(hoard())).retries(3).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::MemoryLimit, 1), "{error}");
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.crashed, report.succeeded, report.retried), (5, 3, 0));
        assert!(report.balances());
    }
}

test! {
    async fn an_item_of_a_map_beyond_the_limit_is_the_only_one_to_fail() {
        let pool = limited(Limits::new().memory(256 * MIB as u64));
        let sizes = (0..300).map(|index| if index == 151 { 10 << 30 } else { 4096 });
        for _ in 0..2 {
            let results: Vec<_> = pool.map(fill, sizes.clone()).collect().await;
            assert_eq!(results.len(), 300);
            for (index, result) in results.into_iter().enumerate() {
                match result {
                    Ok(value) => assert!(value == 1 && index != 151),
                    Err(error) => {
                        assert_eq!((error.kind(), error.index()), (ErrorKind::MemoryLimit, Some(151)), "{error}");
                    }
                }
            }
        }
    }
}

test! {
    async fn captured_stderr_makes_a_guess_certain() {
        let limits = Limits::new().memory(256 * MIB as u64);
        // With a backtrace it is not among the last lines.
        for backtrace in ["0", "1"] {
            let builder = Pool::builder().workers(1).limits(limits.clone()).env("RUST_BACKTRACE", backtrace);
            let pool = builder.stderr(Stdio::Capture).build().unwrap();
            let error = pool.run(call!(fill(10 << 30))).await.unwrap_err();
            refused(&error, ErrorKind::MemoryLimit, "an allocation failed");
            assert!(!error.to_string().contains("guess"), "{error}");
            assert!(error.stderr()[0].starts_with("memory allocation of "), "{error:#}");
        }
    }
}

test! {
    async fn another_reason_to_abort_is_not_taken_for_want_of_memory() {
        let pool = limited(Limits::new().memory(256 * MIB as u64));
        let error = pool.run(call!(overflow(0))).await.unwrap_err();
        refused(&error, ErrorKind::WorkerDied, "stack overflow");
        let error = pool.run(call!(panics_while_it_panics())).await.unwrap_err();
        refused(&error, ErrorKind::WorkerDied, "SIGABRT");
    }
}

test! {
    async fn address_space_is_limited_where_that_is_asked_for() {
        let pool = limited(Limits::new().address_space(4 << 30));
        assert_eq!(pool.run(call!(fill(100 * MIB))).await.unwrap(), 100 * 256);
        let error = pool.run(call!(fill(10 << 30))).await.unwrap_err();
        refused(&error, ErrorKind::MemoryLimit, "its limit of address space is 4294967296 bytes");
    }
}

test! {
    async fn processor_time_is_counted_for_each_task() {
        let pool = limited(Limits::new().cpu_time(Duration::from_millis(300)));
        let error = pool.run(call!(work_for(Duration::from_secs(1000)))).await.unwrap_err();
        refused(&error, ErrorKind::CpuLimit, "used up its processor time in worker-0");
        assert_eq!(error.exit().and_then(procpool::Exit::signal_name), Some("SIGXCPU"));
        // Together they use more than one may, and so does what its threads do.
        for _ in 0..10 {
            pool.run(call!(work_for(Duration::from_millis(60)))).await.unwrap();
        }
        let error = pool.run(call!(work_in_threads())).await.unwrap_err();
        refused(&error, ErrorKind::CpuLimit, "300ms");
        // Time in which it waits is not counted, and items of a map are tasks.
        assert_eq!(pool.run(call!(wait_for(Duration::from_millis(600)))).await.unwrap(), 1);
        assert_eq!(pool.map(double, 0..2000).await.unwrap().len(), 2000);
    }
}

test! {
    async fn open_files_and_their_size_are_limited() {
        let pool = limited(Limits::new().open_files(32).file_size(1000));
        let opened = pool.run(call!(open_files())).await.unwrap();
        assert!((1..32).contains(&opened), "{opened}");
        let path = std::env::temp_dir().join(format!("procpool-file-size-{}", std::process::id()));
        let name = path.to_str().unwrap().to_owned();
        let error = pool.run(call!(write_file(name, 5000))).await.unwrap_err();
        refused(&error, ErrorKind::WorkerDied, "its limit of 1000 bytes");
        let name = path.to_str().unwrap().to_owned();
        assert_eq!(pool.run(call!(write_file(name, 1000))).await.unwrap(), 1000);
        std::fs::remove_file(path).unwrap();
    }
}

test! {
    async fn niceness_and_cores_are_what_was_asked_for() {
        let pool = limited(Limits::new().niceness(7).cpus([0]));
        assert_eq!(pool.run(call!(niceness())).await.unwrap(), 7);
        assert_eq!(pool.run(call!(cores())).await.unwrap(), 1);
        assert_eq!(Pool::builder().workers(1).build().unwrap().run(call!(niceness())).await.unwrap(), niceness());
    }
}

test! {
    async fn what_a_task_starts_inherits_its_limits() {
        let pool = limited(Limits::new().memory(256 * MIB as u64).open_files(50));
        let limits = pool.run(call!(limits_of_a_child())).await.unwrap();
        assert!(limits.contains("open files") && limits.lines().any(|line| line.ends_with(" 50")), "{limits}");
    }
}

test! {
    async fn a_task_cannot_raise_a_limit() {
        let pool = limited(Limits::new().open_files(40));
        // Root may do as it likes.
        if !rustix::process::getuid().is_root() {
            assert!(pool.run(call!(raise())).await.unwrap());
        }
    }
}

test! {
    async fn limits_that_no_worker_can_have_are_told() {
        let error = Pool::builder().limits(Limits::new().memory(1)).build().unwrap_err();
        assert_eq!(error.kind(), PoolErrorKind::InvalidConfig);
        let error = Pool::builder().in_process().limits(Limits::new().niceness(1)).build().unwrap_err();
        assert!(error.to_string().contains("limits are for processes"), "{error}");
        let pool = limited(Limits::new().cpus([1023]));
        let error = pool.run(call!(one())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StartFailed, "{error}");
    }
}

#[expect(unconditional_recursion, reason = "until the stack is full")]
fn overflow(depth: u64) -> u64 {
    let room = black_box([depth; 128]);
    overflow(room[5] + 1) + room[7]
}

fn panics_while_it_panics() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose, again");
        }
    }

    let _bomb = Bomb;
    panic!("on purpose");
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn work_for(time: Duration) {
    let start = processor_time();
    while processor_time() - start < time {
        black_box(0);
    }
}

fn work_in_threads() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| work_for(Duration::from_secs(1000)));
        }
    });
}

fn wait_for(time: Duration) -> u32 {
    let start = Instant::now();
    while let Some(left) = time.checked_sub(start.elapsed()) {
        std::thread::park_timeout(left);
    }
    1
}

fn double(number: u64) -> u64 {
    2 * number
}

fn open_files() -> usize {
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    files.len()
}

fn write_file(path: String, bytes: usize) -> usize {
    let mut file = File::create(path).unwrap();
    file.write(&vec![0; bytes.min(1000)]).unwrap()
        + if bytes > 1000 { file.write(&vec![0; bytes - 1000]).unwrap() } else { 0 }
}

fn niceness() -> i32 {
    rustix::process::getpriority_process(None).unwrap()
}

fn cores() -> u32 {
    rustix::thread::sched_getaffinity(None).unwrap().count()
}

fn limits_of_a_child() -> String {
    let output =
        std::process::Command::new("/bin/sh").args(["-c", "echo open files; ulimit -n | sed 's/^/ /'"]).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

fn raise() -> bool {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Nofile, Rlimit { current: Some(41), maximum: Some(41) }).is_err()
}
