//! Workers that live.

use std::io::Read;
use std::process::Command;

use super::parent::{MAX_MESSAGE, Options, Parent, job};
use crate::sys::process::{EnvChanges, ExitFacts};
use crate::task::WireEntry;
use crate::wire::frame::{Fragments, Kind, abort};
use crate::wire::message::{PanicReport, ReplyBody, task_head};
use crate::wire::page::SlotState;

fn echo(text: String) -> String {
    text
}

fn die(message: String) {
    panic!("{message}");
}

#[test]
fn a_worker_starts_works_and_ends() {
    let mut parent = Parent::ready(Options::default());
    let offer = parent.submit(echo, "hello".to_owned());
    let ReplyBody::Value(value) = parent.reply(offer) else { panic!("no value") };
    assert_eq!(super::parent::decode::<String>(&value), "hello");
    // The answer precedes `Done`, so that `Done` may not be there yet; after the next answer it is.
    assert_eq!(parent.value(|x: u32| x + 1, 1), 2);
    assert_eq!(parent.page.inspect(offer), SlotState::Done);
    parent.send(Kind::Retire, 0, b"");
    assert_eq!(parent.try_receive(), None);
    assert_eq!(parent.end(), ExitFacts::Exited(0));
}

#[test]
fn a_worker_knows_who_it_is() {
    let mut parent = Parent::ready(Options::default());
    let offer = parent.submit(
        |()| {
            let me = crate::current();
            let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
            // Threads of a task see the same.
            assert_eq!(std::thread::spawn(|| crate::current().task()).join().unwrap(), me.task());
            let numbers = (me.slot(), me.generation(), me.task(), me.attempt(), me.depth());
            (me.to_string(), numbers, me.is_worker(), me.is_cancelled(), comm)
        },
        (),
    );
    let ReplyBody::Value(value) = parent.reply(offer) else { panic!("no value") };
    type Numbers = (Option<u32>, Option<u32>, Option<u64>, Option<u32>, u32);
    let (text, numbers, is_worker, cancelled, comm): (String, Numbers, bool, bool, String) =
        super::parent::decode(&value);
    assert_eq!(text, format!("worker-3 (pid {})", parent.child.pid()));
    assert_eq!(numbers, (Some(3), Some(2), Some(offer.0 + 1000), Some(1), 1));
    assert_eq!((is_worker, cancelled, &*comm), (true, false, "worker-3\n"));
}

#[test]
fn a_task_sees_that_it_is_cancelled() {
    let mut parent = Parent::ready(Options::default());
    let offer = parent.submit(
        |()| {
            let me = crate::current();
            while !me.is_cancelled() {
                std::thread::yield_now();
            }
            "stopped".to_owned()
        },
        (),
    );
    parent.page.set_cancel(offer);
    assert!(matches!(parent.reply(offer), ReplyBody::Value(_)));
    assert!(!parent.value(|()| crate::current().is_cancelled(), ()));
}

#[test]
fn a_revoked_task_is_skipped_without_a_word() {
    let mut parent = Parent::ready(Options::default());
    let revoked = parent.offer();
    assert_eq!(parent.page.revoke(revoked), SlotState::Revoked);
    parent.send_task(revoked, |code: i32| -> () { std::process::exit(code) }, 9);
    assert_eq!(parent.value(echo, "next".to_owned()), "next");
    assert_eq!(parent.page.inspect(revoked), SlotState::Revoked);
}

#[test]
fn a_half_sent_task_can_be_taken_back() {
    let mut parent = Parent::ready(Options::default());
    let half = parent.offer();
    let (prefix, range) = Fragments::new(Kind::Task, half.0, 1 << 20, 0).next().unwrap();
    let bytes = [&prefix[..], &vec![0; range.len()], &abort(Kind::Task, half.0)].concat();
    let slices = &mut [std::io::IoSlice::new(&bytes)];
    crate::sys::socket::send_all(parent.socket.as_ref().unwrap(), slices).unwrap();
    assert_eq!(parent.value(echo, "next".to_owned()), "next");
    assert_eq!(parent.page.inspect(half), SlotState::Offered);
}

#[test]
fn big_arguments_and_results_cross_in_fragments() {
    let mut parent = Parent::ready(Options::default());
    let text: String = (0..700_000u32).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    assert!(parent.value(echo, text.clone()) == text);
    let len = MAX_MESSAGE as usize;
    let ReplyBody::TooLarge { len: told, limit } = parent.call(|len: usize| "x".repeat(len), len + 1) else {
        panic!("it was sent")
    };
    assert!(told > MAX_MESSAGE && limit == MAX_MESSAGE);
    assert_eq!(parent.value(echo, "still there".to_owned()), "still there");
}

