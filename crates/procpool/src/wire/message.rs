//! What messages say.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::error::{ErrorKind, Exit};
use crate::limits::Limits;
use crate::queue::client::ParcelKey;
use crate::queue::travel::{Carried, Key};
use crate::sandbox::Sandbox;
use crate::task::{CodeName, WireEntry};

/// The version of everything in this module, in [`frame`](super::frame) and in [`page`](super::page).
pub(crate) const PROTOCOL: u32 = 1;

/// Marks a [`Hello`].
pub(crate) const HELLO_MAGIC: u64 = u64::from_le_bytes(*b"procpool");

/// How much longer than the user's limit a message may be: the head of a task, or a reply that is no value. Every text
/// that goes into one is cut so that they fit.
pub(crate) const MESSAGE_OVERHEAD: u64 = 64 * 1024;

/// Results up to this size are copied out of the buffer that they were read into.
const SMALL_VALUE: usize = 16 * 1024;

/// Longest text in a reply, in bytes.
const MAX_TEXT: usize = 8 * 1024;

/// Longest backtrace in a reply, in bytes.
const MAX_BACKTRACE: usize = 32 * 1024;

/// Longest task name that travels, in bytes.
const MAX_NAME: usize = 1024;

/// A message that does not say what its kind promises.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a {what} that cannot be read: {why}")]
pub(crate) struct WireError {
    what: &'static str,
    why: String,
}

impl WireError {
    fn new(what: &'static str, why: impl ToString) -> WireError {
        WireError { what, why: why.to_string() }
    }
}

/// What a worker does about signals from outside that ask programs to end (TERM, INT, HUP).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SignalPolicy {
    /// Nothing: its pool decides when it ends. For the workers of pools.
    #[default]
    Ignore,
    /// It ends, as programs do. For a `Process`.
    Default,
}

/// A job without its types, ready to be run by another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EncodedJob {
    /// [`CodeName::to_bytes`].
    pub(crate) entry: Vec<u8>,
    pub(crate) name: String,
    pub(crate) arguments: Vec<u8>,
}

/// Which file a process runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExeIdentity {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    /// Empty where the linker left none.
    pub(crate) build_id: Vec<u8>,
}

impl ExeIdentity {
    /// That of this process.
    pub(crate) fn of_this_process() -> std::io::Result<ExeIdentity> {
        let (dev, ino) = crate::sys::process::executable_id()?;
        Ok(ExeIdentity { dev, ino, build_id: crate::task::build_id().unwrap_or_default().to_vec() })
    }
}

/// The first message to a worker: who it is, and what it prepares. The shared page travels with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) protocol: u32,
    /// `worker-3`.
    pub(crate) name: String,
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    /// How many pools lie above this worker: 1 for those of an ordinary program.
    pub(crate) depth: u32,
    /// The most bytes that a result may have.
    pub(crate) max_message: u64,
    /// Run before `InitDone`.
    pub(crate) init: Option<EncodedJob>,
    /// Run on `Retire`.
    pub(crate) exit: Option<EncodedJob>,
    /// Whether crashes may leave core dumps.
    pub(crate) core_dumps: bool,
    pub(crate) limits: Limits,
    pub(crate) sandbox: Option<Sandbox>,
    /// The step of a start after which tasks come: [`INIT_STEP`] or [`STATE_STEP`].
    pub(crate) last_step: u64,
    pub(crate) signals: SignalPolicy,
    /// The parent's file, unless its workers run another. The worker compares before it runs `init`; the parent compares
    /// again, with its `Hello`.
    pub(crate) exe: Option<ExeIdentity>,
    /// How everything travels that comes after this and after the worker's `Hello`.
    pub(crate) carrier: Carrier,
    /// How long an idle worker may look for its next task before it sleeps, in microseconds.
    pub(crate) spin_us: u32,
}

/// What carries the frames between a parent and a worker, once they know each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Carrier {
    /// The rings behind the shared page.
    Rings,
    /// The socket on which they met: the reference.
    Socket,
}

