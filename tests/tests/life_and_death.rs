//! The death of the parent, of workers, of what tasks start; and programs that interfere with all of it.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use procpool::{ErrorKind, Exit, Pool, Started, call};
use procpool_tests::tasks::{abort, leave, pid, power, spin, visit_and_spin, wait_at};
use procpool_tests::{
    Gate, Part, Signal, close_everything, ended, fork_a_holder, freeze, ignore_children, is_alive, parent_of, part,
    reap_any_child, send, send_to_group, start_idler, start_something_and_spin, test, until, until_it_waits, visit,
    watched,
};
use tokio::signal::unix::SignalKind;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

test! {
    async fn behaviour_39_last_handle_dropped() {
        let gate = Gate::new();
        let (path_1, path_2) = (gate.path(), gate.path());
        let pool = Pool::builder().workers(2).build().unwrap();
        let kept = pool.spawn(call!(wait_at(path_1, 1)));
        drop(pool.spawn(call!(wait_at(path_2, 2))));
        let queued = pool.spawn(call!(power(4)));
        let visitors = gate.arrivals(2).await;
        let workers: Vec<u32> = visitors.iter().map(|visitor| visitor.pid).collect();
        drop(pool);
        assert!(workers.iter().all(|&worker| is_alive(worker)), "work that was handed over goes on");
        for visitor in visitors {
            visitor.release().await;
        }
        assert!(workers.contains(&kept.await.unwrap()));
        assert_eq!(queued.await.unwrap(), 256);
        for worker in workers {
            ended(worker).await;
        }
    }
}

part! {
    /// A service whose two workers are busy for ever, with something that they have started.
    fn a_busy_service(mode: String) {
        let (mode, gate) = mode.split_once(' ').unwrap();
        runtime().block_on(async {
            let pool = Pool::builder().workers(2).build().unwrap();
            let closes = mode == "closed";
            let (path_1, path_2) = (gate.to_owned(), gate.to_owned());
            let runs = [
                pool.spawn(call!(start_something_and_spin(path_1, closes))),
                pool.spawn(call!(start_something_and_spin(path_2, closes))),
            ];
            // One that has closed every descriptor may be found out, and be gone, before the other begins.
            let begun = || {
                let busy = pool.snapshot().workers.iter().filter(|worker| worker.task.is_some()).count();
                busy + runs.iter().filter(|run| run.is_finished()).count()
            };
            while begun() < 2 {
                tokio::task::yield_now().await;
            }
            let word = if mode == "fork" { u64::from(fork_a_holder()) } else { 0 };
            let path = gate.to_owned();
            tokio::task::spawn_blocking(move || visit(path, word)).await.unwrap();
            if mode != "leave" {
                std::future::pending::<()>().await;
            }
        });
        // "leave": main returns.
    }
}

/// A service with its workers, what they have started, and what it has forked.
struct Scene {
    service: Part,
    family: Vec<u32>,
    holder: Option<u32>,
    release: procpool_tests::Visitor,
}

/// How many descriptors a process has; 0 for one that is gone.
fn open_descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

impl Scene {
    async fn set(mode: &str) -> Scene {
        let gate = Gate::new();
        let service = Part::start("a_busy_service", &format!("{mode} {}", gate.path()));
        let (mut family, mut workers, mut holder, mut release) = (Vec::new(), Vec::new(), None, None);
        for visitor in gate.arrivals(3).await {
            let word = u32::try_from(visitor.word).unwrap();
            if visitor.pid == service.pid() {
                holder = (word != 0).then_some(word);
                release = Some(visitor);
            } else {
                assert_eq!(parent_of(visitor.pid), Some(service.pid()));
                assert_eq!(parent_of(word), Some(visitor.pid));
                family.extend([visitor.pid, word]);
                workers.push(visitor.pid);
                visitor.release().await;
            }
        }
        if mode == "closed" {
            // The three standard ones are left.
            let has_none = |pid: &u32| !is_alive(*pid) || open_descriptors(*pid) <= 3;
            until("all is closed", || workers.iter().all(has_none));
        }
        Scene { service, family, holder, release: release.unwrap() }
    }

    fn all_gone(&self) -> bool {
        !self.family.iter().any(|&pid| is_alive(pid))
    }
}