#[test]
fn panics_are_told_and_survived() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new(Bomb));
        }
    }
    let mut parent = Parent::ready(Options::default());
    let ReplyBody::Panicked(report) = parent.call(die, "no luck".to_owned()) else { panic!("it did not panic") };
    let PanicReport { message, location, thread, .. } = report;
    assert_eq!((&*message, thread.as_deref()), ("no luck", Some("main")));
    assert!(location.unwrap().contains("life.rs:"));
    // (Its backtrace may be cut in the page.)
    assert_eq!(parent.page.panic_report().map(|report| (report.message, report.thread)), Some((message, thread)));
    let not_a_string = parent.call(|()| -> () { std::panic::panic_any(7) }, ());
    let ReplyBody::Panicked(report) = not_a_string else { panic!("{not_a_string:?}") };
    assert_eq!(report.message, "panic with a payload that is not a string");
    assert!(report.location.is_some());
    let bomb = parent.call(|()| -> () { std::panic::panic_any(Bomb) }, ());
    assert!(matches!(bomb, ReplyBody::Panicked(_)), "{bomb:?}");
    // A panic that the task caught is not the one that ended it.
    let resumed = parent.call(
        |()| -> () {
            let _ = std::panic::catch_unwind(|| panic!("an earlier one"));
            std::panic::resume_unwind(Box::new("by hand"))
        },
        (),
    );
    let ReplyBody::Panicked(report) = resumed else { panic!("{resumed:?}") };
    assert_eq!((&*report.message, report.location), ("by hand", None));
    assert_eq!(parent.value(|()| std::process::id(), ()), parent.child.pid());
}

#[test]
fn what_cannot_be_decoded_encoded_or_found_is_told() {
    #[derive(serde::Deserialize)]
    struct Refuses;
    impl serde::Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("on principle"))
        }
    }
    let mut parent = Parent::ready(Options::default());
    let unencodable = parent.call(|()| Refuses, ());
    assert!(matches!(unencodable, ReplyBody::Unencodable(_)), "{unencodable:?}");

    let offer = parent.offer();
    let parts = crate::task::map_parts(echo, String::new());
    let mut body = task_head(&parts.entry.to_wire().unwrap().into(), 1, 1, "test");
    body.push(0xff);
    parent.send(Kind::Task, offer.0, &body);
    let undecodable = parent.reply(offer);
    assert!(matches!(undecodable, ReplyBody::Undecodable(_)), "{undecodable:?}");

    let offer = parent.offer();
    body[2..][..WireEntry::LEN].fill(0);
    parent.send(Kind::Task, offer.0, &body);
    let unknown = parent.reply(offer);
    assert!(matches!(unknown, ReplyBody::UnknownCode(_)), "{unknown:?}");
    assert_eq!(parent.value(echo, "still there".to_owned()), "still there");
}

#[test]
fn a_task_cannot_read_the_protocol_and_finds_few_descriptors() {
    let mut parent = Parent::ready(Options::default());
    let read = parent.value(
        |()| {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|count| count as u64).map_err(|error| error.to_string())
        },
        (),
    );
    assert_eq!(read, Ok(0));
    let mut descriptors = parent.value(
        |()| {
            let entries = std::fs::read_dir("/proc/self/fd").unwrap();
            let link = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_link(entry.unwrap().path());
            entries.filter_map(|entry| link(entry).ok()).map(|path| path.display().to_string()).collect::<Vec<_>>()
        },
        (),
    );
    descriptors.retain(|path| path.starts_with("socket:") || path.contains("pidfd") || path.contains("memfd"));
    descriptors.sort();
    // The socket, that of the queues, and the parent's pidfd; the page is a mapping without a descriptor.
    assert_eq!(descriptors.len(), 3, "{descriptors:?}");
    // Nothing is said on the second one by a worker that uses no queue.
    assert_eq!(crate::sys::socket::peek(&parent.queues), crate::sys::socket::Input::Nothing);
}

#[test]
fn environment_and_directory_are_the_workers_own() {
    let changes = vec![("PROCPOOL_TEST_SET".into(), Some("yes".into()))];
    let env = EnvChanges { clear: true, changes };
    let mut parent = Parent::ready(Options { env, cwd: Some("/proc".into()), ..Options::default() });
    let (variables, directory) = parent.value(
        |()| {
            let variables: Vec<String> =
                std::env::vars_os().map(|(key, value)| format!("{}={}", key.display(), value.display())).collect();
            (variables, std::env::current_dir().unwrap().display().to_string())
        },
        (),
    );
    assert_eq!((variables, &*directory), (vec!["PROCPOOL_TEST_SET=yes".to_owned()], "/proc"));
}