/// The first message from a worker. Magic number and protocol come first in every version, so that two programs with
/// different ones can tell each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// [`HELLO_MAGIC`].
    pub(crate) magic: u64,
    pub(crate) protocol: u32,
    pub(crate) pid: u32,
    pub(crate) exe: ExeIdentity,
}

impl Setup {
    /// As the body of a frame.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, WireError> {
        postcard::to_stdvec(self).map_err(|error| WireError::new("set-up", error))
    }

    /// The reverse.
    pub(crate) fn decode(body: &[u8]) -> Result<Setup, WireError> {
        postcard::from_bytes(body).map_err(|error| WireError::new("set-up", error))
    }

    /// Which of the worker's bounds it has run into, by how it ended: what to call that, and what to say. `has_spoken` as
    /// for [`Limits::explain`].
    pub(crate) fn explain(&self, exit: Exit, has_spoken: bool, stderr: &[String]) -> Option<(ErrorKind, String)> {
        let fence = || self.sandbox.as_ref().and_then(|sandbox| sandbox.explain(exit));
        self.limits.explain(exit, has_spoken, stderr).or_else(fence)
    }
}

impl Hello {
    /// As the body of a frame.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, WireError> {
        postcard::to_stdvec(self).map_err(|error| WireError::new("hello", error))
    }

    /// The reverse, of a hello whose [`protocol_of`](Self::protocol_of) is ours.
    pub(crate) fn decode(body: &[u8]) -> Result<Hello, WireError> {
        postcard::from_bytes(body).map_err(|error| WireError::new("hello", error))
    }

    /// The protocol that a hello speaks, which may be another version than ours and go on in another way. A wrong magic
    /// number is an error.
    pub(crate) fn protocol_of(body: &[u8]) -> Result<u32, WireError> {
        match postcard::take_from_bytes::<(u64, u32)>(body) {
            Ok(((HELLO_MAGIC, protocol), _)) => Ok(protocol),
            Ok(_) => Err(WireError::new("hello", "it is not one")),
            Err(error) => Err(WireError::new("hello", error)),
        }
    }
}

/// The fixed part of a task's head: length of the code's name, attempt, task, length of the task's name.
const HEAD_LEN: usize = 2 + 4 + 8 + 2;

/// What precedes the arguments in the body of a `Task`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskHead<'a> {
    /// [`CodeName::to_bytes`].
    pub(crate) entry: &'a [u8],
    /// 1 for the first; 0 says that this is a lot, and that what follows are the arguments of its items: see
    /// [`lot`](super::lot).
    pub(crate) attempt: u32,
    pub(crate) task: u64,
    pub(crate) name: &'a str,
}

/// Writes what precedes the arguments in the body of a `Task`. `attempt` is 0 for a lot. A name that is too long is cut.
pub(crate) fn task_head(entry: &CodeName, attempt: u32, task: u64, name: &str) -> Vec<u8> {
    let name = cut(name, MAX_NAME);
    let mut head = Vec::with_capacity(HEAD_LEN + WireEntry::LEN + name.len());
    head.extend_from_slice(&[0; 2]);
    entry.write(&mut head);
    // Stable names have a limit, which fits.
    let length = (head.len() - 2) as u16;
    head[..2].copy_from_slice(&length.to_le_bytes());
    head.extend_from_slice(&attempt.to_le_bytes());
    head.extend_from_slice(&task.to_le_bytes());
    // At most MAX_NAME, so it fits.
    head.extend_from_slice(&(name.len() as u16).to_le_bytes());
    head.extend_from_slice(name.as_bytes());
    head
}

