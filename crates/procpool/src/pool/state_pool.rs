//! Pools whose workers have a state.

use std::any::type_name;
use std::borrow::Cow;
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use futures::stream::Stream;

use super::builder::PoolBuilder;
use super::handle::Pool;
use super::join_handle::JoinHandle;
use super::run::Run;
use crate::config::Hook;
use crate::error::{PoolError, RunError};
use crate::map::{Input, Map, Streamed};
use crate::task::{Made, Parts, Ship, TaskName, make_parts, try_make_parts, use_parts};

/// What is said to have failed when a state cannot be made.
const TITLE: &str = "the making of the state";

/// A pool each of whose workers has a state of its own, which its tasks get as `&mut S`: a model, a connection, a cache.
///
/// The state is made in the worker, before its first task, and never travels: it need not serialise, nor be `Send`. It
/// is made by a function that the pool was given
/// ([`build_with_state`](PoolBuilder::build_with_state), [`try_build_with_state`](PoolBuilder::try_build_with_state)),
/// as part of each worker's start: after the [`init`](PoolBuilder::init) job, within the same
/// [`init_timeout`](PoolBuilder::init_timeout), and with the same consequences if it fails. A replacement makes its own.
///
/// Each worker runs one task at a time, so a task has the state for itself. What one task changes, later ones of *that*
/// worker see; there is no order among workers.
///
/// **After a panic** of a task the state may be half-changed. It is dropped, and with it the worker's life is over: it
/// runs its exit job and ends, and a replacement makes the state anew, under the time limit of a start and at no other
/// task's cost. (Panics in the decoding of an argument or the encoding of a result do not touch the state.)
///
/// **At the end** of a worker the exit job runs first, and then the state is dropped. A worker that is killed drops
/// nothing.
///
/// Cheap to clone; all clones are the same pool. Everything else that a pool can do is done on [`pool`](Self::pool).
///
/// ```standalone_crate
/// use procpool::{AnyError, Pool, StatePool};
///
/// struct Counter {
///     step: u64,
///     count: u64,
/// }
///
/// fn load(step: u64) -> Result<Counter, AnyError> {
///     Ok(Counter { step, count: 0 })
/// }
///
/// fn add(counter: &mut Counter, times: u64) -> u64 {
///     counter.count += counter.step * times;
///     counter.count
/// }
///
/// #[procpool::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let counters: StatePool<Counter> = Pool::builder().workers(1).try_build_with_state(load, 10)?;
///     assert_eq!(counters.run(add, 1).await?, 10);
///     assert_eq!(counters.run(|counter, by: u64| counter.count + by, 1).await?, 11);
///     assert_eq!(counters.map(add, [1, 1, 2]).await?, [20, 30, 50]);
///     counters.pool().shutdown().await?;
///     Ok(())
/// }
/// ```
pub struct StatePool<S: 'static> {
    pool: Pool,
    /// What it is a pool of; it has none.
    state: PhantomData<fn(&mut S)>,
}

