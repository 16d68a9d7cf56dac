//! [`AnyError`]: any error, as what it says.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::error::Error;
use std::fmt;

/// How many messages a chain keeps. Chains come from elsewhere, and dropping one recurses.
const MAX_CHAIN: usize = 64;

/// Any error, as the messages of its chain: an error that can travel between processes.
///
/// `io::Error`, `anyhow::Error` and `Box<dyn Error>` cannot be serialised, so a function that
/// returns one cannot run in a worker. With `AnyError` as its error type, `?` takes every error,
/// and its message and those of its causes arrive. The error's type does not: match on it inside
/// the task, or return an enum of your own.
///
/// `{}` shows the outermost message, `{:#}` the whole chain in one line, `{:?}` the chain in lines.
/// Like `anyhow::Error` it does not implement [`Error`] itself, and turns into a
/// `Box<dyn Error + Send + Sync>` (with `source()` walking the chain) wherever `?` asks for one.
///
/// # Examples
///
/// ```
/// use procpool::AnyError;
///
/// fn load(path: String) -> Result<u64, AnyError> {
///     let text = std::fs::read_to_string(path)?;
///     Ok(text.trim().parse()?)
/// }
///
/// fn outside() -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
///     Ok(load("/nonexistent".into())?)        // in a service: pool.run(call!(load(path))).await??
/// }
///
/// assert!(outside().unwrap_err().to_string().contains("No such file"));
/// ```
pub struct AnyError {
    link: Box<Link>,
}

/// A message and its cause. This is what a boxed `AnyError` is, and what `source()` returns.
struct Link {
    message: String,
    source: Option<Box<Link>>,
}

impl AnyError {
    /// An error with only a message.
    pub fn msg(message: impl fmt::Display) -> Self {
        AnyError::from_messages([message.to_string()])
    }

    /// Takes the messages of an error that `?` cannot convert: the content of a
    /// `Box<dyn Error>`, an `anyhow::Error` or an `Arc`, none of which implements [`Error`].
    ///
    /// # Examples
    ///
    /// ```
    /// use procpool::AnyError;
    ///
    /// fn inner() -> Result<u8, Box<dyn std::error::Error>> { Err("no luck".into()) }
    /// fn task() -> Result<u8, AnyError> { inner().map_err(|e| AnyError::capture(&*e)) }
    ///
    /// assert_eq!(task().unwrap_err().to_string(), "no luck");
    /// ```
    pub fn capture(error: &(dyn Error + 'static)) -> Self {
        let messages = std::iter::successors(Some(error), |&error| error.source());
        AnyError::from_messages(messages.map(|error| error.to_string()))
    }

    /// Takes the messages of an `anyhow::Error`: `result.map_err(AnyError::from_anyhow)?`.
    ///
    /// (A `From` for it is impossible beside the one for every [`Error`].)
    #[cfg(feature = "anyhow")]
    #[expect(clippy::needless_pass_by_value, reason = "it is made for `map_err`")]
    pub fn from_anyhow(error: anyhow::Error) -> Self {
        AnyError::capture(error.as_ref())
    }

    /// Puts a message in front; the error becomes its cause.
    ///
    /// # Examples
    ///
    /// ```
    /// use procpool::AnyError;
    ///
    /// let error = AnyError::msg("disk full").context("cannot save the page");
    /// assert_eq!(format!("{error:#}"), "cannot save the page: disk full");
    /// ```
    #[must_use]
    pub fn context(self, message: impl fmt::Display) -> Self {
        let messages = std::iter::once(message.to_string());
        AnyError::from_messages(messages.chain(self.chain().map(str::to_owned)))
    }

    /// The messages, outermost first. There is at least one.
    pub fn chain(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(&*self.link), |link| link.source.as_deref()).map(|link| link.message.as_str())
    }

    /// The cause, if there is one, as an error that walks on.
    pub fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.link.source()
    }

    /// A chain longer than [`MAX_CHAIN`] ends with a word that says so.
    fn from_messages(messages: impl IntoIterator<Item = String>) -> Self {
        let mut messages = messages.into_iter();
        let mut kept: Vec<String> = messages.by_ref().take(MAX_CHAIN - 1).collect();
        if let Some(message) = messages.next() {
            kept.push(match messages.next() {
                None => message,
                Some(_) => "(further causes left out)".to_owned(),
            });
        }
        let mut kept = kept.into_iter().rev();
        let mut link = Link { message: kept.next().unwrap_or_default(), source: None };
        for message in kept {
            link = Link { message, source: Some(Box::new(link)) };
        }
        AnyError { link: Box::new(link) }
    }
}