/// Reads the body of a `Task`: the head, and where the arguments begin.
pub(crate) fn parse_task_head(body: &[u8]) -> Result<(TaskHead<'_>, usize), WireError> {
    let short = || WireError::new("task", "it ends too early");
    let (length, rest) = body.split_first_chunk().ok_or_else(short)?;
    let entry_length = usize::from(u16::from_le_bytes(*length));
    let (entry, rest) = rest.split_at_checked(entry_length).ok_or_else(short)?;
    let (attempt, rest) = rest.split_first_chunk().ok_or_else(short)?;
    let (task, rest) = rest.split_first_chunk().ok_or_else(short)?;
    let (length, rest) = rest.split_first_chunk().ok_or_else(short)?;
    let length = usize::from(u16::from_le_bytes(*length));
    let name = rest.get(..length).ok_or_else(short)?;
    let name = std::str::from_utf8(name).map_err(|error| WireError::new("task", error))?;
    let head = TaskHead { entry, attempt: u32::from_le_bytes(*attempt), task: u64::from_le_bytes(*task), name };
    Ok((head, HEAD_LEN + entry_length + length))
}

/// A panic, as the worker's hook saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PanicReport {
    pub(crate) message: String,
    /// `src/main.rs:3:5`.
    pub(crate) location: Option<String>,
    /// Only where RUST_BACKTRACE asked for it.
    pub(crate) backtrace: Option<String>,
    /// The thread's name.
    pub(crate) thread: Option<String>,
    /// The worker's state was lost with it: the worker claims nothing more.
    pub(crate) state_lost: bool,
}

/// The id of the `InitDone` that tells of the initialiser.
pub(crate) const INIT_STEP: u64 = 0;

/// The id of the `InitDone` that tells of the state, which comes second, where there is one.
pub(crate) const STATE_STEP: u64 = 1;

/// What came of a task, or of an initialiser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReplyBody {
    /// The encoded result.
    Value(Bytes),
    /// The encoded result, of which a part came apart.
    Apart {
        /// The encoded result without that part.
        value: Bytes,
        /// That part.
        apart: Vec<u8>,
    },
    /// The encoded result, which names handles of queues.
    Carrying {
        /// The encoded result.
        value: Bytes,
        /// What keeps the handles alive.
        carried: Carried,
    },
    /// The task panicked; the worker lives.
    Panicked(PanicReport),
    /// The arguments do not decode; the task did not run.
    Undecodable(String),
    /// The task ran, and its result does not encode.
    Unencodable(String),
    /// The task ran, and its result is over the limit.
    TooLarge {
        /// Bytes that the result has.
        len: u64,
        /// Bytes that it may have.
        limit: u64,
    },
    /// The worker does not find the code; nothing ran.
    UnknownCode(String),
}

const PANICKED: u8 = 1;
const UNDECODABLE: u8 = 2;
const UNENCODABLE: u8 = 3;
const TOO_LARGE: u8 = 4;
const UNKNOWN_CODE: u8 = 5;
/// The parcel's key in 16 bytes (LE), then the encoded result.
const CARRYING: u8 = 6;

impl ReplyBody {
    /// What the body of a value starts with. The encoded result follows, so that it can be encoded in place.
    pub(crate) const VALUE_TAG: u8 = 0;