#[test]
fn the_initialiser_runs_before_and_the_exit_hook_after_all_tasks() {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    static STATE: AtomicU32 = AtomicU32::new(0);
    let init = job(|value: u32| STATE.store(value, Relaxed), 33);
    let exit = job(|()| -> () { std::process::exit(STATE.load(Relaxed).cast_signed()) }, ());
    let mut parent = Parent::ready(Options { init: Some(init), exit: Some(exit), ..Options::default() });
    assert_eq!(parent.value(|()| STATE.fetch_add(1, Relaxed), ()), 33);
    parent.send(Kind::Retire, 0, b"");
    assert_eq!(parent.end(), ExitFacts::Exited(34));
}

#[test]
fn a_panic_of_the_initialiser_is_told() {
    let init = job(die, "no database".to_owned());
    let mut parent = Parent::start(Options { init: Some(init), ..Options::default() });
    assert_eq!(parent.receive().kind, Kind::Hello);
    let done = parent.receive();
    assert_eq!(done.kind, Kind::InitDone);
    let ReplyBody::Panicked(report) = ReplyBody::decode(done.body).unwrap() else { panic!("it did not panic") };
    assert_eq!(report.message, "no database");
}

/// What a parent sends to have a state made: code, then argument.
fn making<A: crate::Ship, S: 'static>(make: fn(A) -> S, argument: A) -> Vec<u8> {
    let parts = crate::task::make_parts(make, argument);
    let mut body = parts.entry.to_wire().unwrap().to_bytes().to_vec();
    parts.arguments.encode(&mut body).unwrap();
    body
}

#[test]
fn a_state_is_made_after_the_initialiser_and_a_worker_that_lost_it_claims_nothing_more() {
    let mut parent = Parent::ready(Options::default());
    parent.send(Kind::State, 0, &making(|start: u32| vec![start], 7));
    let made = parent.receive();
    assert_eq!((made.kind, made.id, &made.body[..]), (Kind::InitDone, 1, &[ReplyBody::VALUE_TAG][..]));
    let spoil = |state: &mut Vec<u32>, (): ()| -> () { panic!("{state:?}") };
    let parts = crate::task::use_parts(spoil, (), crate::task::TaskName::fixed("spoil"));
    let offer = parent.offer();
    parent.send(Kind::Task, offer.0, &task_head(&parts.entry.to_wire().unwrap().into(), 1, 1, "spoil"));
    let reply = parent.reply(offer);
    assert!(reply.is_last(), "{reply:?}");
    // It lives, and takes back what it is asked to.
    let next = parent.submit(echo, "hello".to_owned());
    parent.send(Kind::Retire, 0, b"");
    assert_eq!(parent.try_receive(), None);
    assert_eq!(parent.end(), ExitFacts::Exited(0));
    assert_eq!(parent.page.inspect(next), SlotState::Offered);
}

#[test]
fn a_panic_of_what_makes_the_state_is_told() {
    let mut parent = Parent::ready(Options::default());
    parent.send(Kind::State, 0, &making(die, "no model".to_owned()));
    let ReplyBody::Panicked(report) = ReplyBody::decode(parent.receive().body).unwrap() else { panic!("made") };
    assert_eq!((report.message.as_str(), report.state_lost), ("no model", false));
    // A message that is no code is an answer, too.
    parent.send(Kind::State, 0, b"short");
    assert!(matches!(ReplyBody::decode(parent.receive().body), Ok(ReplyBody::UnknownCode(_))));
}

#[test]
fn what_a_worker_inherits_for_its_own_children_is_plain() {
    let mut parent = Parent::ready(Options::default());
    let status = parent.value(
        |()| {
            let output = Command::new("/bin/cat").arg("/proc/self/status").output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        },
        (),
    );
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGPIPE, libc::SIGTSTP, libc::SIGCHLD] {
        let bit = 1 << (signal - 1);
        assert_eq!((mask("SigBlk:") & bit, mask("SigIgn:") & bit, mask("SigCgt:") & bit), (0, 0, 0), "{signal}");
    }
}

#[test]
fn a_marker_set_by_hand_is_an_ordinary_start() {
    use std::os::unix::process::CommandExt;
    for marker in ["procpool-worker 1 1 worker-0".to_owned(), crate::entry::marker("worker-0")] {
        let output = Command::new("/proc/self/exe").arg0(marker).arg("--list").output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("a_marker_set_by_hand"));
    }
}
