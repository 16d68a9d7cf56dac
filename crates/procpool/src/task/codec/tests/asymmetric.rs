//! Types whose two halves disagree: each would become another value under postcard alone.

use super::{arrives, bytes_of, refused};
use crate::Json;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Cfg {
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<u8>,
    b: u8,
}

/// The design's own example: under postcard it arrives as `b: 2, [9]`.
#[test]
fn skip_serializing_if_is_refused_by_type_and_field() {
    let value = (Cfg { a: None, b: 0 }, vec![1u8, 9]);
    refused(&value, &["`Cfg` skips its field `a`", "[0]", "Json<T>", "cannot encode"]);
    arrives((Cfg { a: Some(1), b: 0 }, vec![1u8, 9]));
}

#[test]
fn skip_serializing_if_in_json_arrives() {
    arrives(Json(Cfg { a: None, b: 0 }));
}

#[test]
fn skip_serializing_if_in_a_struct_variant_is_refused() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    enum E {
        V {
            #[serde(skip_serializing_if = "Option::is_none", default)]
            a: Option<u8>,
            b: u8,
        },
    }
    refused(&E::V { a: None, b: 1 }, &["`E::V` skips its field `a`"]);
}

#[test]
fn skip_serializing_if_in_a_tuple_struct_is_refused() {
    #[derive(Serialize, Deserialize, Debug, Default, PartialEq)]
    #[serde(default)]
    struct T(u8, #[serde(skip_serializing_if = "Option::is_none")] Option<u8>, u8);
    refused(&T(1, None, 2), &["`T` is written with 2 fields and read with 3"]);
}

#[test]
fn skip_serializing_if_in_a_tuple_variant_is_refused() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    enum E {
        V(u8, #[serde(skip_serializing_if = "Option::is_none", default)] Option<u8>),
    }
    refused(&E::V(1, None), &["`V` is written with 1 fields and read with 2"]);
}

#[test]
fn a_field_skipped_by_both_sides_arrives_as_its_default() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct S {
        a: u8,
        #[serde(skip)]
        b: u8,
        c: u8,
    }
    arrives(vec![S { a: 1, b: 0, c: 3 }, S { a: 4, b: 0, c: 6 }]);
}

#[test]
fn a_field_skipped_by_serialize_only_is_refused() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct S {
        #[serde(skip_serializing, default)]
        a: u8,
        b: u8,
    }
    refused(&S { a: 1, b: 2 }, &["`S` is written with 1 fields and read with 2", "decode"]);
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct AtTheEnd {
        a: u8,
        #[serde(skip_serializing, default)]
        b: u8,
    }
    refused(&(AtTheEnd { a: 1, b: 2 }, 7u8), &["`AtTheEnd`"]);
}

#[test]
fn a_field_skipped_by_deserialize_only_is_refused() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct S {
        a: u8,
        #[serde(skip_deserializing)]
        b: u8,
    }
    refused(&S { a: 1, b: 2 }, &["`S` is written with 2 fields and read with 1"]);
}

#[test]
fn two_skips_that_cancel_out_are_refused() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct S {
        #[serde(skip_serializing, default)]
        a: u8,
        #[serde(skip_deserializing)]
        b: u8,
        c: u8,
    }
    refused(&S { a: 1, b: 2, c: 3 }, &["`S`", "other field names"]);
}

#[test]
fn fields_written_in_another_order_are_refused() {
    #[derive(Deserialize, Debug)]
    struct S {
        a: u8,
        b: u8,
    }
    impl Serialize for S {
        fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
            let mut fields = serializer.serialize_struct("S", 2)?;
            fields.serialize_field("b", &self.b)?;
            fields.serialize_field("a", &self.a)?;
            fields.end()
        }
    }
    refused(&S { a: 1, b: 2 }, &["`S`", "other field names"]);
}

