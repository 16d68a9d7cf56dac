//! What travels arrives the same, or is refused with a message that helps.

mod asymmetric;
mod hostile;
mod round_trip;
mod self_describing;
mod standard;

use super::{CodecError, decode, encode};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

fn bytes_of<T: Serialize + 'static>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    encode(value, &mut bytes).map(|()| bytes)
}

fn trip<T: Serialize + DeserializeOwned + 'static>(value: &T) -> Result<T, CodecError> {
    decode(&bytes_of(value)?)
}

#[track_caller]
fn arrives<T: Serialize + DeserializeOwned + PartialEq + Debug + 'static>(value: T) {
    assert_eq!(trip(&value).expect("it travels"), value);
}

/// Asserts that the value is refused, in words that contain all of `words`.
#[track_caller]
fn refused<T: Serialize + DeserializeOwned + Debug + 'static>(value: &T, words: &[&str]) {
    let error = trip(value).expect_err("it is refused").to_string();
    for word in words {
        assert!(error.contains(word), "no {word:?} in: {error}");
    }
}
