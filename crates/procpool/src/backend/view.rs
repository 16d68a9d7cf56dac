//! The scheduler's state as a user reads it.

use super::engine::Workers;
use super::job::Work;
use super::scheduler::{Now, Scheduler, TaskId, TaskPhase, WorkerId, WorkerPhase};
use crate::pool::{Snapshot, TaskSnapshot, WaitReason, WorkerSnapshot, WorkerState};

/// The name of a worker: `worker-3`, after the slot that it fills.
pub(crate) fn worker_name(worker: WorkerId) -> String {
    format!("worker-{}", worker.slot)
}

pub(super) fn snapshot<W: Workers>(scheduler: &Scheduler<Work>, workers: &W, now: Now, closing: bool) -> Snapshot {
    let elapsed = |since: Now| now.0.saturating_sub(since.0);
    let (reserved, reserving) = scheduler.reservations();
    let mut shown = Snapshot { closing, reserved, reserving, ..Snapshot::default() };
    let mut assigned = std::collections::HashMap::new();
    for (task, phase, since, job) in scheduler.tasks() {
        let view = TaskSnapshot { id: task.0, name: job.name.as_str().to_owned(), since: elapsed(since) };
        match phase {
            TaskPhase::Waiting => shown.waiting.push(view),
            TaskPhase::Queued => shown.queued.push(view),
            TaskPhase::Assigned { .. } => {
                assigned.insert(task, view);
            }
        }
    }
    for view in scheduler.workers() {
        let (state, task): (WorkerState, Option<TaskId>) = match view.phase {
            WorkerPhase::Starting => (WorkerState::Starting, None),
            WorkerPhase::Initialising => (WorkerState::Initialising, None),
            WorkerPhase::Idle => (WorkerState::Idle, None),
            WorkerPhase::Busy { task } => (WorkerState::Busy, Some(task)),
            WorkerPhase::Stopping { task } => (WorkerState::Stopping, Some(task)),
            WorkerPhase::Retiring => (WorkerState::Retiring, None),
            WorkerPhase::Dying => (WorkerState::Dying, None),
        };
        shown.workers.push(WorkerSnapshot {
            name: worker_name(view.worker),
            pid: workers.pid(view.worker),
            generation: view.worker.generation,
            state,
            task: task.and_then(|task| assigned.remove(&task)),
            since: elapsed(view.since),
            tasks_done: view.tasks_done,
            // What an idle worker may have left there is nobody's wait.
            queue_call: task.and_then(|_| workers.waits(view.worker).call()),
        });
    }
    if !shown.queued.is_empty() || !shown.waiting.is_empty() {
        let starting =
            |worker: &WorkerSnapshot| matches!(worker.state, WorkerState::Starting | WorkerState::Initialising);
        shown.reason = Some(match scheduler.starts_paused_until() {
            Some(until) => WaitReason::StartsPaused(until.0.saturating_sub(now.0)),
            // One that is only to be a spare worker helps nobody who waits.
            None if scheduler.has_room() && shown.workers.iter().any(starting) => WaitReason::WorkersStarting,
            None if stuck(&shown.workers) => WaitReason::WorkersInQueueCalls,
            None => WaitReason::WorkersBusy,
        });
    }
    shown.workers.sort_by_key(|worker| (worker.name.len(), worker.name.clone(), worker.generation));
    shown
}

/// Whether there is somebody who has a task, and all those wait in a queue call.
fn stuck(workers: &[WorkerSnapshot]) -> bool {
    let mut busy = workers.iter().filter(|worker| worker.task.is_some()).peekable();
    busy.peek().is_some() && busy.all(|worker| worker.queue_call.is_some())
}
