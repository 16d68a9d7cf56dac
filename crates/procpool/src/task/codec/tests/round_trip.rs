//! Random values of many types arrive as they were sent.

use super::{bytes_of, trip};
use crate::task::codec::decode;
use crate::{AnyError, Json};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Point<T> {
    x: T,
    y: T,
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Wrapper(u64);

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Pair(i32, Option<String>);

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
enum Shape {
    Nothing,
    Circle(u32),
    Line(Point<i64>, Point<i64>),
    Polygon { points: Vec<Point<i64>>, name: Option<String>, closed: bool },
    Group(Vec<Shape>),
    Mapped(BTreeMap<String, Shape>),
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Everything {
    shapes: Vec<Shape>,
    wrapper: Wrapper,
    pair: Pair,
    numbers: (u8, i8, u16, i16, u32, i32, u64, i64),
    wide: (u128, i128),
    chars: Vec<char>,
    bits: (u32, u64),
    table: HashMap<(u8, String), Option<Option<bool>>>,
    result: Result<String, Wrapper>,
    json: Json<Vec<Option<f64>>>,
    bytes: bytes::Bytes,
    array: [u8; 5],
    unit: (),
}

fn point() -> impl Strategy<Value = Point<i64>> {
    any::<(i64, i64)>().prop_map(|(x, y)| Point { x, y })
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Nothing),
        any::<u32>().prop_map(Shape::Circle),
        (point(), point()).prop_map(|(a, b)| Shape::Line(a, b)),
        (prop::collection::vec(point(), 0..5), any::<Option<String>>(), any::<bool>())
            .prop_map(|(points, name, closed)| Shape::Polygon { points, name, closed }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Shape::Group),
            prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(Shape::Mapped),
        ]
    })
}

prop_compose! {
    fn everything()(
        shapes in prop::collection::vec(shape(), 0..4),
        (wrapper, pair) in any::<(u64, (i32, Option<String>))>(),
        numbers in any::<(u8, i8, u16, i16, u32, i32, u64, i64)>(),
        (wide, chars) in any::<((u128, i128), Vec<char>)>(),
        (bits, array) in any::<((u32, u64), [u8; 5])>(),
        table in prop::collection::hash_map(any::<(u8, String)>(), any::<Option<Option<bool>>>(), 0..5),
        (result, bytes) in any::<(Result<String, u64>, Vec<u8>)>(),
        json in prop::collection::vec(prop::option::of(prop::num::f64::NORMAL), 0..5),
    ) -> Everything {
        Everything {
            shapes,
            wrapper: Wrapper(wrapper),
            pair: Pair(pair.0, pair.1),
            numbers,
            wide,
            chars,
            bits,
            table,
            result: result.map_err(Wrapper),
            json: Json(json),
            bytes: bytes.into(),
            array,
            unit: (),
        }
    }
}

proptest! {
    #[test]
    fn values_arrive(value in everything()) {
        prop_assert_eq!(trip(&value).expect("it works"), value);
    }

    #[test]
    fn floats_arrive(f in any::<f32>(), d in any::<f64>()) {
        let (g, e) = trip(&(f, d)).expect("it works");
        prop_assert_eq!((g.to_bits(), e.to_bits()), (f.to_bits(), d.to_bits()));
    }

    #[test]
    fn numbers_arrive_by_themselves(wide: (u128, i128), long: (u64, i64, usize, isize), short: (u32, i32, u16, i16, u8, i8)) {
        macro_rules! each {
            ($tuple:ident: $($field:tt)*) => { $( prop_assert_eq!(trip(&$tuple.$field).expect("it works"), $tuple.$field); )* };
        }
        each!(wide: 0 1);
        each!(long: 0 1 2 3);
        each!(short: 0 1 2 3 4 5);
    }

    #[test]
    fn other_leaves_arrive_by_themselves(f: f32, d: f64, c: char, b: bool, junk: Vec<u8>) {
        prop_assert_eq!(trip(&f).expect("it works").to_bits(), f.to_bits());
        prop_assert_eq!(trip(&d).expect("it works").to_bits(), d.to_bits());
        prop_assert_eq!((trip(&c).expect("it works"), trip(&b).expect("it works")), (c, b));
        // Nothing that is no value is one.
        prop_assert_eq!(decode::<bool>(&junk).ok(), [false, true].into_iter().find(|b| junk == [u8::from(*b)]));
        let bytes = bytes_of(&c).expect("it works");
        prop_assert!(decode::<char>(&bytes[1..]).is_err() && decode::<char>(&[&bytes[..], &[0]].concat()).is_err());
        prop_assert!(decode::<f64>(&junk).is_ok() == (junk.len() == 8));
    }

    #[test]
    fn bytes_and_text_arrive(bytes in any::<Vec<u8>>(), text in any::<String>()) {
        prop_assert_eq!(trip(&bytes).expect("it works"), bytes);
        prop_assert_eq!(trip(&text).expect("it works"), text);
    }

    #[test]
    fn errors_arrive(messages in prop::collection::vec(any::<String>(), 1..10)) {
        let mut error = AnyError::msg(&messages[0]);
        for message in &messages[1..] {
            error = error.context(message);
        }
        let arrived = trip(&error).expect("it works");
        prop_assert!(arrived.chain().eq(messages.iter().rev()));
    }
}
