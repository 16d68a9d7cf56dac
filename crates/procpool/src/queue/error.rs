//! What goes wrong with queues.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::client::{Broken, Ended, Refused};
use crate::CodecError;

/// Queues cannot be used in this process: there is no way to the one that holds them, or no longer. Says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(Arc<str>);

impl Unavailable {
    pub(super) fn new(why: &str) -> Self {
        Unavailable(why.into())
    }
}

impl From<Broken> for Unavailable {
    fn from(Broken(why): Broken) -> Self {
        Unavailable(why)
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queues cannot be used in this process: {}", self.0)
    }
}

impl Error for Unavailable {}

macro_rules! send_errors {
    ($($(#[$meta:meta])* $name:ident { $($(#[$own_meta:meta])* $own:ident: $text:literal)? })*) => { $(
        $(#[$meta])*
        #[non_exhaustive]
        pub enum $name<T> {
            $($(#[$own_meta])* $own(T),)?
            /// Somebody has closed the queue.
            Closed(T),
            /// No receiver is left anywhere.
            Disconnected(T),
            /// The value takes more bytes than a message of this queue may.
            #[non_exhaustive]
            TooLarge {
                /// What was to be sent.
                value: T,
                /// Bytes that it takes.
                len: u64,
                /// Bytes that it may take.
                limit: u64,
            },
            /// The value does not encode, and has taken no place in the queue.
            #[non_exhaustive]
            Encode {
                /// What was to be sent.
                value: T,
                /// What is wrong with it.
                error: CodecError,
            },
            /// Queues cannot be used in this process. Whether a message that was on its way has arrived is not known.
            #[non_exhaustive]
            Unavailable {
                /// What was to be sent.
                value: T,
                /// Why.
                error: Unavailable,
            },
        }

        impl<T> $name<T> {
            /// What was to be sent.
            pub fn into_inner(self) -> T {
                match self {
                    $(Self::$own(value) => value,)?
                    Self::Closed(value)
                    | Self::Disconnected(value)
                    | Self::TooLarge { value, .. }
                    | Self::Encode { value, .. }
                    | Self::Unavailable { value, .. } => value,
                }
            }

            /// Whether the queue takes no message any more: it is closed, or no receiver is left.
            pub fn is_final(&self) -> bool {
                matches!(self, Self::Closed(_) | Self::Disconnected(_))
            }
        }

        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$own(_) => f.write_str($text),)?
                    Self::Closed(_) => f.write_str("the queue is closed"),
                    Self::Disconnected(_) => f.write_str("no receiver of the queue is left"),
                    Self::TooLarge { len, limit, .. } => {
                        write!(
                            f,
                            "the message takes {len} bytes, the queue's limit is {limit}: send it in parts, or make the \
                             queue with more (`max_message` and `bytes` of `queue::builder()`)"
                        )
                    }
                    Self::Encode { error, .. } => write!(f, "the message: {error}"),
                    Self::Unavailable { error, .. } => error.fmt(f),
                }
            }
        }

        /// Without the value, which need not be `Debug`.
        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$own(_) => f.write_str(concat!(stringify!($own), "(..)")),)?
                    Self::Closed(_) => f.write_str("Closed(..)"),
                    Self::Disconnected(_) => f.write_str("Disconnected(..)"),
                    Self::TooLarge { len, limit, .. } => {
                        f.debug_struct("TooLarge").field("len", len).field("limit", limit).finish_non_exhaustive()
                    }
                    Self::Encode { error, .. } => {
                        f.debug_struct("Encode").field("error", error).finish_non_exhaustive()
                    }
                    Self::Unavailable { error, .. } => {
                        f.debug_struct("Unavailable").field("error", error).finish_non_exhaustive()
                    }
                }
            }
        }

        impl<T> Error for $name<T> {}
    )* };
}

