//! Stand-in until the real codec is merged: the agreed signatures over plain postcard.

use serde::{Serialize, de::DeserializeOwned};

/// A value did not encode or decode.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct CodecError {
    text: String,
}

impl CodecError {
    fn new<T>(error: &postcard::Error) -> Self {
        Self {
            text: format!("{}: {error}", std::any::type_name::<T>()),
        }
    }
}

pub(crate) fn encode<T: Serialize + 'static>(
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let bytes = postcard::to_stdvec(value).map_err(|error| CodecError::new::<T>(&error))?;
    out.extend_from_slice(&bytes);
    Ok(())
}

pub(crate) fn decode<T: DeserializeOwned + 'static>(mut bytes: &[u8]) -> Result<T, CodecError> {
    let value = decode_prefix(&mut bytes)?;
    if bytes.is_empty() {
        Ok(value)
    } else {
        Err(CodecError {
            text: "bytes left over".into(),
        })
    }
}

pub(crate) fn decode_prefix<T: DeserializeOwned + 'static>(
    bytes: &mut &[u8],
) -> Result<T, CodecError> {
    let (value, rest) =
        postcard::take_from_bytes(bytes).map_err(|error| CodecError::new::<T>(&error))?;
    *bytes = rest;
    Ok(value)
}
