//! Who runs this code: [`current`].

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::backend::scheduler::OfferId;
use crate::entry;
use crate::queue::waiting::Waits;
use crate::wire::page::WorkerPage;

/// Who runs this code: which worker, in which process, on which task.
///
/// Works everywhere: in tasks, in threads that tasks start (of workers that are processes), and in the program itself,
/// where the name is `main`.
///
/// ```
/// let me = procpool::current();
/// assert_eq!(me.name(), "main");
/// assert_eq!(me.pid(), std::process::id());
/// assert_eq!(me.task(), None);
/// println!("hello from {me}"); // hello from main (pid 4711)
/// ```
#[must_use]
pub fn current() -> Current {
    if let Some(place) = OVERRIDE.try_with(|place| place.borrow().clone()).ok().flatten() {
        return Current {
            name: place.name,
            slot: Some(place.slot),
            generation: Some(place.generation),
            task: place.task,
            cancel: Cancel::Flag(place.cancelled),
        };
    }
    let Some(worker) = WORKER.get() else {
        return Current { name: "main".into(), slot: None, generation: None, task: None, cancel: Cancel::Never };
    };
    let running = worker.running();
    Current {
        name: worker.name.clone(),
        slot: Some(worker.slot),
        generation: Some(worker.generation),
        task: running.map(|running| (running.task, running.attempt)),
        cancel: running.map_or(Cancel::Never, |running| Cancel::Page(worker.page, running.offer)),
    }
}

/// The answer of [`current`].
#[derive(Clone, Debug)]
pub struct Current {
    name: Arc<str>,
    slot: Option<u32>,
    generation: Option<u32>,
    task: Option<(u64, u32)>,
    cancel: Cancel,
}

#[derive(Clone, Debug)]
enum Cancel {
    Never,
    Page(&'static WorkerPage, OfferId),
    Flag(Arc<AtomicBool>),
}

impl Current {
    /// The worker's name, such as `worker-3`; `main` outside of workers.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The worker's place in its pool, from 0. `None` outside of workers. A worker that replaces another has its slot.
    #[must_use]
    pub fn slot(&self) -> Option<u32> {
        self.slot
    }

    /// How many workers had this slot before, from 0. `None` outside of workers.
    #[must_use]
    pub fn generation(&self) -> Option<u32> {
        self.generation
    }

    /// The number of this process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    /// The number of the task that is running, unique within its pool. `None` outside of tasks.
    #[must_use]
    pub fn task(&self) -> Option<u64> {
        self.task.map(|(task, _)| task)
    }

    /// Which attempt at the task this is: 1, or more where `.retries(n)` ran it again. `None` outside of tasks.
    #[must_use]
    pub fn attempt(&self) -> Option<u32> {
        self.task.map(|(_, attempt)| attempt)
    }

    /// Whether this is a worker: of a pool, or a [`Process`](crate::Process).
    #[must_use]
    pub fn is_worker(&self) -> bool {
        self.slot.is_some()
    }

    /// Whether the task was asked to stop: it has its `.grace(..)` left to return by itself. Looked up at each call, which
    /// costs about as much as reading a variable, so a loop can ask in every round.
    ///
    /// ```
    /// fn search(limit: u64) -> Option<u64> {
    ///     let me = procpool::current();
    ///     (0..limit).take_while(|_| !me.is_cancelled()).find(|n| n * n > 5000)
    /// }
    /// assert_eq!(search(100), Some(71));
    /// ```
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        match &self.cancel {
            Cancel::Never => false,
            Cancel::Page(page, offer) => page.is_cancelled(*offer),
            Cancel::Flag(flag) => flag.load(Ordering::Acquire),
        }
    }

    /// How many pools of processes lie above this process: 0 in an ordinary program, 1 in its workers.
    #[must_use]
    pub fn depth(&self) -> u32 {
        entry::depth()
    }
}

/// `worker-3 (pid 4711)`.
impl fmt::Display for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid())
    }
}

