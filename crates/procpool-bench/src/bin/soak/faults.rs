//! What is done to the pool from outside: workers killed, stopped for a while, more of them and fewer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::sleep;

use crate::chance::Chance;
use crate::run::World;

pub(crate) async fn faults(world: Arc<World>, lane: u64, round: u64, until: Instant) {
    let mut chance = Chance::new(world.options.seed, lane, round);
    let Some(pause) = world.options.kill_every else { return };
    while Instant::now() < until {
        sleep(chance.time(2 * pause)).await;
        let (which, stops, how_long) = (chance.below(64), chance.one_in(4), chance.time(Duration::from_millis(80)));
        let Some(victim) = victim(&world, which) else { continue };
        if !stops {
            if pidfd_send_signal(&victim, Signal::KILL).is_ok() {
                world.tally.kills.fetch_add(1, Ordering::Relaxed);
            }
        } else if pidfd_send_signal(&victim, Signal::STOP).is_ok() {
            world.tally.stops.fetch_add(1, Ordering::Relaxed);
            sleep(how_long).await;
            // It may have been killed meanwhile.
            let _ = pidfd_send_signal(&victim, Signal::CONT);
        }
    }
}

/// One of the workers.
fn victim(world: &World, which: u64) -> Option<OwnedFd> {
    let pids = pids(world);
    open(*pids.get(which as usize % pids.len().max(1))?)
}

/// Kills those that are there, which have no task.
pub(crate) fn kill_all(world: &World) {
    for victim in pids(world).into_iter().filter_map(open) {
        // One that has ended meanwhile is as good.
        let _ = pidfd_send_signal(&victim, Signal::KILL);
    }
}

fn pids(world: &World) -> Vec<u32> {
    world.pool.snapshot().workers.iter().filter_map(|worker| worker.pid).collect()
}

fn open(pid: u32) -> Option<OwnedFd> {
    let pidfd = pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()?;
    // By now the number may be another's; the descriptor is that of the process of whom this was read.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?;
    (parent == std::process::id().to_string()).then_some(pidfd)
}

/// Now more workers, now fewer.
pub(crate) async fn resizes(world: Arc<World>, lane: u64, round: u64, until: Instant) {
    let mut chance = Chance::new(world.options.seed, lane, round);
    while Instant::now() < until {
        sleep(chance.time(Duration::from_millis(1500))).await;
        let workers = 1 + chance.below(world.options.workers as u64) as usize;
        if let Err(error) = world.pool.resize(workers) {
            world.tally.wrong(format!("to {workers} workers: {error}"));
        }
    }
}