impl fmt::Display for AnyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.link.fmt(f)?;
        if f.alternate() {
            for message in self.chain().skip(1) {
                write!(f, ": {message}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for AnyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.link.fmt_lines(f)
    }
}

impl Link {
    fn fmt_lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let causes = std::iter::successors(self.source.as_deref(), |link| link.source.as_deref());
        for (number, cause) in causes.enumerate() {
            if number == 0 {
                f.write_str("\n\nCaused by:")?;
            }
            write!(f, "\n    {number}: {}", cause.message)?;
        }
        Ok(())
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// In lines, since this is what `main` prints for a `Box<dyn Error>`.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_lines(f)
    }
}

impl Error for Link {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source: &Link = self.source.as_deref()?;
        Some(source)
    }
}

impl<E: Error> From<E> for AnyError {
    fn from(error: E) -> Self {
        let outermost = std::iter::once(error.to_string());
        let causes = std::iter::successors(error.source(), |&error| error.source());
        AnyError::from_messages(outermost.chain(causes.map(|error| error.to_string())))
    }
}

impl From<AnyError> for Box<dyn Error + Send + Sync> {
    fn from(error: AnyError) -> Self {
        error.link
    }
}

impl From<AnyError> for Box<dyn Error + Send> {
    fn from(error: AnyError) -> Self {
        error.link
    }
}

impl From<AnyError> for Box<dyn Error> {
    fn from(error: AnyError) -> Self {
        error.link
    }
}

#[cfg(feature = "anyhow")]
impl From<AnyError> for anyhow::Error {
    fn from(error: AnyError) -> Self {
        anyhow::Error::new(*error.link)
    }
}

impl PartialEq for AnyError {
    fn eq(&self, other: &Self) -> bool {
        self.chain().eq(other.chain())
    }
}

impl Eq for AnyError {}

impl Clone for AnyError {
    fn clone(&self) -> Self {
        AnyError::from_messages(self.chain().map(str::to_owned))
    }
}

impl Serialize for AnyError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let messages: Vec<&str> = self.chain().collect();
        messages.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AnyError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let messages = Vec::<String>::deserialize(deserializer)?;
        if messages.is_empty() {
            return Err(D::Error::custom("an error without a message"));
        }
        Ok(AnyError::from_messages(messages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::codec::{decode, encode};
    use std::io;

    type Boxed = Box<dyn Error + Send + Sync>;

    fn load(path: &str) -> Result<u64, AnyError> {
        let bytes = std::fs::read(path)?;
        Ok(String::from_utf8(bytes)?.trim().parse()?)
    }

    /// What `pool.run(call!(load(…))).await` gives.
    fn run(path: &str) -> Result<Result<u64, AnyError>, io::Error> {
        let mut bytes = Vec::new();
        encode(&load(path), &mut bytes).unwrap();
        Ok(decode(&bytes).unwrap())
    }

    #[derive(Debug)]
    struct Outer(io::Error);
    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot start")
        }
    }
    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    fn outer() -> AnyError {
        AnyError::from(Outer(io::Error::other(Outer(io::Error::other("no disk")))))
    }

    #[test]
    fn question_marks_inside_and_outside() {
        fn sync() -> Result<u64, Boxed> {
            Ok(run("/nonexistent")??)
        }
        fn unsync() -> Result<u64, Box<dyn Error>> {
            Ok(run("/nonexistent")??)
        }
        assert!(sync().unwrap_err().to_string().contains("No such file"));
        assert!(unsync().unwrap_err().to_string().contains("No such file"));
        assert!(run("/proc/self/comm").unwrap().is_err());
    }

    #[test]
    fn the_chain_shows_and_walks() {
        let error = outer();
        let chain = ["cannot start", "cannot start", "no disk"];
        assert!(error.chain().eq(chain), "{error:#}");
        assert_eq!(error.to_string(), "cannot start");
        assert_eq!(format!("{error:#}"), "cannot start: cannot start: no disk");
        let lines = "cannot start\n\nCaused by:\n    0: cannot start\n    1: no disk";
        assert_eq!(format!("{error:?}"), lines);
        let boxed: Boxed = error.clone().into();
        assert_eq!(format!("{boxed:?}"), lines);
        let last = boxed.source().and_then(Error::source).unwrap();
        assert_eq!(last.to_string(), "no disk");
        assert!(last.source().is_none());
        assert_eq!(error.source().unwrap().to_string(), "cannot start");
        assert_eq!(AnyError::capture(&*boxed), error);
        assert_eq!(AnyError::msg("a").context("b").chain().collect::<Vec<_>>(), ["b", "a"]);
    }

    #[cfg(feature = "anyhow")]
    #[test]
    fn anyhow_both_ways() {
        fn outside() -> anyhow::Result<u64> {
            Ok(run("/nonexistent")??)
        }
        let error = outside().unwrap_err().context("while starting");
        assert!(format!("{error:#}").starts_with("while starting: No such file"));
        let back = AnyError::from_anyhow(error);
        assert_eq!(back.chain().count(), 2);
        let anyhow: anyhow::Error = back.into();
        assert_eq!(anyhow.chain().count(), 2);
    }
}