/// What a worker process is, for the rest of its life.
#[derive(Debug)]
struct Worker {
    name: Arc<str>,
    slot: u32,
    generation: u32,
    page: &'static WorkerPage,
    /// Of the process, not of a thread: threads that a task starts belong to it.
    running: Mutex<Option<Running>>,
    /// Which item of it, where it is a lot. Beside the lock, which would cost as much as many an item.
    item: AtomicU64,
}

impl Worker {
    fn running(&self) -> Option<Running> {
        // Of another task it cannot be: that takes the lock.
        let running = lock(&self.running);
        let item = self.item.load(Ordering::Acquire);
        running.map(|running| Running { task: running.task + item, ..running })
    }
}

/// The task that a worker process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) task: u64,
    pub(crate) attempt: u32,
    pub(crate) offer: OfferId,
}

static WORKER: OnceLock<Worker> = OnceLock::new();

/// Makes this process a worker in the eyes of [`current`].
pub(crate) fn become_worker(name: &str, slot: u32, generation: u32, page: &'static WorkerPage) {
    let _ = WORKER.set(Worker {
        name: name.into(),
        slot,
        generation,
        page,
        running: Mutex::new(None),
        item: AtomicU64::new(0),
    });
}

/// Says what this worker process runs from now on.
pub(crate) fn set_running(running: Option<Running>) {
    if let Some(worker) = WORKER.get() {
        let mut place = lock(&worker.running);
        worker.item.store(0, Ordering::Release);
        *place = running;
    }
}

/// Says which item of the lot it runs from now on.
pub(crate) fn set_item(item: u32) {
    if let Some(worker) = WORKER.get() {
        worker.item.store(item.into(), Ordering::Release);
    }
}

/// Where the worker whose code this is says that it waits in a queue call. `None` outside of workers.
pub(crate) fn waits() -> Option<Waits> {
    if let Ok(Some(word)) = OVERRIDE.try_with(|place| place.borrow().as_ref().map(|place| Arc::clone(&place.waits))) {
        return Some(Waits::Thread(word));
    }
    WORKER.get().map(|worker| Waits::Page(worker.page))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a thread of this process runs for a pool whose workers are threads.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: Arc<str>,
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    /// Number and attempt of the task, if there is one.
    pub(crate) task: Option<(u64, u32)>,
    /// Set when the task is asked to stop.
    pub(crate) cancelled: Arc<AtomicBool>,
    /// Who waits in a queue call there.
    pub(crate) waits: Arc<AtomicU64>,
}

thread_local! {
    static OVERRIDE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// From now until the guard is dropped (on the same thread), [`current`] answers with this place on this thread.
pub(crate) fn enter(place: Place) -> Entered {
    Entered { former: OVERRIDE.replace(Some(place)), _thread: std::marker::PhantomData }
}

/// Undoes [`enter`] when dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Entered {
    former: Option<Place>,
    /// The place belongs to a thread, and so does the guard.
    _thread: std::marker::PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let former = self.former.take();
        let _ = OVERRIDE.try_with(|place| place.replace(former));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_can_be_a_worker_for_a_while() {
        assert_eq!((current().name(), current().slot(), current().is_worker()), ("main", None, false));
        let cancelled = Arc::new(AtomicBool::new(false));
        let place = Place {
            name: "worker-3".into(),
            slot: 3,
            generation: 1,
            task: Some((9, 2)),
            cancelled: Arc::clone(&cancelled),
            waits: Arc::default(),
        };
        let guard = enter(place);
        let me = current();
        assert_eq!(me.to_string(), format!("worker-3 (pid {})", std::process::id()));
        assert_eq!((me.slot(), me.generation(), me.task(), me.attempt()), (Some(3), Some(1), Some(9), Some(2)));
        assert!(!me.is_cancelled() && me.is_worker());
        cancelled.store(true, Ordering::Release);
        assert!(me.is_cancelled() && current().is_cancelled());
        assert!(std::thread::spawn(|| !current().is_worker()).join().unwrap());
        drop(guard);
        assert!(!current().is_cancelled() && current().task().is_none());
    }
}
