//! Panics of tasks: told to the parent, also when the process does not survive them.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::PanicHookInfo;

use crate::panics::{self, NOT_A_STRING};
use crate::wire::message::PanicReport;
use crate::wire::page::{PanicParts, WorkerPage};

/// What the language says before it aborts because of a panic that it cannot let go on. These are about the panic before
/// them on the same thread, and must not take the place of its words. (The hook is told which panics cannot unwind, but
/// not on stable Rust.)
const AFTERMATHS: [&str; 2] = ["panic in a function that cannot unwind", "panic in a destructor during cleanup"];

thread_local! {
    /// The last panic of this thread that the hook saw.
    static LAST: RefCell<Option<PanicReport>> = const { RefCell::new(None) };
    /// Whether there may be one: asked for before each task.
    static SEEN: Cell<bool> = const { Cell::new(false) };
}

/// Installs a hook that leaves each panic's words in the page, then lets the hook before it print them.
pub(super) fn install(page: &'static WorkerPage) {
    let former = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // First the page: printing may block, or be the last thing that this process does.
        note(page, info);
        former(info);
    }));
}

fn note(page: &WorkerPage, info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or(NOT_A_STRING);
    let follows = || LAST.try_with(|last| last.try_borrow().is_ok_and(|last| last.is_some())).unwrap_or(false);
    if AFTERMATHS.contains(&message) && follows() {
        return;
    }
    let location = info.location().map(ToString::to_string);
    // Only where RUST_BACKTRACE (or RUST_LIB_BACKTRACE) asks: resolving symbols takes tens of milliseconds.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let thread = std::thread::current();
    // A worker that started in a constructor runs tasks on a thread that std has not named.
    let thread = thread.name().or_else(|| crate::sys::process::is_main_thread().then_some("main"));
    page.write_panic(&PanicParts { message, location: location.as_deref(), backtrace: backtrace.as_deref(), thread });
    let report = PanicReport {
        message: message.to_owned(),
        location,
        backtrace,
        thread: thread.map(str::to_owned),
        ..PanicReport::default()
    };
    SEEN.set(true);
    // A panic in a thread's last moments finds no place to write to; nobody will ask for it there.
    let _ = LAST.try_with(|last| last.try_borrow_mut().map(|mut last| *last = Some(report)));
}

/// Forgets earlier panics of this thread: a task begins.
pub(super) fn forget() {
    if SEEN.replace(false) {
        let _ = LAST.try_with(RefCell::take);
    }
}

/// The report for a payload that was caught on this thread, and the end of that payload.
pub(super) fn report(payload: Box<dyn Any + Send>) -> PanicReport {
    let message = panics::message(payload);
    // The hook's report is about this payload if the words are the same. They are not where the task caught one panic
    // and then resumed another by hand, or has put a hook of its own in the place of ours.
    LAST.try_with(RefCell::take)
        .ok()
        .flatten()
        .filter(|report| report.message == message)
        .unwrap_or_else(|| PanicReport { message, ..PanicReport::default() })
}
