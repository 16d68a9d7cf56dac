//! Read-only bytes in shared memory.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::queue::travel;
use crate::sys::sealed::SealedBytes;
use crate::task::apart::{self, Apart};
use crate::task::attachment::{self, Attachment, Content};
use crate::task::store;

/// Read-only bytes in shared memory: an argument that costs the same whether it has a kilobyte or a gigabyte.
///
/// It is made once, here: a copy of bytes that are there ([`copy_from`](Self::copy_from)), or filled in place
/// ([`build`](Self::build)). A task that has it as an argument, by itself, deep inside of another value, or in a
/// [`Shared`](crate::Shared) one, sees the very same memory: what travels is a key of a few bytes, and, once to each
/// worker, the memory's descriptor. Everywhere it is a smart pointer to a `[u8]`; clones share the bytes.
///
/// A worker has it mapped from the first task that names it until the last `Blob` here is dropped, and the last task that
/// names it is over. A task that keeps it longer (in a static, or in its worker's [state](crate::StatePool)) may: the
/// memory stays as long as anybody has it.
///
/// The bytes can never change, and the kernel sees to that: the memory is sealed against writing before any other process
/// gets it. So a worker, be it hostile, cannot change what this process or another worker sees.
///
/// # Where it travels in another way
/// - **Small ones**, of less than 64 KiB, have no memory file: they are sent to each worker once, as bytes.
/// - **In results** (and in messages of queues, and in the arguments of `init`, exit and state jobs) the bytes
///   themselves travel, as those of a `Vec<u8>` do; they count against
///   [`max_message`](crate::PoolBuilder::max_message). What arrives is a `Blob` with memory of its own.
/// - **One that came from elsewhere** (as an argument, or in a result) and is passed on to a pool is sent to each of its
///   workers once, as bytes.
/// - **On threads** ([`in_process`](crate::PoolBuilder::in_process)) nothing is sent or mapped: it is the same memory.
///
/// Anywhere else (in a file, within [`Json`](crate::Json)) serialising it is an error that says so.
///
/// # Errors
/// One that a worker cannot map (no descriptor or no address space is left there) is an error of kind
/// [`Decode`](crate::ErrorKind::Decode) of each task that names it.
///
/// # Limits
/// Each one of 64 KiB or more has an open descriptor in the process that has made it (and none in workers). For
/// many small pieces make one `Blob`, and pass ranges of it along.
///
/// ```standalone_crate
/// use procpool::{Blob, Pool, call};
///
/// fn count(text: Blob, wanted: u8) -> usize {
///     text.iter().filter(|byte| **byte == wanted).count()
/// }
///
/// #[procpool::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let pool = Pool::new()?;
///     let text = Blob::copy_from("so much text ".repeat(100_000))?;
///     let letters = pool.map(|(text, letter): (Blob, u8)| count(text, letter), b"mu".map(|letter| (text.clone(), letter)));
///     assert_eq!(letters.await?, [100_000, 100_000]);
///     assert_eq!(pool.run(call!(count(text.clone(), b'o'))).await?, 100_000);
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Blob {
    inner: Arc<Inner>,
}

struct Inner {
    memory: Content,
    /// What workers are sent, once one is.
    attachment: OnceLock<Arc<Attachment>>,
}

/// Below this a descriptor, a mapping and its page faults, here and there, cost more than the bytes on their way.
const LEAST_SEALED: usize = 64 * 1024;

impl Blob {
    /// A copy of these bytes.
    ///
    /// # Errors
    /// There is no memory for them, or no descriptor is left in this process.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let blob = procpool::Blob::copy_from("some bytes")?;
    /// assert_eq!(&blob[5..], b"bytes");
    /// # Ok(()) }
    /// ```
    pub fn copy_from(bytes: impl AsRef<[u8]>) -> io::Result<Blob> {
        let bytes = bytes.as_ref();
        Ok(Blob::of(match bytes.len() {
            ..LEAST_SEALED => Content::Bytes(Bytes::copy_from_slice(bytes)),
            _ => Content::Sealed(Arc::new(SealedBytes::copy_of(bytes)?)),
        }))
    }