impl<S: 'static> StatePool<S> {
    /// Calls `f` with a worker's state and this argument: a future that is inert until it is awaited. `f` is a function,
    /// or a closure that captures nothing; several values travel as a tuple.
    ///
    /// # Errors
    /// Through the future, as for [`Pool::run`].
    ///
    /// # Cancel safety
    /// As [`Pool::run`]: dropping the future stops the work, which costs a worker that has begun its state.
    ///
    /// ```no_run
    /// # async fn f(texts: procpool::StatePool<Vec<String>>) -> Result<(), procpool::RunError> {
    /// let known = texts.run(|texts, (text, limit): (String, usize)| {
    ///     texts.push(text);
    ///     texts.len() > limit
    /// }, ("hello".into(), 3)).await?;
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn run<A: Ship, R: Ship>(&self, f: fn(&mut S, A) -> R, argument: A) -> Run<R> {
        Run::new(Arc::clone(self.pool.handle()), self.parts(f, argument))
    }

    /// Like [`run`](Self::run), but never waits for a place in the queue: it takes one now, or fails.
    ///
    /// # Errors
    /// As [`Pool::try_run`].
    ///
    /// # Cancel safety
    /// As [`Pool::try_run`].
    ///
    /// ```no_run
    /// # async fn f(sums: procpool::StatePool<u64>) -> Result<(), procpool::RunError> {
    /// let sum = sums.try_run(|sum, x: u64| *sum + x, 4)?.await?;
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn try_run<A: Ship, R: Ship>(&self, f: fn(&mut S, A) -> R, argument: A) -> Result<Run<R>, RunError> {
        Run::reserved(Arc::clone(self.pool.handle()), self.parts(f, argument))
    }

    /// Starts a call now, detached, like [`Pool::spawn`].
    ///
    /// # Cancel safety
    /// Dropping the handle detaches: the task goes on.
    ///
    /// ```no_run
    /// # async fn f(sums: procpool::StatePool<u64>) -> Result<(), procpool::RunError> {
    /// let handle = sums.spawn(|sum, x: u64| *sum + x, 4);
    /// println!("{}", handle.await?);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn spawn<A: Ship, R: Ship>(&self, f: fn(&mut S, A) -> R, argument: A) -> JoinHandle<R> {
        self.run(f, argument).spawn()
    }

    /// Calls `f` for each item, with the state of the worker that it comes to, like [`Pool::map`].
    ///
    /// # Errors
    /// Each item's [`RunError`] knows its [`index`](RunError::index).
    ///
    /// ```no_run
    /// # async fn f(sums: procpool::StatePool<u64>) -> Result<(), procpool::RunError> {
    /// let sums = sums.map(|sum, x: u64| *sum + x, 0..100).await?;
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn map<A: Ship, R: Ship, I: IntoIterator<Item = A>>(
        &self,
        f: fn(&mut S, A) -> R,
        items: I,
    ) -> Map<I::IntoIter, R> {
        self.map_input(f, items.into_iter())
    }

    /// Like [`map`](Self::map), for the items of a stream, like [`Pool::map_stream`].
    ///
    /// ```no_run
    /// # async fn f(sums: procpool::StatePool<u64>) -> Result<(), procpool::RunError> {
    /// let sums = sums.map_stream(|sum, x: u64| *sum + x, futures::stream::iter(0..100)).await?;
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn map_stream<A: Ship, R: Ship, I: Stream<Item = A>>(
        &self,
        f: fn(&mut S, A) -> R,
        items: I,
    ) -> Map<Streamed<I>, R> {
        self.map_input(f, Streamed::new(items))
    }

    #[track_caller]
    fn map_input<A: Ship, R: Ship, I: Input<Item = A>>(&self, f: fn(&mut S, A) -> R, items: I) -> Map<I, R> {
        let name = task_name::<S>("map");
        let make = move |item| use_parts(f, item, TaskName::chosen(name.clone()));
        Map::over_parts(Arc::clone(self.pool.handle()), "map", make, items)
    }

    /// The pool itself: to shut it down, to warm, resize and watch it, and for jobs that need no state.
    ///
    /// ```no_run
    /// # async fn f(sums: procpool::StatePool<u64>) -> Result<(), Box<dyn std::error::Error>> {
    /// sums.pool().ready().await?; // every worker has its state
    /// assert_eq!(sums.pool().run(procpool::call!(str::len("four"))).await?, 4);
    /// sums.pool().shutdown().await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    #[track_caller]
    fn parts<A: Ship, R: Ship>(&self, f: fn(&mut S, A) -> R, argument: A) -> Parts<R> {
        use_parts(f, argument, TaskName::chosen(task_name::<S>("run")).at(Location::caller()))
    }
}

/// Neither the function's name nor its closure's is known of a pointer, but what it works on is.
fn task_name<S>(what: &str) -> Cow<'static, str> {
    format!("{what} on {}", TaskName::of_type::<S>()).into()
}

impl<S: 'static> Clone for StatePool<S> {
    fn clone(&self) -> Self {
        StatePool { pool: self.pool.clone(), state: PhantomData }
    }
}

impl<S: 'static> fmt::Debug for StatePool<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatePool").field("state", &type_name::<S>()).field("pool", &self.pool).finish()
    }
}

impl PoolBuilder {
    /// Makes a pool each of whose workers has a state, made there by `make(argument)` before its first task. See
    /// [`StatePool`]. `make` is a function, or a closure that captures nothing; the argument is encoded once.
    ///
    /// # Errors
    /// As [`build`](Self::build), and of kind [`InvalidConfig`](crate::PoolErrorKind::InvalidConfig) when the argument
    /// cannot be encoded. That a state cannot be made is told by [`Pool::ready`] and by the tasks, as for an
    /// [`init`](Self::init) job.
    ///
    /// ```no_run
    /// # fn f() -> Result<(), procpool::PoolError> {
    /// use std::collections::HashMap;
    /// let caches = procpool::Pool::builder().build_with_state(|size| HashMap::<u64, u64>::with_capacity(size), 1000)?;
    /// # Ok(()) }
    /// ```
    pub fn build_with_state<A: Ship, S: 'static>(
        self,
        make: fn(A) -> S,
        argument: A,
    ) -> Result<StatePool<S>, PoolError> {
        self.build_state_pool(make_parts(make, argument))
    }

    /// Like [`build_with_state`](Self::build_with_state), with a `make` that can fail. The words of its error are in
    /// those of the pool and its tasks; it need not serialise.
    ///
    /// # Errors
    /// As [`build_with_state`](Self::build_with_state).
    ///
    /// ```no_run
    /// # fn f() -> Result<(), procpool::PoolError> {
    /// use std::fs::File;
    /// let files = procpool::Pool::builder().try_build_with_state(|path: String| File::open(path), "model.bin".into())?;
    /// # Ok(()) }
    /// ```
    pub fn try_build_with_state<A: Ship, S: 'static, E: Display + 'static>(
        self,
        make: fn(A) -> Result<S, E>,
        argument: A,
    ) -> Result<StatePool<S>, PoolError> {
        self.build_state_pool(try_make_parts(make, argument))
    }

    fn build_state_pool<S>(self, parts: Parts<Made>) -> Result<StatePool<S>, PoolError> {
        let pool = self.with_state(Hook::of_parts(TITLE, parts)?).build()?;
        Ok(StatePool { pool, state: PhantomData })
    }
}
