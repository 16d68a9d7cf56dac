//! procpool, where it is measured in a helper.

use std::future::Future;
use std::time::{Duration, Instant};

use procpool::{Pool, PoolBuilder, Process, Shutdown, Spin, WorkerState, call};
use tokio::runtime::{Builder, Runtime};

use super::tasks::{burn, empty, millis_since, warm_up};
use super::trap::{Trap, stuck};
use crate::Error;
use crate::helpers::Work;

pub(crate) struct Procpool {
    runtime: Runtime,
    pinned: bool,
    pool: Option<Pool>,
    idle: Option<Pool>,
}

impl Procpool {
    /// `pinned`: whether there is only one core for all of it.
    pub(crate) fn new(pinned: bool) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread().enable_all().build()?;
        Ok(Procpool { runtime, pinned, pool: None, idle: None })
    }

    pub(crate) fn play(&mut self, work: Work) -> Result<Vec<f64>, Error> {
        match work {
            Work::Latency { calls } => self.latency(calls),
            Work::Start { .. } => self.start(),
            Work::Process { .. } => self.process(),
            Work::Death { spares } => self.death(spares),
            Work::Parallel { tasks, millis } => self.parallel(tasks, millis),
            Work::Idle => self.idle(),
            Work::Calls { .. } | Work::Map { .. } | Work::Echo { .. } => Err("measured in no helper".into()),
        }
    }

    fn pool(&mut self) -> Result<Pool, Error> {
        if let Some(pool) = &self.pool {
            return Ok(pool.clone());
        }
        let builder = Pool::builder();
        let builder = if self.pinned { without_spinning(builder) } else { builder };
        let pool = self.runtime.block_on(async {
            let pool = builder.build()?;
            pool.ready().await?;
            Ok::<_, Error>(pool)
        })?;
        Ok(self.pool.insert(pool).clone())
    }

    fn latency(&mut self, calls: usize) -> Result<Vec<f64>, Error> {
        let pool = self.pool()?;
        self.spawned(async move {
            let mut latencies = Vec::with_capacity(calls);
            for number in 0..warm_up(calls) + calls {
                let start = Instant::now();
                pool.run(call!(empty())).await?;
                let latency = start.elapsed();
                if number >= warm_up(calls) {
                    latencies.push(latency.as_secs_f64() * 1e6);
                }
            }
            Ok(latencies)
        })
    }

    fn start(&self) -> Result<Vec<f64>, Error> {
        self.spawned(async {
            let start = Instant::now();
            let pool = Pool::builder().workers(2).build()?;
            pool.run(call!(empty())).await?;
            let took = millis_since(start);
            pool.shutdown_with(Shutdown::Kill).await?;
            Ok(vec![took])
        })
    }

    fn process(&self) -> Result<Vec<f64>, Error> {
        self.spawned(async {
            let start = Instant::now();
            Process::spawn(call!(empty()))?.join().await?;
            Ok(vec![millis_since(start)])
        })
    }

    fn death(&self, spares: u32) -> Result<Vec<f64>, Error> {
        let trap = Trap::set()?;
        let (pool, task) = self.runtime.block_on(async {
            let pool = Pool::builder().workers(1).spares(spares).build()?;
            pool.ready().await?;
            // Ready is said of the worker that was asked for, not of the spares.
            while pool.snapshot().workers.iter().filter(|worker| worker.state == WorkerState::Idle).count()
                <= spares as usize
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let task = pool.spawn(call!(stuck(trap.name())));
            Ok::<_, Error>((pool, task))
        })?;
        let victim = trap.caught()?;
        self.spawned(async move {
            let start = Instant::now();
            victim.kill()?;
            if task.await.is_ok() {
                return Err("a task that was killed ended well".into());
            }
            let error = millis_since(start);
            pool.run(call!(empty())).await?;
            let next = millis_since(start);
            pool.shutdown_with(Shutdown::Kill).await?;
            Ok(vec![error, next])
        })
    }

    fn parallel(&mut self, tasks: u64, millis: u64) -> Result<Vec<f64>, Error> {
        let pool = self.pool()?;
        self.spawned(async move {
            let start = Instant::now();
            let runs = (0..tasks).map(|_| pool.run(call!(burn(millis * 1000))));
            futures::future::try_join_all(runs).await?;
            Ok(vec![millis_since(start)])
        })
    }

    fn idle(&mut self) -> Result<Vec<f64>, Error> {
        let pool = self.runtime.block_on(async {
            let pool = Pool::builder().workers(2).build()?;
            pool.ready().await?;
            // Each takes one of them: neither ends before both are there.
            futures::future::try_join_all((0..2).map(|_| pool.run(call!(burn(2000))))).await?;
            Ok::<_, Error>(pool)
        })?;
        self.idle = Some(pool);
        Ok(Vec::new())
    }

    /// From a task of the runtime, as in a service.
    fn spawned(&self, work: impl Future<Output = Result<Vec<f64>, Error>> + Send + 'static) -> Result<Vec<f64>, Error> {
        self.runtime.block_on(self.runtime.spawn(work))?
    }
}

/// Where all share one core, whoever spins keeps it from the one who is waited for.
fn without_spinning(builder: PoolBuilder) -> PoolBuilder {
    builder.spin(Spin::Off)
}