#[test]
fn aliases_of_fields_and_variants_arrive() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct S {
        #[serde(alias = "A", alias = "zz")]
        a: u8,
        b: E,
        #[serde(alias = "aa", alias = "d")]
        c: u16,
    }
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    enum E {
        #[serde(alias = "A", alias = "B")]
        X,
        Y(u8),
        #[serde(alias = "Q")]
        Z {
            #[serde(alias = "m")]
            n: u8,
        },
    }
    for b in [E::X, E::Y(3), E::Z { n: 4 }] {
        arrives((S { a: 1, b, c: 3 }, 9u8));
    }
}

#[test]
fn aliases_do_not_hide_a_skipped_field() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct S {
        #[serde(alias = "A", skip_serializing, default)]
        a: u8,
        b: u8,
    }
    refused(&(S { a: 1, b: 2 }, 1u8), &["`S`"]);
}

#[test]
fn rename_all_and_deny_unknown_fields_arrive() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct S {
        first_field: u8,
        #[serde(rename = "other")]
        second_field: E,
    }
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
    enum E {
        OneCase,
        TwoCase { in_it: u8 },
    }
    arrives(S { first_field: 1, second_field: E::OneCase });
    arrives(S { first_field: 1, second_field: E::TwoCase { in_it: 2 } });
}

/// `Serialize` numbers all variants, `Deserialize` those that it knows.
#[test]
fn variants_behind_a_skipped_one_arrive() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    enum E {
        A,
        #[serde(skip_deserializing)]
        NotRead(u8),
        #[serde(skip)]
        Neither,
        B(u8),
        #[serde(skip_serializing)]
        NotWritten,
        C {
            x: u8,
        },
    }
    arrives(vec![E::A, E::B(1), E::C { x: 2 }]);
    refused(&E::NotRead(1), &["variant 1 of `E`", "does not know it"]);
    refused(&E::Neither, &["Neither", "cannot be serialized"]);
    refused(&E::NotWritten, &["NotWritten", "cannot be serialized"]);
}

#[test]
fn other_takes_only_itself() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    enum E {
        #[serde(skip_deserializing)]
        A,
        B,
        #[serde(other)]
        Unknown,
    }
    arrives(vec![E::B, E::Unknown]);
    refused(&E::A, &["variant 0 of `E`"]);
}

#[test]
fn a_variant_whose_content_one_side_skips_is_refused() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    enum E {
        V(#[serde(skip_deserializing)] u8),
        W(#[serde(skip_serializing, default)] u8),
    }
    refused(&E::V(1), &["`V` is written as a newtype variant and read as a unit variant"]);
    refused(&E::W(1), &["`W` is written as a unit variant and read as a newtype variant"]);
}

fn null_to_default<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Common in types made for JSON. `a: 1` would take the next value's byte, and 0 would arrive as 0.
#[test]
fn deserialize_with_that_mirrors_nothing_is_refused() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct S {
        #[serde(deserialize_with = "null_to_default")]
        a: u8,
    }
    refused(&S { a: 0 }, &["S`", "deserialize_with", "Json<T>"]);
    refused(&(S { a: 1 }, 2u8, 3u8), &["S", "Json<T>"]);
}

#[test]
fn signed_written_and_unsigned_read_is_refused() {
    #[derive(Debug)]
    struct Stamp(u64);
    impl Serialize for Stamp {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_i64(self.0.cast_signed())
        }
    }
    impl<'de> Deserialize<'de> for Stamp {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            u64::deserialize(deserializer).map(Stamp)
        }
    }
    refused(&Stamp(4), &["Stamp", "reads other kinds of values"]);
}

#[test]
fn with_modules_that_mirror_arrive() {
    mod halved {
        use serde::{Deserialize, Deserializer, Serializer};
        pub(super) fn serialize<S: Serializer>(value: &u32, to: S) -> Result<S::Ok, S::Error> {
            to.serialize_u16((value / 2) as u16)
        }
        pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
            u16::deserialize(from).map(|half| u32::from(half) * 2)
        }
    }
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct S {
        #[serde(with = "halved")]
        a: u32,
    }
    arrives(S { a: 2000 });
}