test! {
    async fn behaviour_39_main_left() {
        let mut scene = Scene::set("leave").await;
        scene.release.release().await;
        assert!(scene.service.end().success());
        for pid in scene.family {
            ended(pid).await;
        }
    }
}

test! {
    async fn behaviour_39_parent_killed() {
        let mut quickest = Duration::MAX;
        for _ in 0..5 {
            let mut scene = Scene::set("stay").await;
            let killed = Instant::now();
            scene.service.kill();
            until("nobody is left", || scene.all_gone());
            quickest = quickest.min(killed.elapsed());
        }
        // Each time all are gone. How soon, a loaded machine may spoil now and then, not five times.
        assert!(quickest < Duration::from_millis(100), "{quickest:?}");
    }
}

part! {
    /// A service with eight workers in loops that look at nothing.
    fn a_service_with_eight_busy_workers(gate: String) {
        runtime().block_on(async {
            let pool = Pool::builder().workers(8).build().unwrap();
            for _ in 0..8 {
                let gate = gate.clone();
                drop(pool.spawn(call!(visit_and_spin(gate))));
            }
            std::future::pending::<()>().await;
        });
    }
}

test! {
    /// Each has one thread that spins and one that watches, and here they all want a few cores at once.
    async fn eight_busy_workers_are_gone_100_ms_after_their_parent_is_killed() {
        let mut quickest = Duration::MAX;
        for _ in 0..5 {
            let gate = Gate::new();
            let mut service = Part::start("a_service_with_eight_busy_workers", &gate.path());
            let mut workers = Vec::new();
            for visitor in gate.arrivals(8).await {
                assert_eq!(parent_of(visitor.pid), Some(service.pid()));
                workers.push(visitor.pid);
                visitor.release().await;
            }
            let killed = Instant::now();
            service.kill();
            until("nobody is left", || !workers.iter().any(|&pid| is_alive(pid)));
            println!("all gone after {:?}", killed.elapsed());
            quickest = quickest.min(killed.elapsed());
        }
        // As above.
        assert!(quickest < Duration::from_millis(100), "{quickest:?}");
    }
}

test! {
    async fn behaviour_c_fork_holds_the_socket() {
        let mut scene = Scene::set("fork").await;
        let holder = scene.holder.unwrap();
        scene.service.kill();
        until("nobody is left", || scene.all_gone());
        assert!(is_alive(holder), "it held the sockets all the time");
        send(Signal::KILL, holder);
        ended(holder).await;
    }
}

part! {
    /// A service in the foreground of a terminal: at Ctrl-C it lets what runs finish, and says how that went.
    fn a_service_at_a_terminal(gate: String) {
        let code = runtime().block_on(async {
            let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt()).unwrap();
            let pool = Pool::builder().workers(2).build().unwrap();
            let (path_1, path_2, path_3) = (gate.clone(), gate.clone(), gate.clone());
            let run = pool.spawn(call!(wait_at(path_1, 1)));
            let last = pool.spawn(call!(wait_at(path_2, 2)));
            interrupt.recv().await;
            let ending = pool.shutdown();
            let noticed = tokio::task::spawn_blocking(move || visit(path_3, 3));
            let (report, _) = futures::join!(ending, noticed);
            let fine = run.await.is_ok() && last.await.is_ok();
            let report = report.unwrap();
            if fine && report.succeeded == 2 && report.workers_started == 2 { 42 } else { 43 }
        });
        std::process::exit(code);
    }
}

test! {
    async fn behaviour_42_ctrl_c() {
        let gate = Gate::new();
        let program = std::env::current_exe().unwrap();
        let mut command = Part::command(program, "a_service_at_a_terminal", &gate.path());
        command.process_group(0).stderr(Stdio::piped());
        let mut service = command.spawn().unwrap();
        let visitors = gate.arrivals(2).await;
        // What a terminal does: to everybody in the foreground group.
        send_to_group(Signal::INT, service.id());
        let noticed = gate.arrival().await;
        assert_eq!((noticed.pid, noticed.word), (service.id(), 3));
        assert!(visitors.iter().all(|visitor| is_alive(visitor.pid)));
        noticed.release().await;
        for visitor in visitors {
            visitor.release().await;
        }
        let output = tokio::task::spawn_blocking(move || {
            let mut printed = String::new();
            std::io::Read::read_to_string(&mut service.stderr.take().unwrap(), &mut printed).unwrap();
            (service.wait().unwrap().code(), printed)
        });
        assert_eq!(output.await.unwrap(), (Some(42), String::new()), "in its own way, and nobody prints anything");
    }
}

