//! The work itself, the same for all systems, and how it is timed.

use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

pub(crate) fn empty() {}

pub(crate) fn tiny(x: u64) -> u64 {
    x + 1
}

pub(crate) fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

/// Takes so much processor time: what others take from the core in between does not count as work.
pub(crate) fn burn(micros: u64) {
    let end = processor_time() + Duration::from_micros(micros);
    while processor_time() < end {}
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // Neither is ever negative on this clock.
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Bytes of which none is like its neighbours.
pub(crate) fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| index as u8).collect()
}

/// How many workers a pool has, if nothing else is said.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Calls that are not counted: caches fill, sleeping threads wake or start.
pub(crate) fn warm_up(calls: usize) -> usize {
    calls.div_ceil(10)
}

/// So many calls, one at a time: the microseconds of each.
pub(crate) fn micros<E>(calls: usize, mut call: impl FnMut() -> Result<(), E>) -> Result<Vec<f64>, E> {
    for _ in 0..warm_up(calls) {
        call()?;
    }
    let timed = |_| {
        let start = Instant::now();
        call()?;
        Ok(start.elapsed().as_secs_f64() * 1e6)
    };
    (0..calls).map(timed).collect()
}

pub(crate) fn millis_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
