//! What a worker thread does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::desk::{Assignment, Desk, Order};
use super::workers::Threads;
use crate::backend::engine::Engine;
use crate::backend::job::Death;
use crate::backend::scheduler::{Event, WorkerId};
use crate::backend::worker_name;
use crate::config::Hook;
use crate::current::{self, Place};
use crate::queue::travel::{self, Carried};
use crate::task::apart::{self, Apart};
use crate::task::{CodeName, Fault, Steps, state, store};
use crate::wire::message::{PanicReport, ReplyBody};

pub(super) struct Body {
    pub(super) engine: Arc<Engine<Threads>>,
    pub(super) worker: WorkerId,
    pub(super) desk: Arc<Desk>,
    pub(super) init: Option<Arc<Hook>>,
    pub(super) exit: Option<Arc<Hook>>,
    pub(super) state: Option<Arc<Hook>>,
    pub(super) max_message: u64,
}

impl Body {
    pub(super) fn run(self) {
        let worker = self.worker;
        // Initialiser and exit hook, too, are a worker's.
        let _place = current::enter(self.place(None));
        self.engine.handle(Event::Booted { worker });
        let mut steps = [&self.init, &self.state].into_iter().flatten();
        let verdict = steps.try_for_each(|hook| hook.judge(self.call(hook.entry(), hook.arguments())));
        let mut death = Death { worker: worker_name(worker), ..Death::default() };
        match verdict {
            Err(why) => death.detail = Some(why),
            Ok(()) => {
                self.engine.handle(Event::Ready { worker });
                self.work();
            }
        }
        // On this thread, and not when its thread-locals go, where a panic would end the program. Its message is told
        // by the program's hook of panics.
        let _ = state::discard();
        store::clear();
        if self.desk.is_abandoned() {
            // The pool has forgotten this thread.
            return;
        }
        self.engine.exited(worker, Arc::new(death), |threads| threads.detach(worker));
    }

    fn work(&self) {
        while let Some(order) = self.desk.next() {
            match order {
                // As in a process: with its state, a worker's life is over, and it waits to be told so.
                Order::Run(_) if state::is_lost() => {}
                Order::Run(assignment) => self.perform(&assignment),
                Order::Share(key, content) => store::put(key, content),
                Order::Forget(key) => store::forget(key),
                Order::Retire => {
                    if let Some(exit) = &self.exit {
                        drop(self.call(exit.entry(), exit.arguments()));
                    }
                    return;
                }
            }
        }
    }

    fn perform(&self, assignment: &Assignment) {
        let Assignment { offer, task, attempt, entry, arguments, apart } = assignment;
        if !self.desk.claim(*offer, self.engine.now()) {
            return;
        }
        let mut reply = {
            let _place = current::enter(self.place(Some((*task, *attempt))));
            // A copy, as in a process: the task may be tried again.
            apart::coming(apart.to_vec(), || self.call(entry, arguments)).0
        };
        self.desk.done(*offer);
        if !self.desk.is_abandoned() {
            if reply.is_last() {
                self.engine.handle(Event::Worn { worker: self.worker });
            }
            // Kept until the engine's lock is released: an answer that nobody wants is dropped under it.
            let _carried = reply.adopt();
            self.engine.handle(Event::Replied { worker: self.worker, offer: *offer, reply });
        }
    }

    fn place(&self, task: Option<(u64, u32)>) -> Place {
        Place {
            name: worker_name(self.worker).into(),
            slot: self.worker.slot,
            generation: self.worker.generation,
            task,
            // Tasks are cancelled, hooks are not.
            cancelled: task.map_or_else(Arc::default, |_| Arc::clone(&self.desk.cancelled)),
            waits: Arc::clone(&self.desk.waits),
        }
    }

    /// Decodes, runs and encodes, as a worker process does.
    fn call(&self, entry: &CodeName, arguments: &[u8]) -> ReplyBody {
        let code = match entry.resolve() {
            Ok(code) => code,
            Err(error) => return ReplyBody::UnknownCode(error.to_string()),
        };
        let mut result = Vec::new();
        let outcome = catch_unwind(AssertUnwindSafe(|| code.run(arguments, &mut result, Steps(None))));
        let apart = apart::take_result().map(Apart::into_vec).unwrap_or_default();
        let handles = travel::take_result().unwrap_or_default();
        let len = (result.len() + apart.len()) as u64;
        match outcome {
            Ok(Ok(())) if len > self.max_message => ReplyBody::TooLarge { len, limit: self.max_message },
            Ok(Ok(())) if !apart.is_empty() => ReplyBody::Apart { value: result.into(), apart },
            Ok(Ok(())) if handles.is_empty() => ReplyBody::Value(result.into()),
            Ok(Ok(())) => ReplyBody::Carrying { value: result.into(), carried: Carried::Held(handles.into()) },
            Ok(Err(Fault::Decode(error))) => ReplyBody::Undecodable(error.to_string()),
            Ok(Err(Fault::NoState(why))) => ReplyBody::UnknownCode(why.to_string()),
            Ok(Err(Fault::Encode(error))) => ReplyBody::Unencodable(error.to_string()),
            Err(panic) => ReplyBody::Panicked(PanicReport {
                message: crate::panics::message(panic),
                location: None,
                backtrace: None,
                thread: std::thread::current().name().map(str::to_owned),
                state_lost: state::is_lost(),
            }),
        }
    }
}