const REQUESTS: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::HUP];

test! {
    async fn behaviour_42_workers_shrug_off_requests_to_end() {
        let gate = Gate::new();
        let path = gate.path();
        let pool = watched(Pool::builder().workers(1).build().unwrap());
        let idle = pool.run(call!(pid())).await.unwrap();
        let run = pool.spawn(call!(wait_at(path, 0)));
        let visitor = gate.arrival().await;
        for signal in REQUESTS {
            // Busy, as a leader of its own group, the group as a whole, too.
            send(signal, visitor.pid);
            send_to_group(signal, visitor.pid);
        }
        visitor.release().await;
        assert_eq!(run.await.unwrap(), idle);
        for signal in REQUESTS {
            send(signal, idle);
            assert_eq!(pool.run(call!(pid())).await.unwrap(), idle);
        }
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.workers_started, report.crashed), (1, 0));
    }
}

test! {
    async fn behaviour_e_term_during_drain() {
        let gate = Gate::new();
        let paths = [gate.path(), gate.path()];
        let pool = watched(Pool::builder().workers(2).build().unwrap());
        let runs = paths.map(|path| pool.spawn(call!(wait_at(path, 0))));
        let queued = pool.spawn(call!(power(4)));
        let visitors = gate.arrivals(2).await;
        let ending = pool.shutdown();
        let terminating = async {
            until("the pool is closing", || pool.snapshot().closing);
            for visitor in &visitors {
                send(Signal::TERM, visitor.pid);
            }
            for visitor in visitors {
                visitor.release().await;
            }
        };
        let (report, ()) = futures::join!(ending, terminating);
        for run in runs {
            run.await.unwrap();
        }
        assert_eq!(queued.await.unwrap(), 256);
        let report = report.unwrap();
        assert_eq!((report.succeeded, report.crashed, report.workers_started), (3, 0, 2), "{report:?}");
    }
}

test! {
    async fn behaviour_e_term_to_one_worker() {
        let gate = Gate::new();
        let (path_1, path_2) = (gate.path(), gate.path());
        let pool = watched(Pool::builder().workers(1).init(call!(initialise_at(path_1))).build().unwrap());
        let run = pool.spawn(call!(wait_at(path_2, 2)));
        // While it starts, and while it works.
        for _ in 0..2 {
            let visitor = gate.arrival().await;
            send(Signal::TERM, visitor.pid);
            visitor.release().await;
        }
        run.await.unwrap();
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.succeeded, report.workers_started), (1, 1));
    }
}

fn initialise_at(gate: String) {
    visit(gate, 1);
}

fn close_all() {
    close_everything();
}

fn close_all_and_spin() {
    close_everything();
    spin();
}

test! {
    async fn behaviour_b_closes_every_descriptor() {
        let gate = Gate::new();
        let path = gate.path();
        let pool = watched(Pool::builder().workers(2).build().unwrap());
        let other = pool.spawn(call!(wait_at(path, 0)));
        let visitor = gate.arrival().await;
        for _ in 0..5 {
            let victim = pool.run(call!(pid())).await.unwrap();
            let error = pool.run(call!(close_all())).await.unwrap_err();
            assert_eq!((error.kind(), error.started()), (ErrorKind::WorkerDied, Started::Yes), "{error}");
            assert_eq!((error.pid(), error.exit().and_then(Exit::signal)), (Some(victim), Some(9)), "{error}");
            assert!(!is_alive(victim));
            // One that goes on all the same may be told from no other task, until it ends: it has its time limit.
            let error = pool.run(call!(close_all_and_spin())).timeout(Duration::from_millis(100)).await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WorkerDied), "{error}");
            assert_eq!((error.exit().and_then(Exit::signal), error.started()), (Some(9), Started::Yes), "{error}");
            assert_eq!(pool.run(call!(power(4))).await.unwrap(), 256);
        }
        let busy = visitor.pid;
        visitor.release().await;
        assert_eq!(other.await.unwrap(), busy, "the other worker's task was not disturbed");
        let report = pool.shutdown().await.unwrap();
        assert_eq!((report.crashed + report.timed_out, report.succeeded, report.balances()), (10, 11, true), "{report:?}");
    }
}

