//! The pool of `procspawn`: functions in processes, blocking.

use std::collections::VecDeque;
use std::time::Instant;

use procspawn::{Pool, SpawnError};

use super::tasks::{burn, cores, echo, micros, millis_since, payload, tiny};
use super::trap::{Trap, stuck};
use crate::Error;
use crate::helpers::Work;

/// How many calls may be on their way: each takes file descriptors, and 100,000 at once are too many for it.
const WINDOW: usize = 256;

#[derive(Default)]
pub(crate) struct Procspawn {
    pool: Option<Pool>,
    idle: Option<Pool>,
}

impl Procspawn {
    pub(crate) fn play(&mut self, work: Work) -> Result<Vec<f64>, Error> {
        match work {
            Work::Latency { calls } => {
                let pool = self.pool()?;
                Ok(micros(calls, || nothing(pool))?)
            }
            Work::Calls { tasks } => calls(self.pool()?, tasks),
            Work::Echo { bytes, calls } => echoes(self.pool()?, bytes, calls),
            Work::Start { .. } => {
                let start = Instant::now();
                let pool = Pool::new(2)?;
                nothing(&pool)?;
                Ok(vec![millis_since(start)])
            }
            Work::Process { .. } => {
                let start = Instant::now();
                procspawn::spawn((), |()| ()).join()?;
                Ok(vec![millis_since(start)])
            }
            Work::Death { spares: 0 } => death(),
            Work::Parallel { tasks, millis } => {
                let pool = self.pool()?;
                let start = Instant::now();
                let handles: Vec<_> = (0..tasks).map(|_| pool.spawn(millis * 1000, burn)).collect();
                handles.into_iter().try_for_each(|handle| handle.join())?;
                Ok(vec![millis_since(start)])
            }
            Work::Idle => {
                let pool = Pool::new(2)?;
                let handles: Vec<_> = (0..2).map(|_| pool.spawn(2000, burn)).collect();
                handles.into_iter().try_for_each(|handle| handle.join())?;
                self.idle = Some(pool);
                Ok(Vec::new())
            }
            Work::Map { .. } | Work::Death { .. } => Err("it has neither maps nor spares".into()),
        }
    }

    fn pool(&mut self) -> Result<&Pool, Error> {
        if self.pool.is_none() {
            self.pool = Some(Pool::new(cores())?);
        }
        Ok(self.pool.as_ref().ok_or("no pool")?)
    }
}

fn nothing(pool: &Pool) -> Result<(), SpawnError> {
    pool.spawn((), |()| ()).join()
}

fn calls(pool: &Pool, tasks: u64) -> Result<Vec<f64>, Error> {
    let start = Instant::now();
    let mut expected = 1..=tasks;
    let mut handles = VecDeque::with_capacity(WINDOW);
    for x in 0..tasks {
        if handles.len() == WINDOW {
            check(handles.pop_front(), expected.next())?;
        }
        handles.push_back(pool.spawn(x, tiny));
    }
    for handle in handles {
        check(Some(handle), expected.next())?;
    }
    Ok(vec![tasks as f64 / start.elapsed().as_secs_f64()])
}

fn check(handle: Option<procspawn::JoinHandle<u64>>, expected: Option<u64>) -> Result<(), Error> {
    let value = handle.map(procspawn::JoinHandle::join).transpose()?;
    (value == expected).then_some(()).ok_or_else(|| format!("{value:?} where {expected:?} was due").into())
}

fn echoes(pool: &Pool, bytes: usize, calls: usize) -> Result<Vec<f64>, Error> {
    let mut data = payload(bytes);
    let mut latencies = Vec::with_capacity(calls);
    for _ in 0..calls {
        let start = Instant::now();
        data = pool.spawn(data, echo).join()?;
        latencies.push(millis_since(start));
    }
    (data == payload(bytes)).then_some(latencies).ok_or_else(|| "an echo that differs".into())
}

fn death() -> Result<Vec<f64>, Error> {
    let pool = Pool::new(1)?;
    nothing(&pool)?;
    let trap = Trap::set()?;
    let handle = pool.spawn(trap.name(), stuck);
    let victim = trap.caught()?;
    let start = Instant::now();
    victim.kill()?;
    if handle.join().is_ok() {
        return Err("a task that was killed ended well".into());
    }
    let error = millis_since(start);
    nothing(&pool)?;
    Ok(vec![error, millis_since(start)])
}
