//! The one error of the encoding layer.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

pub(super) const JSON: &str = "wrap it in `procpool::Json<T>`, which carries it as JSON";
pub(super) const MIRROR: &str =
    "let its `Serialize` and `Deserialize` mirror each other, or wrap it in `procpool::Json<T>`";
pub(super) const NESTING: &str = "keep recursive data in a `Vec` whose entries refer to each other by index";

/// A value could not be encoded, or bytes could not be decoded.
///
/// The message names the type, the place inside the value, what is wrong, and what to do about it.
/// Values are never changed silently: what cannot be carried faithfully ends here.
///
/// ```text
/// cannot encode `Config`: `Config` skips its field `a` for this value; remove `skip_serializing_if`, or …
/// ```
#[derive(Clone)]
pub struct CodecError {
    // Boxed: a `Result` of every single serde call carries this type.
    inner: Box<Inner>,
}

#[derive(Clone)]
struct Inner {
    direction: Direction,
    type_name: &'static str,
    /// Innermost first.
    path: Vec<Place>,
    problem: Cow<'static, str>,
    advice: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Encode,
    Decode,
}

#[derive(Clone, Copy)]
pub(super) enum Place {
    Field(&'static str),
    Index(usize),
    Variant(&'static str),
    Key,
}

impl CodecError {
    #[cold]
    pub(super) fn new(problem: impl Into<Cow<'static, str>>, advice: &'static str) -> Self {
        let mut error = CodecError::plain(problem.into());
        error.inner.advice = Some(advice);
        error
    }

    #[cold]
    fn plain(problem: Cow<'static, str>) -> Self {
        CodecError {
            inner: Box::new(Inner {
                direction: Direction::Decode,
                type_name: "",
                path: Vec::new(),
                problem,
                advice: None,
            }),
        }
    }

    /// Bytes that no mirrored pair of implementations could have met.
    #[cold]
    pub(super) fn malformed(error: postcard::Error) -> Self {
        let problem = match error {
            postcard::Error::DeserializeUnexpectedEnd => "the bytes end too early",
            postcard::Error::DeserializeBadVarint => "a number is too large for its type",
            postcard::Error::DeserializeBadBool => "a bool is neither 0 nor 1",
            postcard::Error::DeserializeBadUtf8 => "a string is not valid UTF-8",
            postcard::Error::DeserializeBadChar => "a char is not one",
            _ => return CodecError::new(error.to_string(), MIRROR),
        };
        CodecError::new(problem, MIRROR)
    }

    #[cold]
    pub(super) fn too_deep() -> Self {
        let problem = format!("the value nests more than {} levels deep", super::limits::MAX_DEPTH);
        CodecError::new(problem, NESTING)
    }

    #[cold]
    pub(super) fn too_many_empty() -> Self {
        let problem = format!("more than {} elements of sequences take no byte at all", super::limits::MAX_EMPTY);
        CodecError::new(problem, "send their number instead")
    }

    /// The place one level further out.
    #[cold]
    pub(super) fn at(mut self, place: Place) -> Self {
        self.inner.path.push(place);
        self
    }

    /// Says more about the problem.
    #[cold]
    pub(super) fn noting(mut self, note: fmt::Arguments<'_>) -> Self {
        self.inner.problem = format!("{} ({note})", self.inner.problem).into();
        self
    }

    #[cold]
    pub(super) fn in_type<T: ?Sized>(mut self, direction: Direction) -> Self {
        self.inner.type_name = std::any::type_name::<T>();
        self.inner.direction = direction;
        self
    }

    /// The type whose value was to be carried, as `std::any::type_name` writes it.
    pub fn type_name(&self) -> &'static str {
        self.inner.type_name
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { direction, type_name, path, problem, advice } = &*self.inner;
        let verb = match direction {
            Direction::Encode => "encode",
            Direction::Decode => "decode",
        };
        write!(f, "cannot {verb} `{type_name}`: {problem}")?;
        if !path.is_empty() {
            f.write_str(", at `")?;
            for place in path.iter().rev() {
                match place {
                    Place::Field(name) => write!(f, ".{name}")?,
                    Place::Index(index) => write!(f, "[{index}]")?,
                    Place::Variant(name) => write!(f, "::{name}")?,
                    Place::Key => f.write_str("{key}")?,
                }
            }
            f.write_str("`")?;
        }
        match advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodecError({self})")
    }
}

impl Error for CodecError {}

impl serde::ser::Error for CodecError {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        // serde's words for a `Path` or `PathBuf`.
        if message == "path contains invalid UTF-8 characters" {
            return CodecError::new(message, "send it as an `OsString`, which keeps any bytes");
        }
        CodecError::plain(message.into())
    }
}

impl serde::de::Error for CodecError {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        CodecError::plain(message.to_string().into())
    }
}
