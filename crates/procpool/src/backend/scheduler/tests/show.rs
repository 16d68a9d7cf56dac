//! Decisions as text.

use super::super::*;
use super::job::Test;

/// One line for an action.
pub(super) fn show(action: &Action<Test>) -> String {
    let name = |worker: &WorkerId| format!("{}.{}", worker.slot, worker.generation);
    match action {
        Action::Spawn { worker, placement } => format!("spawn {} {placement:?}", name(worker)),
        Action::Offer { worker, task, .. } => format!("offer {} t{}", name(worker), task.0),
        Action::Revoke { worker, .. } => format!("revoke {}", name(worker)),
        Action::Inspect { worker, .. } => format!("inspect {}", name(worker)),
        Action::Relieve { worker, .. } => format!("relieve {}", name(worker)),
        Action::SetCancel { worker, .. } => format!("set cancel {}", name(worker)),
        Action::Kill { worker, overdue: None } => format!("kill {}", name(worker)),
        Action::Kill { worker, overdue: Some(overdue) } => format!("kill {}, {overdue}", name(worker)),
        Action::Retire { worker } => format!("retire {}", name(worker)),
        Action::Resolve { task, resolution, .. } => format!("t{} {}", task.0, show_end(resolution)),
        Action::Warmed { result: Ok(()) } => "warm".into(),
        Action::Warmed { result: Err(why) } => format!("not warm: {why:?}"),
        Action::Reserved { reservation, result } => format!("r{} {}", reservation.0, show_place(result)),
        Action::Closed => "closed".into(),
        Action::Tell(fact) => show_fact(fact),
    }
}

fn show_fact(fact: &Fact<Test>) -> String {
    let name = |worker: &WorkerId| format!("{}.{}", worker.slot, worker.generation);
    match fact {
        Fact::Started { worker } => format!("{} started", name(worker)),
        Fact::Ready { worker, took } => format!("{} ready after {took:?}", name(worker)),
        Fact::Ended { worker, why, tasks_done, .. } => {
            format!("{} ended: {why:?}, {tasks_done} done", name(worker))
        }
        Fact::StartsPaused { pause, failures } => format!("starts paused for {pause:?}, {failures} failures"),
        Fact::Resized { min, max } => format!("resized to {min}..={max}"),
        Fact::Closing { how } => format!("closing: {how:?}"),
    }
}

fn show_place(result: &Result<(), Refused<Test>>) -> String {
    match result {
        Ok(()) => "has a place".into(),
        Err(Refused::QueueFull) => "queue full".into(),
        Err(Refused::TimedOut(limit)) => format!("timed out after {limit:?}"),
        Err(Refused::Unavailable(Unavailable::Closed)) => "closed".into(),
        Err(Refused::Unavailable(why)) => format!("{why:?}"),
    }
}

fn show_end(resolution: &Resolution<Test>) -> String {
    let by = |killed: &Option<(WorkerId, &'static str)>| {
        killed.map_or(String::new(), |(worker, death)| format!(", {}.{} {death}", worker.slot, worker.generation))
    };
    match resolution {
        Resolution::Replied { .. } => "replied".into(),
        Resolution::Cancelled { began, killed, .. } => {
            format!("cancelled, began {began:?}{}", by(killed))
        }
        Resolution::TimedOut { killed, .. } => format!("timed out{}", by(killed)),
        Resolution::QueueTimedOut { .. } => "queue timed out".into(),
        Resolution::WorkerDied { worker, began, death } => {
            format!("worker died, began {began:?}{}", by(&Some((*worker, death))))
        }
        Resolution::QueueFull => "queue full".into(),
        Resolution::Unavailable(Unavailable::Closed) => "closed".into(),
        Resolution::Unavailable(Unavailable::StartFailed { failures, death }) => {
            format!("start failed {failures}: {death}")
        }
        Resolution::ShutDown { began } => format!("shut down, began {began:?}"),
    }
}