    /// So many bytes, as `fill` writes them: in place, so that nothing is copied. They are zero before that. `fill` is
    /// called once, and may fail.
    ///
    /// # Errors
    /// That of `fill`; there is no memory for so many bytes, or no descriptor is left in this process.
    ///
    /// # Panics
    /// Only where `fill` panics.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use std::io::Read;
    ///
    /// use procpool::Blob;
    ///
    /// let squares = Blob::build(100, |room| {
    ///     for (n, byte) in room.iter_mut().enumerate() {
    ///         *byte = (n * n) as u8;
    ///     }
    ///     Ok(())
    /// })?;
    /// assert_eq!(squares[15], 225);
    ///
    /// let mut file = std::fs::File::open("/proc/self/exe")?;
    /// let program = Blob::build(file.metadata()?.len() as usize, |room| file.read_exact(room))?;
    /// assert!(program.starts_with(b"\x7fELF"));
    /// # Ok(()) }
    /// ```
    pub fn build(len: usize, fill: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<Blob> {
        if len >= LEAST_SEALED {
            return Ok(Blob::of(Content::Sealed(Arc::new(SealedBytes::filled_by(len, fill)?))));
        }
        let mut bytes = vec![0; len];
        fill(&mut bytes)?;
        Ok(Blob::own(bytes.into()))
    }

    fn own(bytes: Bytes) -> Blob {
        Blob::of(Content::Bytes(bytes))
    }

    fn of(memory: Content) -> Blob {
        Blob { inner: Arc::new(Inner { memory, attachment: OnceLock::new() }) }
    }

    fn attachment(&self) -> &Arc<Attachment> {
        let Inner { memory, attachment } = &*self.inner;
        attachment.get_or_init(|| Attachment::plain(memory.clone()))
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.inner.memory
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// What of a blob is in the bytes of the value that it is in.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Blob")]
enum Travelling {
    /// The key of an attachment.
    Named(u64),
    Here(Here),
    /// So many bytes have left apart.
    Apart(u64),
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() || !travel::is_collecting() {
            return Err(ser::Error::custom(NOWHERE_ELSE));
        }
        let travelling = if attachment::can_be_named() {
            attachment::name(self.attachment());
            Travelling::Named(self.attachment().key())
        } else if apart::wants(self.len()) {
            apart::leave(Apart::Shared(self.inner.memory.to_bytes()));
            Travelling::Apart(self.len() as u64)
        } else {
            Travelling::Here(Here(self.inner.memory.to_bytes()))
        };
        travelling.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() || !travel::is_decoding() {
            return Err(de::Error::custom(NOWHERE_ELSE));
        }
        match Travelling::deserialize(deserializer)? {
            Travelling::Named(key) => store::get(key, |content| Ok(Blob::of(content.clone())))
                .map_err(|error| de::Error::custom(format!("a blob: {error}"))),
            Travelling::Here(Here(bytes)) => Ok(Blob::own(bytes)),
            Travelling::Apart(len) => match usize::try_from(len).ok().and_then(apart::take) {
                Some(bytes) => Ok(Blob::own(bytes.into())),
                None => Err(de::Error::custom("the bytes of a blob have not come with it")),
            },
        }
    }
}

const NOWHERE_ELSE: &str = "a `Blob` travels in arguments and results of tasks and in messages of queues and nowhere \
                            else (also not in `Json`): write out its bytes, or keep it out with `#[serde(skip)]`";

/// Bytes as they are, and not one by one.
struct Here(Bytes);

impl Serialize for Here {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Here {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Copy;

        impl Visitor<'_> for Copy {
            type Value = Here;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of a blob")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Here, E> {
                Ok(Here(Bytes::copy_from_slice(bytes)))
            }
        }

        deserializer.deserialize_bytes(Copy)
    }
}
