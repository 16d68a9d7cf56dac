//! [`Json`]: a value that travels as JSON.

use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// A value that travels to and from workers as JSON.
///
/// Arguments and results are carried in a compact encoding that does not describe itself. Types
/// that need to see what is there before they decide (`#[serde(flatten)]`, `#[serde(untagged)]`,
/// `#[serde(tag = "…")]`, `serde_json::Value`), and types that leave fields out
/// (`skip_serializing_if`), do not fit into it, and are refused with an error. Wrapped in `Json`
/// they travel.
///
/// It costs what JSON costs, in time and in bytes, and JSON's own limits hold: map keys are
/// strings or numbers, nesting ends at 128 levels, and there is one `null` only: `Some(None)`,
/// `Some(())` and, inside an `Option`, a float that is not finite arrive as `None`.
///
/// In a format that people read, such as JSON itself, the wrapper leaves no trace.
///
/// # Examples
///
/// ```
/// use procpool::Json;
///
/// fn first(list: Json<serde_json::Value>) -> Json<serde_json::Value> {
///     Json(list[0].clone())
/// }
///
/// assert_eq!(first(Json(serde_json::json!([{"a": 1}, 2]))).into_inner()["a"], 1);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json<T>(pub T);

impl<T> Json<T> {
    /// The value itself.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Json<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> From<T> for Json<T> {
    fn from(value: T) -> Self {
        Json(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for Json<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Json").field(&self.0).finish()
    }
}

impl<T: fmt::Display> fmt::Display for Json<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Serialize> Serialize for Json<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return self.0.serialize(serializer);
        }
        let text = serde_json::to_vec(&self.0).map_err(|error| ser::Error::custom(format_args!("as JSON: {error}")))?;
        serializer.serialize_bytes(&text)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Json<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(PhantomData<T>);

        impl<T: DeserializeOwned> Visitor<'_> for Text<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON as bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, text: &[u8]) -> Result<T, E> {
                serde_json::from_slice(text).map_err(|error| E::custom(format_args!("as JSON: {error}")))
            }
        }

        if deserializer.is_human_readable() {
            return T::deserialize(deserializer).map(Json);
        }
        deserializer.deserialize_bytes(Text(PhantomData)).map(Json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::codec::{decode, encode};

    #[test]
    fn in_json_it_leaves_no_trace() {
        let value = Json(vec![Json(Some(1u8)), Json(None)]);
        let text = serde_json::to_string(&value).unwrap();
        assert_eq!(text, "[1,null]");
        let back: Json<Vec<Json<Option<u8>>>> = serde_json::from_str(&text).unwrap();
        assert_eq!(back, value);
    }

    #[test]
    fn it_behaves_like_its_value() {
        let mut value: Json<Vec<u8>> = vec![1].into();
        value.push(2);
        assert_eq!((value.len(), format!("{value:?}")), (2, "Json([1, 2])".to_owned()));
        assert_eq!(Json(7).to_string(), "7");
        assert_eq!(value.into_inner(), [1, 2]);
    }

    #[test]
    fn floats_keep_every_bit() {
        let value = Json(vec![0.1 + 0.2, 1e-310, f64::MAX, 123_456_789.123_456_78]);
        let mut bytes = Vec::new();
        encode(&value, &mut bytes).unwrap();
        assert_eq!(decode::<Json<Vec<f64>>>(&bytes).unwrap(), value);
    }

    #[test]
    fn what_json_cannot_say_is_refused_in_words() {
        let value = Json(std::collections::BTreeMap::from([((1u8, 2u8), 3u8)]));
        let error = encode(&value, &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains("as JSON: key must be a string"), "{error}");
    }
}
