//! Bugs that were found and are to stay fixed, one a test.

use std::time::{Duration, Instant};

use procpool::{ErrorKind, Pool, Process, Stdio, call};
use procpool_tests::tasks::{leave, pid, same, spin};
use procpool_tests::{Gate, is_alive, test, until, visit};
use rustix::process::{Pid, Signal};

fn raw(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed()).unwrap()
}

/// Leaves its process group for that of the parent, and never ends.
fn change_group_and_spin(gate: String) {
    let parents = rustix::process::getpgid(rustix::process::getppid()).unwrap();
    rustix::process::setpgid(None, Some(parents)).unwrap();
    visit(gate, 0);
    spin();
}

/// Forks; parent and child both return.
fn fork_and_return() -> u32 {
    // SAFETY: the child only returns, into code that ends it.
    #[expect(unsafe_code, reason = "forking without exec, as some C libraries do")]
    unsafe {
        libc::fork();
    }
    std::process::id()
}

/// Writes to the worker's own socket, without end, frames that never become a message.
fn babble() {
    let is_socket = |fd: &i32| {
        // SAFETY: the borrow is used for one question, which a descriptor that is not there answers with an error.
        #[expect(unsafe_code, reason = "looking for a descriptor that is not ours")]
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(*fd) };
        rustix::fs::fstat(fd).is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_socket())
    };
    let socket = (200..300).find(is_socket).unwrap();
    // SAFETY: the worker never closes its socket.
    #[expect(unsafe_code, reason = "writing where only the library may")]
    let socket = unsafe { std::os::fd::BorrowedFd::borrow_raw(socket) };
    let frame = |flags: u8, body: &[u8]| {
        let len = u32::try_from(body.len()).unwrap();
        [&[18, flags, 0, 0][..], &len.to_le_bytes(), &0u64.to_le_bytes(), body].concat()
    };
    // The beginning of a long answer, and that it is taken back.
    let begun = [&1000u64.to_le_bytes()[..], &[0; 8]].concat();
    let bytes = [frame(1, &begun), frame(4, &[])].concat().repeat(2000);
    loop {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let count = rustix::io::write(socket, rest).unwrap();
            rest = &rest[count..];
        }
    }
}

/// Leaves a process behind that has the worker's socket and babbles, and ends.
fn leave_a_babbler() {
    // SAFETY: the child writes to a socket and allocates a little, which glibc allows after a fork.
    #[expect(unsafe_code, reason = "forking without exec, as some C libraries do")]
    unsafe {
        if libc::fork() == 0 {
            libc::setsid();
            // Not for ever, whatever becomes of the test.
            libc::alarm(20);
            babble();
        }
    }
    std::process::exit(9);
}

/// A subscriber whose output nobody reads any more.
struct Broken;

impl tracing::Subscriber for Broken {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("procpool::")
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        // Those of tasks are made on their callers' threads, where a panic is theirs.
        assert_eq!(span.metadata().target(), "procpool::task", "no span can be written");
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        panic!("no event can be written")
    }

    fn try_close(&self, _: tracing::span::Id) -> bool {
        panic!("no span can be closed")
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

test! {
    // A subscriber that panicked (when neither its log nor stderr could be written) ended the keeper: whoever had a
    // task in that pool waited for ever. Later, one that panicked when it was told of a task's end took the result.
    async fn a_subscriber_that_panics_stops_no_pool() {
        tracing::subscriber::set_global_default(Broken).unwrap();
        std::panic::set_hook(Box::new(|_| {}));
        let pool = Pool::builder().workers(1).stdout(Stdio::Capture).stderr(Stdio::Capture).build().unwrap();
        assert_eq!(pool.run(call!(same(1))).await.unwrap(), 1);
        assert_eq!(pool.run(call!(leave(3))).await.unwrap_err().kind(), ErrorKind::WorkerDied);
        assert_eq!(pool.run(call!(same(2))).await.unwrap(), 2);
        assert!(pool.shutdown().await.unwrap().balances());
    }
}

/// Fails in the workers that are started first, and in none that replaces one.
fn fail_at_first(gate: String) {
    if procpool::current().generation() == Some(0) {
        visit(gate, 0);
        std::process::exit(1);
    }
}

test! {
    // Workers that were started together and failed together counted as so many failures in a row: a pool of three or
    // more gave up on all its tasks without a second try.
    async fn workers_that_fail_together_are_one_failure() {
        let gate = Gate::new();
        let pool = Pool::builder().workers(4).init(call!(fail_at_first(gate.path()))).build().unwrap();
        let handles: Vec<_> = (0..20u64).map(|x| pool.spawn(call!(same(x)))).collect();
        for visitor in gate.arrivals(4).await {
            visitor.release().await;
        }
        for (x, handle) in (0..).zip(handles) {
            assert_eq!(handle.await.unwrap(), x);
        }
        pool.shutdown().await.unwrap();
    }
}

test! {
    // A kill went to the group that the worker was started in, where nobody was left: the task ran on, its caller and
    // the pool's shutdown waited for ever.
    async fn a_task_that_changes_its_process_group_can_be_stopped() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let gate = Gate::new();
        let handle = pool.spawn(call!(change_group_and_spin(gate.path())));
        let visitor = gate.arrival().await;
        handle.abort();
        let error = handle.await.unwrap_err();
        assert_eq!((error.is_cancelled(), error.pid()), (true, Some(visitor.pid)));
        assert!(!is_alive(visitor.pid));
        assert!(pool.shutdown().await.unwrap().balances());
    }
}