test! {
    async fn behaviour_b_parent_killed_afterwards() {
        let mut scene = Scene::set("closed").await;
        scene.service.kill();
        until("nobody is left", || scene.all_gone());
    }
}

/// Tasks that are well, tasks that crash, and an orderly end, in a program that collects its children itself.
async fn work_in_spite_of_the_host() {
    let pool = watched(Pool::builder().workers(2).build().unwrap());
    for x in 0..20 {
        assert_eq!(pool.run(call!(power(x))).await.unwrap(), power(x));
        let error = match x % 2 {
            0 => pool.run(call!(abort())).await,
            _ => pool.run(call!(leave(7))).await,
        };
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.started()), (ErrorKind::WorkerDied, Started::Yes), "{error}");
        // The status, where somebody else has it.
        match error.exit().unwrap() {
            Exit::Unknown => assert!(error.to_string().contains("something else in this program"), "{error}"),
            Exit::Code(code) => assert_eq!((x % 2, code), (1, 7)),
            exit => assert_eq!((x % 2, exit.signal_name()), (0, Some("SIGABRT"))),
        }
    }
    let endless = pool.run(call!(spin())).timeout(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(endless.kind(), ErrorKind::TimedOut);
    let report = pool.shutdown().await.unwrap();
    assert_eq!(
        (report.succeeded, report.crashed, report.timed_out, report.balances()),
        (20, 20, 1, true),
        "{report:?}"
    );
}

test! {
    async fn behaviour_d_host_ignores_sigchld() {
        ignore_children();
        let mut bystander = start_idler();
        work_in_spite_of_the_host().await;
        assert!(is_alive(bystander.id()), "nothing else is killed");
        send(Signal::KILL, bystander.id());
        // It waits, and finds that nobody is left to be collected.
        drop(bystander.wait());
    }
}

test! {
    async fn behaviour_d_host_waits_for_any_child() {
        let bystander = start_idler().id();
        let collecting = Arc::new(AtomicBool::new(true));
        let host = std::thread::spawn({
            let collecting = Arc::clone(&collecting);
            move || {
                while collecting.load(Ordering::Relaxed) && reap_any_child() != Some(bystander) {}
            }
        });
        work_in_spite_of_the_host().await;
        assert!(is_alive(bystander), "nothing else is killed");
        collecting.store(false, Ordering::Relaxed);
        send(Signal::KILL, bystander);
        host.join().unwrap();
    }
}

part! {
    /// Runs a task with a time limit, and tells how that went.
    fn a_service_that_is_stopped(gate: String) {
        runtime().block_on(async {
            let pool = Pool::builder().workers(1).build().unwrap();
            pool.ready().await.unwrap();
            let (path_1, path_2) = (gate.clone(), gate.clone());
            let run = pool.run(call!(wait_at(path_1, 0))).timeout(STOPPED_LIMIT).await;
            let report = pool.shutdown().await.unwrap();
            let counts = run.is_ok() && report.succeeded == 1 && report.workers_started == 1;
            tokio::task::spawn_blocking(move || visit(path_2, u64::from(counts))).await.unwrap();
        });
    }
}

const STOPPED_LIMIT: Duration = Duration::from_secs(2);

test! {
    async fn behaviour_f_stopped_parent() {
        let gate = Gate::new();
        let mut service = Part::start("a_service_that_is_stopped", &gate.path());
        let visitor = gate.arrival().await;
        let began = Instant::now();
        freeze(service.pid());
        assert!(began.elapsed() < STOPPED_LIMIT, "this machine is too slow for this test");
        let worker = visitor.pid;
        visitor.release().await;
        until_it_waits(worker);
        until("the limit is over", || began.elapsed() > STOPPED_LIMIT + Duration::from_millis(100));
        send(Signal::CONT, service.pid());
        let visitor = gate.arrival().await;
        assert_eq!(visitor.word, 1, "the result counts");
        visitor.release().await;
        assert!(service.end().success());
    }
}
