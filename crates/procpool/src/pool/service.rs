//! A pool as a `tower::Service`.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::task::{Context, Poll, ready};

use tokio_util::sync::ReusableBoxFuture;
use tower_service::Service;

use super::handle::Pool;
use super::permit::Permit;
use super::run::Run;
use crate::error::{ErrorKind, RunError};
use crate::task::Job;

/// A pool as a `tower::Service` whose requests are jobs of one type: made by [`Pool::service`](crate::Pool::service).
/// Needs the feature `tower`.
///
/// Back-pressure is the queue's: `poll_ready` takes a place in it and is pending while there is none, `call` uses that
/// place, and its future is a [`Run`] (inert until it is polled; dropped, it stops the work). So tower's `Timeout` stops
/// the work that takes too long, and its `LoadShed` refuses what would have to wait. A clone is a handle of the same
/// pool, and has no place until it is asked for one; a service that was ready and is dropped gives its place back.
///
/// The service keeps the pool alive, as every handle does.
///
/// # Errors
/// `poll_ready` tells that no place can be had: the pool is closed, no worker can be started, or too many wait already
/// ([`max_waiting`](crate::PoolBuilder::max_waiting)). It may be asked again. All else is told by the call's future, as
/// by [`Pool::run`](crate::Pool::run). Called without having been ready (which tower forbids), it waits for a place as
/// `run` does.
///
/// ```no_run
/// use procpool::{Pool, call};
/// use tower::{Service, ServiceBuilder, ServiceExt};
/// # use std::time::Duration;
///
/// fn power(x: u64) -> u128 {
///     (x as u128).pow(x as u32)
/// }
///
/// # async fn f(pool: Pool) -> Result<(), tower::BoxError> {
/// let mut service = ServiceBuilder::new()
///     .load_shed()
///     .concurrency_limit(100)
///     .timeout(Duration::from_secs(2))
///     .service(pool.service());
/// let y = service.ready().await?.call(call!(power(4))).await?;
/// # Ok(()) }
/// ```
pub struct PoolService<J> {
    pool: Pool,
    place: Place,
    jobs: PhantomData<fn(J)>,
}

/// How far the service is with its place in the queue.
enum Place {
    None,
    /// It stands in line. In a box that can be shared between threads: a service has to be.
    Coming(ReusableBoxFuture<'static, Result<Permit, RunError>>),
    Held(Permit),
}

impl<J> PoolService<J> {
    pub(super) fn new(pool: Pool) -> Self {
        PoolService { pool, place: Place::None, jobs: PhantomData }
    }

    fn poll_place(&mut self, context: &mut Context<'_>) -> Poll<Result<Permit, RunError>> {
        if let Place::Coming(coming) = &mut self.place {
            return coming.poll(context);
        }
        match self.pool.try_reserve() {
            Err(error) if error.kind() == ErrorKind::QueueFull => {
                let mut coming = ReusableBoxFuture::new(self.pool.reserve());
                let place = coming.poll(context);
                self.place = Place::Coming(coming);
                place
            }
            taken => Poll::Ready(taken),
        }
    }
}

impl<J: Job> Service<J> for PoolService<J> {
    type Response = J::Output;
    type Error = RunError;
    type Future = Run<J::Output>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), RunError>> {
        if let Place::Held(_) = self.place {
            return Poll::Ready(Ok(()));
        }
        let place = ready!(self.poll_place(context));
        self.place = Place::None;
        self.place = Place::Held(place?);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, job: J) -> Run<J::Output> {
        match mem::replace(&mut self.place, Place::None) {
            Place::Held(permit) => permit.run(job),
            Place::None | Place::Coming(_) => self.pool.run(job),
        }
    }
}

impl<J> Clone for PoolService<J> {
    fn clone(&self) -> Self {
        PoolService::new(self.pool.clone())
    }
}

impl<J> fmt::Debug for PoolService<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.place {
            Place::None => "none",
            Place::Coming(_) => "waited for",
            Place::Held(_) => "held",
        };
        f.debug_struct("PoolService").field("pool", &self.pool).field("place", &place).finish()
    }
}