send_errors! {
    /// A message was not sent. It comes back with [`into_inner`](Self::into_inner).
    SendError {}

    /// A message was not sent at once. It comes back with [`into_inner`](Self::into_inner).
    TrySendError {
        /// The queue is full.
        Full: "the queue is full"
    }

    /// A message was not sent in time. It comes back with [`into_inner`](Self::into_inner).
    SendTimeoutError {
        /// The queue stayed full for so long.
        TimedOut: "the queue stayed full until the time was up"
    }
}

macro_rules! recv_errors {
    ($($(#[$meta:meta])* $name:ident { $($(#[$own_meta:meta])* $own:ident: $text:literal)? })*) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$own_meta])* $own,)?
            /// Somebody has closed the queue, and all that was sent before has been received.
            Closed,
            /// No sender is left anywhere, and all that was sent has been received.
            Disconnected,
            /// A message came and does not decode. It is gone (and counts as acknowledged); the next one follows.
            Decode(CodecError),
            /// Queues cannot be used in this process.
            Unavailable(Unavailable),
        }

        impl $name {
            /// Whether no message will ever come any more: the queue is closed or no sender is left, and it is empty.
            pub fn is_final(&self) -> bool {
                matches!(self, Self::Closed | Self::Disconnected)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$own => f.write_str($text),)?
                    Self::Closed => f.write_str("the queue is closed and empty"),
                    Self::Disconnected => f.write_str("the queue is empty, and no sender of it is left"),
                    Self::Decode(error) => write!(f, "a message: {error}"),
                    Self::Unavailable(error) => error.fmt(f),
                }
            }
        }

        impl Error for $name {}
    )* };
}

recv_errors! {
    /// No message was received.
    RecvError {}

    /// No message was received at once.
    TryRecvError {
        /// The queue is empty.
        Empty: "the queue is empty"
    }

    /// No message was received in time.
    RecvTimeoutError {
        /// The queue stayed empty for so long.
        TimedOut: "the queue stayed empty until the time was up"
    }
}

macro_rules! widened {
    ($($name:ident)*; $($recv:ident)*) => {
        $(impl<T> From<SendError<T>> for $name<T> {
            fn from(error: SendError<T>) -> Self {
                match error {
                    SendError::Closed(value) => Self::Closed(value),
                    SendError::Disconnected(value) => Self::Disconnected(value),
                    SendError::TooLarge { value, len, limit } => Self::TooLarge { value, len, limit },
                    SendError::Encode { value, error } => Self::Encode { value, error },
                    SendError::Unavailable { value, error } => Self::Unavailable { value, error },
                }
            }
        })*
        $(impl From<RecvError> for $recv {
            fn from(error: RecvError) -> Self {
                match error {
                    RecvError::Closed => Self::Closed,
                    RecvError::Disconnected => Self::Disconnected,
                    RecvError::Decode(error) => Self::Decode(error),
                    RecvError::Unavailable(error) => Self::Unavailable(error),
                }
            }
        })*
    };
}
widened!(TrySendError SendTimeoutError; TryRecvError RecvTimeoutError);

impl<T> SendError<T> {
    pub(super) fn refused(value: T, why: Refused) -> Self {
        match why {
            Refused::Closed => SendError::Closed(value),
            Refused::Disconnected => SendError::Disconnected(value),
            Refused::TooLarge { len, limit } => SendError::TooLarge { value, len, limit },
            Refused::Broken(why) => SendError::Unavailable { value, error: why.into() },
        }
    }
}

impl From<Ended> for RecvError {
    fn from(why: Ended) -> Self {
        match why {
            Ended::Closed => RecvError::Closed,
            Ended::Disconnected => RecvError::Disconnected,
            Ended::Broken(why) => RecvError::Unavailable(why.into()),
        }
    }
}

/// A delivery was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AckError {
    /// It has been, positively or negatively.
    AlreadyAcknowledged,
    /// Queues cannot be used in this process any more. The message has gone to others, or will.
    Unavailable(Unavailable),
}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AckError::AlreadyAcknowledged => f.write_str("the delivery has been acknowledged already"),
            AckError::Unavailable(error) => error.fmt(f),
        }
    }
}

impl Error for AckError {}
