//! Workers that die, and workers whose parent does.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};

use super::parent::{Options, Parent, wait};
use crate::sys::misbehave;
use crate::sys::process::{self, ExitFacts, Stream};
use crate::task::Step;
use crate::wire::frame::Kind;
use crate::wire::message::SignalPolicy;
use crate::wire::page::SlotState;

const KILLED: ExitFacts = signaled(libc::SIGKILL);

const fn signaled(signal: i32) -> ExitFacts {
    ExitFacts::Signaled { signal, core_dumped: false }
}

fn spin(_: ()) {
    loop {
        std::hint::spin_loop();
    }
}

/// Asks for more and more stack.
fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if depth == 0 { 0 } else { recurse(std::hint::black_box(depth + 1)) + frame[1] }
}

#[test]
fn an_exit_in_a_task_leaves_it_claimed() {
    for code in [0, 42] {
        let mut parent = Parent::ready(Options::default());
        let (offer, facts) = parent.die_of(|code: i32| -> () { std::process::exit(code) }, code);
        assert_eq!(facts, ExitFacts::Exited(code));
        assert!(matches!(parent.page.inspect(offer), SlotState::Claimed { .. }));
        assert_eq!((parent.page.step(), parent.page.panic_report()), (Some(Step::Running), None));
    }
}

#[test]
fn a_segfault_is_told_by_its_signal() {
    let mut parent = Parent::ready(Options::default());
    let (_, facts) = parent.die_of(|()| rustix::process::kill_process(rustix::process::getpid(), SEGV).is_ok(), ());
    assert_eq!(facts, signaled(libc::SIGSEGV));
    // Not merely sent: a wild access.
    let mut parent = Parent::ready(Options { stderr: Stream::Pipe, ..Options::default() });
    let (_, facts) = parent.die_of(misbehave::wild_access, 8);
    assert_eq!((facts, parent.page.panic_report()), (signaled(libc::SIGSEGV), None));
}

const SEGV: rustix::process::Signal = rustix::process::Signal::SEGV;

#[test]
fn a_stack_overflow_leaves_word_and_print() {
    let mut parent = Parent::ready(Options { stderr: Stream::Pipe, ..Options::default() });
    let stderr = parent.child.take_stderr().unwrap();
    let (offer, facts) = parent.die_of(recurse, 1);
    assert_eq!(facts, signaled(libc::SIGABRT));
    assert!(matches!(parent.page.inspect(offer), SlotState::Claimed { .. }));
    assert_eq!(parent.page.panic_report().unwrap().message, "stack overflow");
    let mut text = String::new();
    let _ = std::fs::File::from(stderr).read_to_string(&mut text);
    assert!(text.contains("thread 'worker-3' has overflowed its stack"), "{text}");
}

#[test]
fn a_death_while_decoding_is_told_as_such() {
    #[derive(serde::Serialize)]
    struct Deadly;
    impl<'de> serde::Deserialize<'de> for Deadly {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            std::process::abort()
        }
    }
    let mut parent = Parent::ready(Options::default());
    let (_, facts) = parent.die_of(|_: Deadly| (), Deadly);
    assert_eq!((facts, parent.page.step()), (signaled(libc::SIGABRT), Some(Step::Decoding)));
}

#[test]
fn a_task_that_closes_every_descriptor_ends_its_worker() {
    let mut parent = Parent::ready(Options::default());
    let close_all = |()| {
        let fds = std::fs::read_dir("/proc/self/fd").unwrap();
        let numbers: Vec<i32> =
            fds.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok()).filter(|&fd| fd > 2).collect();
        numbers.into_iter().for_each(misbehave::close);
    };
    let (_, facts) = parent.die_of(close_all, ());
    assert_eq!(facts, KILLED);
}

#[test]
fn a_worker_of_a_pool_shrugs_off_requests_to_end() {
    let mut parent = Parent::start(Options::default());
    // At any time, before it is ready too.
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        parent.child.signal(signal).unwrap();
    }
    assert_eq!((parent.receive().kind, parent.receive().kind), (Kind::Hello, Kind::InitDone));
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        parent.child.signal(signal).unwrap();
    }
    assert_eq!(parent.value(|x: u8| x, 7), 7);
}

