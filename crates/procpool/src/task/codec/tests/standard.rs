//! The types of the standard library, and the bytes path.

use super::{arrives, bytes_of, refused, trip};
use crate::task::codec::value::decode_prefix;
use crate::task::codec::{decode, encode};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::ffi::{CString, OsString};
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU64, Wrapping};
use std::ops::Bound;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

#[test]
fn numbers_at_their_ends_arrive() {
    arrives((u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX, usize::MAX));
    arrives((i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN, isize::MIN));
    arrives((i8::MAX, i16::MAX, i32::MAX, i64::MAX, i128::MAX, isize::MAX));
    arrives((true, false, 'a', '\0', char::MAX, 'é'));
    arrives((NonZeroU8::MAX, NonZeroU64::MIN, Wrapping(3u8)));
}

#[test]
fn floats_arrive_bit_by_bit() {
    for bits in [0x7ff8_0000_0000_0001, 0xfff8_dead_beef_0000, 0x8000_0000_0000_0000, 1] {
        let arrived = trip(&f64::from_bits(bits)).expect("it travels");
        assert_eq!(arrived.to_bits(), bits);
    }
    let arrived = trip(&f32::from_bits(0x7fc0_1234)).expect("it travels");
    assert_eq!(arrived.to_bits(), 0x7fc0_1234);
    arrives((f64::INFINITY, f32::MIN_POSITIVE, f64::MIN));
}

#[test]
fn nested_options_and_units_arrive() {
    arrives([None, Some(None), Some(Some(()))]);
    arrives((Some(Some(Some(1u8))), (), ((),), [(); 4], vec![(); 10]));
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Unit;
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Empty {}
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct EmptyTuple();
    arrives((Unit, Empty {}, EmptyTuple(), PhantomData::<u8>, vec![Unit, Unit]));
}

#[test]
fn pointers_and_cells_arrive() {
    arrives((Box::new(1u8), Cow::Borrowed("a") as Cow<'static, str>, Box::<str>::from("b")));
    arrives((Box::<[u8]>::from([1, 2]), RefCell::new(3u8), Cell::new(4u8)));
    let (mutex, atomic) = trip(&(Mutex::new(5u8), AtomicU32::new(6))).expect("it travels");
    assert_eq!((mutex.into_inner().expect("it works"), atomic.load(Ordering::Relaxed)), (5, 6));
}

#[test]
fn collections_arrive() {
    let pairs = [("a".to_owned(), 1u8), ("b".to_owned(), 2)];
    arrives(HashMap::from(pairs.clone()));
    arrives(BTreeMap::from(pairs.clone()));
    arrives(HashSet::from([1u64, 2]));
    arrives(BTreeSet::from([(1u64, 'x')]));
    arrives((VecDeque::from([1u8]), LinkedList::from([2u8])));
    assert_eq!(trip(&BinaryHeap::from([1u8, 3])).expect("it travels").into_sorted_vec(), [1, 3]);
    arrives(BTreeMap::from([((1u8, Some("k".to_owned())), vec![BTreeMap::from(pairs)])]));
    arrives(HashMap::from([((), ())]));
}

#[test]
fn addresses_times_ranges_and_results_arrive() {
    arrives((IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)));
    arrives((
        "[::1]:80".parse::<SocketAddr>().expect("it works"),
        "1.2.3.4:5".parse::<SocketAddr>().expect("it works"),
    ));
    arrives((Duration::new(1, 999_999_999), SystemTime::UNIX_EPOCH + Duration::from_nanos(1)));
    arrives((1u8..3, 1u8..=3, 1u8.., ..3u8, Bound::Excluded(3u8), Bound::<u8>::Unbounded));
    arrives([Ok::<u8, String>(1), Err("no".to_owned())]);
    arrives((CString::from(c"abc"), PathBuf::from("/tmp/ä")));
}

#[test]
fn a_path_that_is_not_utf8_is_refused_with_the_way_out() {
    let name = OsString::from_vec(vec![b'a', 0xff]);
    refused(&PathBuf::from(name.clone()), &["PathBuf", "UTF-8", "OsString"]);
    arrives(name);
}

#[test]
fn what_a_type_says_about_its_value_is_in_the_error() {
    let bytes = bytes_of(&(1u32, 0u8)).expect("it travels");
    let error = decode::<(u32, NonZeroU8)>(&bytes).expect_err("zero").to_string();
    assert!(error.contains("nonzero u8") && error.contains("at `[1]`"), "{error}");
}

#[test]
fn bytes_by_themselves_take_the_bytes_path() {
    let content: Vec<u8> = (0..=255).collect();
    let mut plain = vec![128, 2];
    plain.extend_from_slice(&content);
    assert_eq!(bytes_of(&content).expect("it travels"), plain);
    assert_eq!(bytes_of(&Bytes::from(content.clone())).expect("it travels"), plain);
    assert_eq!(bytes_of(&"ab".to_owned()).expect("it travels"), b"\x02ab");
    arrives(content.clone());
    arrives(Bytes::from(content.clone()));
    arrives("text".to_owned());
    arrives((content.clone(), Bytes::from(content), "nested".to_owned()));
    assert!(decode::<String>(&[1, 0xff]).is_err());
    assert!(decode::<Vec<u8>>(&[2, 0]).is_err());
    assert!(decode::<Vec<u8>>(&[1, 0, 0]).is_err());
}

#[test]
fn a_unit_by_itself_takes_no_bytes() {
    assert!(bytes_of(&()).expect("it travels").is_empty());
    arrives(());
    assert!(decode::<()>(&[0]).is_err());
}

#[test]
fn several_values_follow_each_other() {
    let mut bytes = Vec::new();
    encode(&vec![1u8, 2], &mut bytes).expect("it travels");
    encode(&(7u64, Some("x".to_owned())), &mut bytes).expect("it travels");
    encode(&(), &mut bytes).expect("it travels");
    encode(&"end".to_owned(), &mut bytes).expect("it travels");
    let mut rest = &bytes[..];
    assert_eq!(decode_prefix::<Vec<u8>>(&mut rest).expect("first"), [1, 2]);
    let second: (u64, Option<String>) = decode_prefix(&mut rest).expect("second");
    assert_eq!(second, (7, Some("x".to_owned())));
    decode_prefix::<()>(&mut rest).expect("third");
    let before = rest;
    assert!(decode_prefix::<Option<u64>>(&mut rest).is_err());
    assert_eq!(rest, before);
    assert_eq!(decode_prefix::<String>(&mut rest).expect("fourth"), "end");
    assert!(rest.is_empty());
}

#[test]
fn bytes_left_over_are_an_error() {
    let mut bytes = bytes_of(&1u8).expect("it travels");
    bytes.push(0);
    let error = decode::<u8>(&bytes).expect_err("left over").to_string();
    assert!(error.contains("1 bytes are left over"), "{error}");
}

#[test]
fn text_collected_from_display_arrives() {
    #[derive(Debug, PartialEq)]
    struct Shown(String);
    impl Serialize for Shown {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&self.0)
        }
    }
    impl<'de> Deserialize<'de> for Shown {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            String::deserialize(deserializer).map(Shown)
        }
    }
    arrives((Shown(String::new()), Shown("é".repeat(300)), 1u8));
}