    /// Appends the body. Texts are cut so that all but values keep within [`MESSAGE_OVERHEAD`].
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let text = |out: &mut Vec<u8>, tag, text: &str| {
            out.push(tag);
            out.extend_from_slice(cut(text, MAX_TEXT).as_bytes());
        };
        match self {
            ReplyBody::Value(value) => {
                out.push(Self::VALUE_TAG);
                out.extend_from_slice(value);
            }
            ReplyBody::Apart { value, apart } => {
                out.push(Self::VALUE_TAG);
                out.extend_from_slice(value);
                out.extend_from_slice(apart);
            }
            ReplyBody::Carrying { value, carried: Carried::Named(key) } => {
                Self::begin_carrying(*key, out);
                out.extend_from_slice(value);
            }
            ReplyBody::Carrying { .. } => text(out, UNENCODABLE, "its handles are not on their way"),
            ReplyBody::Panicked(report) => {
                let keep = |text: &Option<String>, limit| text.as_deref().map(|text| cut(text, limit).to_owned());
                let report = PanicReport {
                    message: cut(&report.message, MAX_TEXT).to_owned(),
                    location: keep(&report.location, MAX_TEXT),
                    backtrace: keep(&report.backtrace, MAX_BACKTRACE),
                    thread: keep(&report.thread, MAX_NAME),
                    state_lost: report.state_lost,
                };
                out.push(PANICKED);
                // Strings always encode; should they not, the message is what matters.
                match postcard::to_stdvec(&report) {
                    Ok(bytes) => out.extend_from_slice(&bytes),
                    Err(_) => {
                        out.pop();
                        text(out, UNENCODABLE, &report.message);
                    }
                }
            }
            ReplyBody::Undecodable(why) => text(out, UNDECODABLE, why),
            ReplyBody::Unencodable(why) => text(out, UNENCODABLE, why),
            ReplyBody::UnknownCode(why) => text(out, UNKNOWN_CODE, why),
            ReplyBody::TooLarge { len, limit } => {
                out.push(TOO_LARGE);
                out.extend_from_slice(&len.to_le_bytes());
                out.extend_from_slice(&limit.to_le_bytes());
            }
        }
    }

    /// Appends what the body of a value that names handles starts with; the encoded result follows.
    fn begin_carrying(ParcelKey(Key(key)): ParcelKey, out: &mut Vec<u8>) {
        out.push(CARRYING);
        out.extend_from_slice(&key.to_le_bytes());
    }

    /// Makes the body of a value that of a value whose handles are in this parcel.
    pub(crate) fn carry(key: ParcelKey, body: &mut Vec<u8>) {
        let mut head = Vec::new();
        Self::begin_carrying(key, &mut head);
        body.splice(..body.len().min(1), head);
    }

    /// Takes over the handles that a value names, and gives what keeps them, too: so that whoever hands this on need not
    /// be the one that lets go of them. Not to be called with a lock held.
    pub(crate) fn adopt(&mut self) -> Option<Carried> {
        let ReplyBody::Carrying { carried, .. } = self else { return None };
        *carried = carried.clone().adopt();
        Some(carried.clone())
    }

    /// Whether the worker says that it takes no more tasks.
    pub(crate) fn is_last(&self) -> bool {
        matches!(self, ReplyBody::Panicked(report) if report.state_lost)
    }

    /// Reads what a worker sent, with a part of it apart: only values have one.
    pub(crate) fn decode_with(body: Bytes, apart: Vec<u8>) -> Result<ReplyBody, WireError> {
        match Self::decode(body)? {
            reply if apart.is_empty() => Ok(reply),
            ReplyBody::Value(value) => Ok(ReplyBody::Apart { value, apart }),
            _ => Err(WireError::new("reply", "a part of it came apart, and it is no value")),
        }
    }

    /// Reads what a worker sent. A value shares the body's memory.
    pub(crate) fn decode(mut body: Bytes) -> Result<ReplyBody, WireError> {
        let tag = *body.first().ok_or_else(|| WireError::new("reply", "it is empty"))?;
        let rest = body.split_off(1);
        // A text is for people: what is no UTF-8 in it is replaced, not refused.
        let text = || String::from_utf8_lossy(&rest[..rest.len().min(MAX_TEXT)]).into_owned();
        match tag {
            // A piece of a read buffer, which it would keep whole for as long as its caller does not look at it.
            Self::VALUE_TAG if rest.len() <= SMALL_VALUE => Ok(ReplyBody::Value(Bytes::copy_from_slice(&rest))),
            Self::VALUE_TAG => Ok(ReplyBody::Value(rest)),
            CARRYING => {
                let (key, _) = rest.split_first_chunk().ok_or_else(|| WireError::new("reply", "its key is cut off"))?;
                let carried = Carried::Named(ParcelKey(Key(u128::from_le_bytes(*key))));
                let value = rest.slice(size_of::<u128>()..);
                let value = if value.len() <= SMALL_VALUE { Bytes::copy_from_slice(&value) } else { value };
                Ok(ReplyBody::Carrying { value, carried })
            }
            PANICKED => postcard::from_bytes(&rest)
                .map(ReplyBody::Panicked)
                .map_err(|error| WireError::new("report of a panic", error)),
            UNDECODABLE => Ok(ReplyBody::Undecodable(text())),
            UNENCODABLE => Ok(ReplyBody::Unencodable(text())),
            UNKNOWN_CODE => Ok(ReplyBody::UnknownCode(text())),
            TOO_LARGE => {
                let (len, limit) = rest
                    .split_first_chunk()
                    .and_then(|(len, rest)| Some((*len, rest.try_into().ok()?)))
                    .ok_or_else(|| WireError::new("reply", "its length is wrong"))?;
                Ok(ReplyBody::TooLarge { len: u64::from_le_bytes(len), limit: u64::from_le_bytes(limit) })
            }
            tag => Err(WireError::new("reply", format!("unknown tag {tag}"))),
        }
    }
}