#[test]
fn a_process_obeys_requests_to_end_also_before_it_is_ready() {
    let mut parent = Parent::start(Options { signals: SignalPolicy::Default, ..Options::default() });
    parent.child.signal(libc::SIGTERM).unwrap();
    assert_eq!(parent.end(), signaled(libc::SIGTERM));
    let mut parent = Parent::ready(Options { signals: SignalPolicy::Default, ..Options::default() });
    parent.submit(spin, ());
    parent.child.signal(libc::SIGINT).unwrap();
    assert_eq!(parent.end(), signaled(libc::SIGINT));
}

#[test]
fn another_executable_says_hello_and_ends() {
    let mut parent = Parent::start(Options { other_exe: true, stderr: Stream::Pipe, ..Options::default() });
    assert_eq!(parent.receive().kind, Kind::Hello);
    assert_eq!(parent.try_receive(), None);
    assert_eq!(parent.end(), ExitFacts::Exited(super::super::start::EXIT_BROKEN));
}

#[test]
fn a_worker_that_is_let_go_ends_idle_or_busy() {
    let mut idle = Parent::ready(Options::default());
    idle.socket = None;
    assert_eq!(idle.end(), KILLED);
    let mut busy = Parent::ready(Options::default());
    busy.submit(spin, ());
    busy.socket = None;
    assert_eq!(busy.end(), KILLED);
    let mut starting = Parent::start(Options::default());
    starting.socket = None;
    assert_eq!(starting.end(), KILLED);
}

const MIDDLE: &str = "PROCPOOL_TEST_MIDDLE";

/// No test by itself: run again by the next ones, as a parent that is to be killed.
#[test]
fn middle() {
    let Ok(mode) = std::env::var(MIDDLE) else { return };
    let mut parent = Parent::ready(Options::default());
    parent.submit(spin, ());
    // A process of the worker's own, which must go with it.
    let mut other = Parent::ready(Options::default());
    let grandchild = other.value(
        |()| {
            let child = Command::new("/bin/cat").stdin(Stdio::piped()).spawn().unwrap();
            let pid = child.id();
            // Its input stays open, or it would end by itself.
            std::mem::forget(child);
            pid
        },
        (),
    );
    let holder = if mode == "fork" { misbehave::fork_a_holder() } else { 0 };
    let pids = format!("\nworkers {} {} {grandchild} {holder}\n", parent.child.pid(), other.child.pid());
    std::io::stdout().write_all(pids.as_bytes()).unwrap();
    loop {
        std::thread::park();
    }
}

/// Kills a parent, and waits for the end of its workers and of what they have started.
fn kill_a_parent(mode: &str) {
    let mut middle = Command::new("/proc/self/exe")
        .args(["--exact", "worker::tests::death::middle", "--nocapture"])
        .env(MIDDLE, mode)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(middle.stdout.take().unwrap()).lines();
    let pids = lines.find_map(|line| line.unwrap().strip_prefix("workers ").map(str::to_owned)).unwrap();
    let mut pids: Vec<u32> = pids.split(' ').map(|pid| pid.parse().unwrap()).collect();
    let holder = pids.pop().filter(|&pid| pid != 0).map(Stray::open);
    let workers: Vec<_> = pids.into_iter().map(Stray::open).collect();
    middle.kill().unwrap();
    middle.wait().unwrap();
    workers.iter().for_each(|worker| wait(worker.0.as_fd()));
    // It holds the parents' ends of the sockets until now.
    drop(holder);
}

/// A process that is nobody's child any more; it does not outlive a test that fails.
struct Stray(OwnedFd);

impl Stray {
    fn open(pid: u32) -> Stray {
        Stray(process::open_pid(pid).unwrap())
    }
}

impl Drop for Stray {
    fn drop(&mut self) {
        let _ = rustix::process::pidfd_send_signal(&self.0, rustix::process::Signal::KILL);
    }
}

#[test]
fn workers_and_what_they_started_end_with_a_parent_that_is_killed() {
    kill_a_parent("plain");
}

#[test]
fn they_do_also_when_something_forked_holds_the_parents_sockets() {
    kill_a_parent("fork");
}
