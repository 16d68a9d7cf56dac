//! Types that ask the format what is there: refused, with the way out, and at home in `Json`.

use super::{arrives, refused};
use crate::Json;
use serde::de::{Deserializer, IgnoredAny};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Flat {
    a: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}

#[test]
fn flatten_is_refused_and_arrives_in_json() {
    let value = Flat { a: 1, rest: [("b".to_owned(), 2)].into() };
    refused(&value, &["Flat", "flatten", "Json<T>", "cannot encode"]);
    arrives(Json(value));
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
#[serde(untagged)]
enum Untagged {
    Number(u8),
    Text(String),
}

#[test]
fn untagged_is_refused_and_arrives_in_json() {
    refused(&Untagged::Number(1), &["Untagged", "untagged", "Json<T>"]);
    arrives(Json(vec![Untagged::Number(1), Untagged::Text("1".into())]));
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
#[serde(tag = "t")]
enum Internal {
    A { x: u8 },
    B,
}

#[test]
fn internally_tagged_is_refused_and_arrives_in_json() {
    refused(&Internal::A { x: 1 }, &["Internal", "Json<T>"]);
    arrives(Json(vec![Internal::A { x: 1 }, Internal::B]));
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    A { x: u8 },
    B,
    C(u8),
    D(u8, String),
}

/// serde reads its tag as a name among others.
#[test]
fn adjacently_tagged_is_refused_and_arrives_in_json() {
    refused(&Adjacent::A { x: 1 }, &["Adjacent", "Json<T>"]);
    refused(&(Adjacent::B, 1u8), &["Adjacent", "Json<T>"]);
    arrives(Json(vec![Adjacent::A { x: 1 }, Adjacent::B, Adjacent::C(2), Adjacent::D(3, "4".into())]));
}

#[test]
fn a_json_value_is_refused_and_arrives_in_json() {
    let value = serde_json::json!({"a": [1, null, "x"], "f": 0.1, "n": -3});
    refused(&value, &["serde_json", "Json<T>"]);
    arrives(Json(value));
}

/// The two halves as they are for a reader that ignores what it meets.
#[test]
fn ignored_any_is_refused() {
    #[derive(Debug)]
    struct Ignores;
    impl Serialize for Ignores {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_u8(1)
        }
    }
    impl<'de> Deserialize<'de> for Ignores {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            IgnoredAny::deserialize(deserializer).map(|_| Ignores)
        }
    }
    refused(&Ignores, &["Ignores", "Json<T>"]);
}