#[test]
fn from_into_and_transparent_arrive() {
    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    #[serde(from = "Vec<u8>", into = "Vec<u8>")]
    struct S(BTreeMap<usize, u8>);
    impl From<Vec<u8>> for S {
        fn from(bytes: Vec<u8>) -> Self {
            S(bytes.into_iter().enumerate().collect())
        }
    }
    impl From<S> for Vec<u8> {
        fn from(value: S) -> Self {
            value.0.into_values().collect()
        }
    }
    arrives(S::from(vec![3, 2, 1]));
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    #[serde(transparent)]
    struct T {
        inner: u64,
    }
    arrives(T { inner: 7 });
}

#[test]
fn a_map_written_and_a_struct_read_is_refused() {
    #[derive(Deserialize, Debug)]
    struct S {
        #[expect(dead_code, reason = "it never arrives")]
        a: u8,
    }
    impl Serialize for S {
        fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
            serializer.collect_map([("a", 1u8)])
        }
    }
    refused(&S { a: 1 }, &["S`"]);
}

#[test]
fn a_sequence_of_unknown_length_arrives() {
    #[derive(Debug, PartialEq)]
    struct Even(Vec<u32>);
    impl Serialize for Even {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.0.iter().filter(|x| *x % 2 == 0))
        }
    }
    impl<'de> Deserialize<'de> for Even {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Vec::deserialize(deserializer).map(Even)
        }
    }
    arrives(vec![(Even(vec![]), 1u8), (Even((0..1000).map(|x| x * 2).collect()), 2), (Even(vec![4]), 3)]);
}

#[test]
fn a_sequence_that_is_not_read_to_its_end_is_refused() {
    #[derive(Debug)]
    struct First(u8);
    impl Serialize for First {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            vec![self.0, 2, 3].serialize(serializer)
        }
    }
    impl<'de> Deserialize<'de> for First {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Head;
            impl<'de> Visitor<'de> for Head {
                type Value = First;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a sequence")
                }
                fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<First, A::Error> {
                    Ok(First(seq.next_element()?.unwrap_or_default()))
                }
            }
            deserializer.deserialize_seq(Head)
        }
    }
    refused(&First(1), &["2 elements of a sequence or map are not read"]);
}

/// A careful reader asks once more at the end; that is not a default filled in.
#[test]
fn a_reader_that_checks_for_the_end_arrives() {
    #[derive(Serialize, Debug, PartialEq)]
    struct S {
        a: u8,
    }
    impl<'de> Deserialize<'de> for S {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Careful;
            impl<'de> Visitor<'de> for Careful {
                type Value = S;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("S")
                }
                fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<S, A::Error> {
                    let a = seq.next_element()?.unwrap_or_default();
                    assert!(seq.next_element::<u8>()?.is_none());
                    Ok(S { a })
                }
            }
            deserializer.deserialize_struct("S", &["a"], Careful)
        }
    }
    arrives(S { a: 5 });
}

#[test]
fn a_writer_that_miscounts_is_refused() {
    #[derive(Deserialize, Debug)]
    struct S(#[expect(dead_code, reason = "it never arrives")] u8);
    impl Serialize for S {
        fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
            let mut fields = serializer.serialize_struct("S", 2)?;
            fields.serialize_field("a", &1)?;
            fields.end()
        }
    }
    refused(&S(1), &["S announces 2 parts and writes 1"]);
}

#[test]
fn after_an_error_the_output_is_as_it_was() {
    let mut out = vec![1, 2, 3];
    let value = ("longer".to_owned(), Cfg { a: None, b: 0 });
    assert!(super::encode(&value, &mut out).is_err());
    assert_eq!(out, [1, 2, 3]);
}

#[test]
fn the_error_tells_where() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    enum Outer {
        V { list: Vec<Cfg> },
    }
    let value = Outer::V { list: vec![Cfg { a: Some(1), b: 2 }, Cfg { a: None, b: 2 }] };
    let error = bytes_of(&value).expect_err("it is refused");
    assert!(error.type_name().ends_with("::Outer"));
    assert!(error.to_string().contains("at `::V.list[1]`"), "{error}");
}
