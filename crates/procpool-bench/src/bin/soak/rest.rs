//! What a process has when it rests: nothing more than before.

use std::fs;
use std::time::{Duration, Instant};

use procpool::{Pool, WorkerState};
use tokio::time::sleep;

use crate::Error;
use crate::run::STUCK;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footing {
    pub(crate) processes: usize,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
}

impl Footing {
    pub(crate) fn now() -> Result<Footing, Error> {
        let mut processes = 0;
        for thread in fs::read_dir("/proc/self/task")? {
            // A thread may have ended meanwhile.
            let children = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
            processes += children.split_whitespace().count();
        }
        // One is that of the folder itself.
        let descriptors = fs::read_dir("/proc/self/fd")?.count() - 1;
        Ok(Footing { processes, descriptors, threads: fs::read_dir("/proc/self/task")?.count() })
    }

    fn is_within(&self, other: &Footing) -> bool {
        self.processes <= other.processes && self.descriptors <= other.descriptors && self.threads <= other.threads
    }
}

/// What the open descriptors are.
pub(crate) fn descriptors() -> Result<Vec<String>, Error> {
    let names = fs::read_dir("/proc/self/fd")?.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    Ok(names.map(|name| name.display().to_string()).collect())
}

/// Waits until there is no more than there was; gives what there is.
pub(crate) async fn until_within(before: &Footing) -> Result<Footing, Error> {
    let start = Instant::now();
    loop {
        let now = Footing::now()?;
        if now.is_within(before) || start.elapsed() > Duration::from_secs(15) {
            return Ok(now);
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until so many workers are idle and nothing else goes on.
pub(crate) async fn until_idle(pool: &Pool, workers: usize) -> Result<(), Error> {
    let start = Instant::now();
    loop {
        // Not at once: who has just been killed is taken for idle until that has been noticed.
        sleep(Duration::from_millis(50)).await;
        let snapshot = pool.snapshot();
        let idle = snapshot.workers.iter().filter(|worker| worker.state == WorkerState::Idle).count();
        if idle == workers && snapshot.workers.len() == workers && snapshot.queued.is_empty() {
            return Ok(());
        }
        if start.elapsed() > STUCK {
            return Err(format!("the pool does not come to rest\n{snapshot}").into());
        }
    }
}

/// How much memory of this process is resident, in KiB.
pub(crate) fn resident_kib() -> Result<u64, Error> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().next().ok_or("no number")?.parse()?)
}

/// By how much a straight line through these points rises from one to the next.
pub(crate) fn slope(points: &[u64]) -> f64 {
    let count = points.len() as f64;
    let (mean_at, mean) = ((count - 1.0) / 2.0, points.iter().sum::<u64>() as f64 / count);
    let (mut up, mut along) = (0.0, 0.0);
    for (at, point) in points.iter().enumerate() {
        let at = at as f64 - mean_at;
        up += at * (*point as f64 - mean);
        along += at * at;
    }
    if along == 0.0 { 0.0 } else { up / along }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope() {
        assert_eq!(slope(&[5, 7, 9, 11]), 2.0);
        assert_eq!(slope(&[5, 5, 5]), 0.0);
        assert_eq!(slope(&[9]), 0.0);
        assert!(slope(&[10, 9, 9, 8]) < 0.0);
    }

    #[test]
    fn this_process_has_something() {
        let footing = Footing::now().unwrap();
        assert!(footing.descriptors > 2 && footing.threads > 0 && resident_kib().unwrap() > 0);
    }
}
