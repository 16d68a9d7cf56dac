//! More ways to feed a map: streams, and inputs that can fail.

use std::error::Error;
use std::sync::Arc;

use futures::stream::Stream;

use super::handle::Pool;
use crate::map::{Fallible, Map, Streamed};
use crate::task::{Job, Ship};

impl Pool {
    /// Like [`map`](Self::map), for the items of a stream, which may be endless. It is asked for an item only when
    /// there is room for one, and while it is not ready, results are given all the same. It need not be `Unpin`.
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// let (sender, receiver) = futures::channel::mpsc::channel(10);
    /// # drop(sender);
    /// let lengths = pool.map_stream(|word: String| word.len(), receiver).await?;
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn map_stream<A: Ship, R: Ship, S: Stream<Item = A>>(&self, f: fn(A) -> R, items: S) -> Map<Streamed<S>, R> {
        Map::over(Arc::clone(self.handle()), f, Streamed::new(items))
    }

    /// Like [`map_with`](Self::map_with), for the items of a stream: see [`map_stream`](Self::map_stream).
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// let numbers = futures::stream::iter(0..3);
    /// assert_eq!(pool.map_with_stream(300, |width: &u64, x: u64| width + x, numbers).await?, [300, 301, 302]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn map_with_stream<C: Ship, A: Ship, R: Ship, S: Stream<Item = A>>(
        &self,
        context: C,
        f: fn(&C, A) -> R,
        items: S,
    ) -> Map<Streamed<S>, R> {
        Map::over_with(Arc::clone(self.handle()), &context, f, Streamed::new(items))
    }

    /// Like [`run_all`](Self::run_all), for a stream of jobs: see [`map_stream`](Self::map_stream).
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// use futures::{StreamExt, stream};
    /// let jobs = stream::iter(["ab", "cde"]).map(|word| procpool::call!(str::len(&*word)));
    /// assert_eq!(pool.run_all_stream(jobs).await?, [2, 3]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn run_all_stream<J: Job, S: Stream<Item = J>>(&self, jobs: S) -> Map<Streamed<S>, J::Output> {
        Map::over_jobs(Arc::clone(self.handle()), Streamed::new(jobs))
    }

    /// Like [`map`](Self::map), for items that may be errors, such as the lines of a file. The first error comes in its
    /// place, after the results before it, and is the end: of kind [`Input`](crate::ErrorKind::Input), with the error
    /// as its [`source`](Error::source).
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::io::{BufRead, BufReader};
    /// let lines = BufReader::new(std::fs::File::open("/etc/hosts")?).lines();
    /// let lengths = pool.try_map(|line: String| line.len(), lines).await?;
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn try_map<A: Ship, E, R: Ship, I>(&self, f: fn(A) -> R, items: I) -> Map<Fallible<I::IntoIter>, R>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
        I: IntoIterator<Item = Result<A, E>>,
    {
        Map::over(Arc::clone(self.handle()), f, Fallible::new(items.into_iter()))
    }

    /// Like [`try_map`](Self::try_map), for a stream whose items may be errors: see [`map_stream`](Self::map_stream).
    ///
    /// ```no_run
    /// # async fn f(pool: procpool::Pool) -> Result<(), procpool::RunError> {
    /// let words = futures::stream::iter([Ok("ab".to_string()), Err("no more words")]);
    /// let error = pool.try_map_stream(|word: String| word.len(), words).await.unwrap_err();
    /// assert_eq!((error.kind(), error.index()), (procpool::ErrorKind::Input, Some(1)));
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn try_map_stream<A: Ship, E, R: Ship, S>(&self, f: fn(A) -> R, items: S) -> Map<Fallible<Streamed<S>>, R>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
        S: Stream<Item = Result<A, E>>,
    {
        Map::over(Arc::clone(self.handle()), f, Fallible::new(Streamed::new(items)))
    }
}