test! {
    // A message whose last fragment was cut but not written was aborted all the same. The worker took the abort for a
    // breach of the protocol and killed itself.
    async fn cancelling_an_argument_that_is_nearly_sent_costs_no_worker() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let worker = pool.run(call!(pid())).await.unwrap();
        for size in (600_000..1_400_000).step_by(8191) {
            rustix::process::kill_process(raw(worker), Signal::STOP).unwrap();
            let handle = pool.spawn(call!(same(vec![7u8; size])));
            handle.abort();
            assert!(handle.await.unwrap_err().is_cancelled());
            rustix::process::kill_process(raw(worker), Signal::CONT).unwrap();
            assert_eq!(pool.run(call!(pid())).await.unwrap(), worker, "after {size} bytes");
        }
        pool.shutdown().await.unwrap();
    }
}

test! {
    // The driver marked the outbox as flowing while another thread, which had just found the socket full, still held
    // it: what was left in it was written by nobody, and the worker waited until the claim limit killed it.
    async fn cancelled_and_new_arguments_that_meet_a_full_socket_are_all_sent() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let bytes = vec![7u8; 3 << 20];
        for round in 0..300u32 {
            let handle = pool.spawn(call!(same(bytes.clone())));
            for _ in 0..round * 50 {
                std::hint::spin_loop();
            }
            handle.abort();
            let begun = Instant::now();
            assert_eq!(pool.run(call!(same(bytes.clone()))).await.unwrap().len(), bytes.len());
            assert!(begun.elapsed() < Duration::from_secs(5), "round {round} waited for the claim limit");
        }
        pool.shutdown().await.unwrap();
    }
}

test! {
    // A worker that wrote frames without end had its driver, and with it the runtime's thread, to itself.
    current_thread async fn a_worker_that_writes_without_end_leaves_the_runtime_to_others() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let handle = pool.spawn(call!(babble()));
        // With the bug, this thread never comes back from the driver's turn.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        handle.abort();
        assert!(handle.await.unwrap_err().is_cancelled());
        assert_eq!(pool.run(call!(same(1))).await.unwrap(), 1);
        pool.shutdown().await.unwrap();
    }
}

test! {
    // What a dead worker left behind kept the keeper reading for as long as it wrote.
    async fn something_that_writes_to_a_dead_workers_socket_does_not_hold_up_the_keeper() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let begun = Instant::now();
        let error = pool.run(call!(leave_a_babbler())).await.unwrap_err();
        assert_eq!(error.exit().and_then(|exit| exit.code()), Some(9));
        assert_eq!(pool.run(call!(same(1))).await.unwrap(), 1);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        pool.shutdown().await.unwrap();
    }
}

test! {
    // The child of a fork in a task came back into the worker's loop with the worker's socket: it answered once more,
    // and took bytes of the next tasks away.
    async fn a_child_that_returns_from_a_forking_task_ends() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let worker = pool.run(call!(pid())).await.unwrap();
        for round in 0..20u32 {
            assert_eq!(pool.run(call!(fork_and_return())).await.unwrap(), worker, "round {round}");
            for _ in 0..5 {
                assert_eq!(pool.run(call!(pid())).await.unwrap(), worker, "round {round}");
            }
        }
        pool.shutdown().await.unwrap();
    }
}

test! {
    // Terminated between being ready and taking its call, it came back as another process, of which its owner knew
    // nothing, and ran on.
    processes async fn a_process_that_is_terminated_at_any_moment_does_not_come_back() {
        for delay in 0..150u64 {
            let process = Process::spawn(call!(spin())).unwrap();
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_micros(delay * 16) {
                std::hint::spin_loop();
            }
            process.terminate().unwrap();
            let error = process.join().await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::WorkerDied | ErrorKind::StartFailed), "{error}");
        }
    }
}

test! {
    // Each small result kept the buffer of 64 KiB that it was read into until its caller took it.
    async fn results_that_nobody_takes_need_little_memory() {
        let pool = Pool::builder().workers(1).build().unwrap();
        let size = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("VmData:")).unwrap().to_owned();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        pool.run(call!(same(0))).await.unwrap();
        let handles: Vec<_> = (0..10_000u64).map(|x| pool.spawn(call!(same(x)))).collect();
        let before = size();
        until("all tasks end", || handles.iter().all(procpool::JoinHandle::is_finished));
        let kib = size().saturating_sub(before);
        assert!(kib < 50_000, "{kib} KiB for 10,000 small results");
        drop(handles);
        pool.shutdown().await.unwrap();
    }
}
