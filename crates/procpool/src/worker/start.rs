//! From a process that may be anything to a worker that is ready.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};

use super::link::{Link, Opening};
use super::{panics, serve, watcher};
use crate::limits::Limits;
use crate::queue;
use crate::sys::limits::Resource;
use crate::sys::{limits, overflow, process, signals, stdio};
use crate::wire::frame::Kind;
use crate::wire::message::{ExeIdentity, HELLO_MAGIC, Hello, PROTOCOL, Setup, SignalPolicy};
use crate::wire::page::{PanicParts, WorkerPage};
use crate::{current, entry, sandbox};

/// The exit code of a worker that could not be set up (`EX_SOFTWARE` of sysexits.h). What went wrong is on stderr.
pub(super) const EXIT_BROKEN: i32 = 70;

/// What the marker says.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// `worker-3`.
    pub(crate) name: String,
    /// The parent's number.
    pub(crate) parent: u32,
}

/// The shared page, once there is one; for the handler of stack overflows, which can be told nothing.
static PAGE: OnceLock<&'static WorkerPage> = OnceLock::new();

/// Runs tasks for the rest of this process's life.
pub(crate) fn run(start: Start) -> ! {
    let name = &start.name;
    // Under /proc/self/exe the process would be called "exe". Only looks: failing is no reason not to work.
    let _ = limits::set_thread_name(name);
    let socket = Arc::new(stdio::take_stdin().unwrap_or_else(|error| fail(name, "take its socket", error)));
    // TERM, INT and HUP have been blocked since before the exec (see `sys::process::spawn`), and stay so until it is
    // known what they mean to this worker.
    signals::shrug_off_requests_to_end()
        .and_then(|()| signals::reset_child_signal())
        .and_then(|()| overflow::install(name, note_overflow))
        .unwrap_or_else(|error| fail(name, "set up its signals", error));
    // Without /proc, or in a container that forbids it, the worker works all the same.
    let _ = limits::raise_oom_score();

    let parent = match watcher::open_parent(start.parent) {
        Ok(Some(parent)) => parent,
        Ok(None) => process::kill_own_group(),
        Err(error) => fail(name, "watch its parent", error),
    };
    let mut link = Link::new(Arc::clone(&socket));
    let Opening { setup, page, queues } = match link.receive_setup(parent.as_fd()) {
        Ok(received) => received,
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => process::kill_own_group(),
        Err(error) => fail(name, "receive its set-up", error),
    };
    if setup.protocol != PROTOCOL {
        fail(name, "understand its parent", format!("it speaks protocol {}, not {PROTOCOL}", setup.protocol));
    }
    let mapped = WorkerPage::map(page.as_fd());
    drop(page);
    // Never unmapped: handlers, hooks and threads of tasks may look at it until the very end.
    let page: &'static WorkerPage =
        Box::leak(Box::new(mapped.unwrap_or_else(|error| fail(name, "map the shared page", error))));
    let _ = PAGE.set(page);

    if !setup.core_dumps {
        let _ = limits::disable_core_dumps();
    }
    if let Err((what, error)) = fence(&setup.limits) {
        fail(name, what, error);
    }
    let fenced = setup.sandbox.clone().map(|sandbox| {
        let keep = [&*socket, &parent, &queues].map(AsFd::as_fd);
        sandbox::enter(sandbox, &keep, name).unwrap_or_else(|error| fail(name, "enter its sandbox", error))
    });
    let policy = match setup.signals {
        SignalPolicy::Ignore => Ok(()),
        SignalPolicy::Default => signals::obey_requests_to_end(),
    };
    policy.and_then(|()| signals::unblock_all()).unwrap_or_else(|error| fail(name, "set up its signals", error));
    watcher::start(parent, socket).unwrap_or_else(|error| fail(name, "watch its parent", error));
    panics::install(page);
    entry::set_depth(setup.depth);
    current::become_worker(&setup.name, setup.slot, setup.generation, page);
    queue::client::set_socket(queues);
    greet(&mut link, &setup);
    link.go_on_by(&setup, page);
    serve::serve(link, setup, page, fenced)
}

/// Takes on what the pool allows its workers. The time of the processor is counted for each task: see `serve.rs`.
fn fence(wanted: &Limits) -> Result<(), (&'static str, io::Error)> {
    let resources = [
        ("limit its memory", Resource::Data, wanted.memory),
        ("limit its address space", Resource::As, wanted.address_space),
        ("limit its open files", Resource::Nofile, wanted.open_files),
        ("limit the size of its files", Resource::Fsize, wanted.file_size),
    ];
    for (what, resource, most) in resources {
        if let Some(most) = most {
            limits::allow(resource, most).map_err(|error| (what, error))?;
        }
    }
    if let Some(niceness) = wanted.niceness {
        limits::be_nice(niceness).map_err(|error| ("be nice", error))?;
    }
    match &wanted.cpus {
        Some(cpus) => limits::run_on(cpus).map_err(|error| ("keep to its cores", error)),
        None => Ok(()),
    }
}

/// Says hello. A worker that is not the same executable says so and ends: offsets into another file's code mean
/// nothing, and the initialiser would be the first to be looked up by one.
fn greet(link: &mut Link, setup: &Setup) {
    let name = &setup.name;
    let exe = ExeIdentity::of_this_process().unwrap_or_else(|error| fail(name, "identify its executable", error));
    let same = setup.exe.as_ref().is_none_or(|parents| *parents == exe);
    let hello = Hello { magic: HELLO_MAGIC, protocol: PROTOCOL, pid: std::process::id(), exe };
    let body = hello.encode().unwrap_or_else(|error| fail(name, "say hello", error));
    if link.send(Kind::Hello, 0, &body).is_err() {
        process::kill_own_group();
    }
    if !same {
        fail(name, "work for its parent", "it runs another executable");
    }
}

/// Tells a parent of another version so, and ends: neither understands what else the other says.
pub(crate) fn refuse(start: &Start, protocol: u32) -> ! {
    let name = &start.name;
    let exe = ExeIdentity::default();
    let hello = Hello { magic: HELLO_MAGIC, protocol: PROTOCOL, pid: std::process::id(), exe };
    if let (Ok(socket), Ok(body)) = (stdio::take_stdin(), hello.encode()) {
        // It may have gone: the line below is for whoever is left.
        let _ = Link::new(Arc::new(socket)).send(Kind::Hello, 0, &body);
    }
    fail(name, "understand its parent", format!("it speaks protocol {protocol}, not {PROTOCOL}"))
}

/// Runs in a signal handler: loads, stores, nothing else.
fn note_overflow() {
    if let Some(page) = PAGE.get() {
        page.write_panic(&PanicParts { message: "stack overflow", thread: Some("main"), ..PanicParts::default() });
    }
}

/// Ends a worker that cannot go on, with a line for whoever reads its stderr (its parent, when it captures it).
pub(super) fn fail(name: &str, what: &str, why: impl Display) -> ! {
    let _ = writeln!(std::io::stderr(), "procpool: {name} could not {what}: {why}");
    std::process::exit(EXIT_BROKEN)
}