/// The longest prefix of `text` within `limit` bytes that ends at a character.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(body: &ReplyBody) -> ReplyBody {
        let mut out = Vec::new();
        body.encode(&mut out);
        ReplyBody::decode(out.into()).unwrap()
    }

    #[test]
    fn every_reply_survives_the_way() {
        let report = PanicReport {
            message: "no".to_owned(),
            location: Some("a.rs:1:2".to_owned()),
            backtrace: None,
            thread: Some("main".to_owned()),
            state_lost: true,
        };
        for body in [
            ReplyBody::Value(Bytes::from_static(b"")),
            ReplyBody::Value(Bytes::from_static(b"value")),
            ReplyBody::Carrying {
                value: Bytes::from_static(b"value"),
                carried: Carried::Named(ParcelKey(Key(7 << 70))),
            },
            ReplyBody::Panicked(report),
            ReplyBody::Undecodable("a".to_owned()),
            ReplyBody::Unencodable("b".to_owned()),
            ReplyBody::UnknownCode("c".to_owned()),
            ReplyBody::TooLarge { len: 7, limit: u64::MAX },
        ] {
            assert_eq!(round_trip(&body), body);
        }
    }

    #[test]
    fn a_hello_of_another_version_says_which() {
        let hello = Hello { magic: HELLO_MAGIC, protocol: 7, pid: 1, exe: ExeIdentity::default() }.encode().unwrap();
        assert_eq!(Hello::protocol_of(&hello), Ok(7));
        let beginning = postcard::to_stdvec(&(HELLO_MAGIC, 300u32)).unwrap();
        assert_eq!(Hello::protocol_of(&[&beginning[..], b"what is said in version 300"].concat()), Ok(300));
        for wrong in [&hello[1..], &hello[..9], b""] {
            assert!(Hello::protocol_of(wrong).is_err());
        }
    }

    #[test]
    fn what_is_no_value_stays_within_its_bounds() {
        let long = "ä".repeat(100_000);
        let report = PanicReport {
            message: long.clone(),
            location: Some(long.clone()),
            backtrace: Some(long.clone()),
            thread: Some(long.clone()),
            state_lost: true,
        };
        for body in [ReplyBody::Panicked(report), ReplyBody::Unencodable(long)] {
            let mut out = Vec::new();
            body.encode(&mut out);
            assert!(out.len() as u64 <= MESSAGE_OVERHEAD);
            assert!(ReplyBody::decode(out.into()).is_ok());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_to_a_reply_or_an_error(bytes: Vec<u8>) {
            let len = bytes.len();
            match ReplyBody::decode(bytes.into()) {
                Ok(ReplyBody::Value(value)) => prop_assert_eq!(value.len() + 1, len),
                Ok(ReplyBody::Carrying { value, .. }) => prop_assert_eq!(value.len() + 17, len),
                Ok(ReplyBody::Panicked(report)) => prop_assert!(report.message.len() <= len),
                Ok(_) | Err(_) => {}
            }
        }

        #[test]
        fn any_bytes_are_a_task_or_an_error(bytes: Vec<u8>) {
            if let Ok((head, start)) = parse_task_head(&bytes) {
                prop_assert!(start <= bytes.len());
                prop_assert!(head.name.len() <= bytes.len());
            }
            let _ = Setup::decode(&bytes);
            let _ = Hello::protocol_of(&bytes);
            let _ = Hello::decode(&bytes);
        }
    }
}
