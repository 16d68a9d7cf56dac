//! Where the items come from.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::Stream;

/// Why an input gives no more items although it is not at its end.
type Failure = Box<dyn Error + Send + Sync>;

/// What a [`Map`](crate::Map) can take its items from: any iterator, a [`Streamed`], or one of these whose items may
/// be errors, as [`Fallible`].
///
/// It cannot be implemented outside this crate.
///
/// ```no_run
/// use procpool::{Input, Map, RunError};
///
/// async fn sum<I: Input>(numbers: Map<I, u64>) -> Result<u64, RunError> {
///     Ok(numbers.unordered().await?.into_iter().sum())
/// }
/// ```
pub trait Input: Sealed {
    /// What a call is made of.
    type Item;

    /// The next item, its failure, or the end; not asked again after the latter two.
    #[doc(hidden)]
    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Self::Item, Failure>>>;

    /// How many items there are to come, as [`Iterator::size_hint`].
    #[doc(hidden)]
    fn hint(&self) -> (usize, Option<usize>);
}

/// Keeps [`Input`] to this crate.
pub trait Sealed {}

impl<I: Iterator> Sealed for I {}

impl<I: Iterator> Input for I {
    type Item = I::Item;

    fn poll_item(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<I::Item, Failure>>> {
        Poll::Ready(self.next().map(Ok))
    }

    fn hint(&self) -> (usize, Option<usize>) {
        self.size_hint()
    }
}

/// The items of a stream: made by [`Pool::map_stream`](crate::Pool::map_stream) and its kin.
///
/// ```no_run
/// use futures::stream::{self, Iter};
/// use procpool::{Map, Pool, Streamed};
///
/// fn lengths(pool: &Pool) -> Map<Streamed<Iter<std::vec::IntoIter<String>>>, usize> {
///     pool.map_stream(|word: String| word.len(), stream::iter(vec!["ab".to_string()]))
/// }
/// ```
pub struct Streamed<S>(Pin<Box<S>>);

impl<S> Streamed<S> {
    pub(crate) fn new(stream: S) -> Self {
        Streamed(Box::pin(stream))
    }
}

impl<S: Stream> Sealed for Streamed<S> {}

impl<S: Stream> Input for Streamed<S> {
    type Item = S::Item;

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<S::Item, Failure>>> {
        self.0.as_mut().poll_next(context).map(|item| item.map(Ok))
    }

    fn hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<S> fmt::Debug for Streamed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Streamed(..)")
    }
}

/// Items that may be errors, the first of which is the end: made by [`Pool::try_map`](crate::Pool::try_map) and
/// [`Pool::try_map_stream`](crate::Pool::try_map_stream).
///
/// ```no_run
/// use std::io::{BufReader, Lines, Stdin};
///
/// use procpool::{Fallible, Map, Pool};
///
/// fn lengths(pool: &Pool) -> Map<Fallible<Lines<BufReader<Stdin>>>, usize> {
///     use std::io::BufRead;
///     pool.try_map(|line: String| line.len(), BufReader::new(std::io::stdin()).lines())
/// }
/// ```
pub struct Fallible<I>(I);

impl<I> Fallible<I> {
    pub(crate) fn new(input: I) -> Self {
        Fallible(input)
    }
}

impl<I> Sealed for Fallible<I> {}

impl<I, A, E> Input for Fallible<I>
where
    I: Input<Item = Result<A, E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Item = A;

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<A, Failure>>> {
        self.0.poll_item(context).map(|item| item.map(|item| item.and_then(|item| item.map_err(Into::into))))
    }

    fn hint(&self) -> (usize, Option<usize>) {
        self.0.hint()
    }
}

impl<I> fmt::Debug for Fallible<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fallible(..)")
    }
}
