//! Bytes from a worker that lies: an error, quickly, in little memory and stack.

use super::{arrives, bytes_of, refused, trip};
use crate::AnyError;
use crate::Json;
use crate::task::codec::decode;
use crate::task::codec::limits::{MAX_DEPTH, MAX_EMPTY};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

#[derive(Serialize, Deserialize, Debug, PartialEq)]
enum Tree {
    Leaf,
    Node(Box<Tree>),
    Both(Vec<Tree>, Option<Box<Tree>>),
    Named { tree: Box<Tree> },
}

fn tree(depth: u32) -> Tree {
    (1..depth).fold(Tree::Leaf, |tree, _| Tree::Node(Box::new(tree)))
}

#[test]
fn depth_is_bounded_alike_on_both_sides() {
    arrives(tree(MAX_DEPTH));
    let deeper = tree(MAX_DEPTH + 1);
    refused(&deeper, &["Tree", "nests more than 128 levels", "cannot encode"]);
    // A worker need not keep to the limit.
    let one = bytes_of(&Tree::Leaf).expect("it travels");
    let two = bytes_of(&Tree::Node(Box::new(Tree::Leaf))).expect("it travels");
    let level = &two[..two.len() - one.len()];
    let error = decode::<Tree>(&level.repeat(1_000_000)).expect_err("too deep");
    assert!(error.to_string().contains("cannot decode"), "{error}");
}

#[test]
fn siblings_do_not_add_up_to_depth() {
    arrives((0..1000).map(|_| Some(vec![(Some(1u8), tree(3))])).collect::<Vec<_>>());
}

#[test]
fn elements_without_bytes_are_bounded() {
    arrives(vec![(); MAX_EMPTY]);
    refused(&vec![(); MAX_EMPTY + 1], &["no byte at all", "send their number"]);
    refused(&vec![vec![(); 1 << 10]; 1 << 10], &["no byte at all"]);
    let mut bytes = vec![0xff; 9];
    bytes.push(1);
    for length in [&bytes[..], &[0xff, 0xff, 0xff, 0xff, 1]] {
        assert!(decode::<Vec<()>>(length).is_err());
        assert!(decode::<Vec<u8>>(length).is_err());
        assert!(decode::<(Vec<[(); 32]>,)>(length).is_err());
        assert!(decode::<Vec<Vec<String>>>(length).is_err());
        assert!(decode::<HashMap<(), ()>>(length).is_err());
        assert!(decode::<BTreeMap<u8, u8>>(length).is_err());
        assert!(decode::<String>(length).is_err());
    }
}

#[test]
fn many_empty_lists_cannot_multiply() {
    // A million lists that claim the largest count of empty elements which a check against the
    // bytes that are left would let pass.
    let list = [0x80, 0x80, 0x04];
    let mut bytes = vec![0x80 | 0x40, 0x84, 0x3d];
    bytes.extend(list.repeat(1_000_000));
    assert!(decode::<Vec<Vec<()>>>(&bytes).is_err());
}

#[test]
fn long_error_chains_are_cut() {
    let messages: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    let bytes = bytes_of(&(messages,)).expect("it travels");
    let (error,): (AnyError,) = decode(&bytes).expect("it travels");
    assert_eq!(error.chain().count(), 64);
    assert_eq!(error.chain().last(), Some("(further causes left out)"));
}

#[test]
fn an_error_without_a_message_is_refused() {
    let bytes = bytes_of(&(Vec::<String>::new(),)).expect("it travels");
    assert!(decode::<(AnyError,)>(&bytes).is_err());
}

#[test]
fn deep_json_is_refused() {
    let text = "[".repeat(100_000).into_bytes();
    struct Raw(Vec<u8>);
    impl Serialize for Raw {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(&self.0)
        }
    }
    let bytes = bytes_of(&Raw(text)).expect("it travels");
    let error = decode::<Json<serde_json::Value>>(&bytes).expect_err("too deep");
    assert!(error.to_string().contains("as JSON"), "{error}");
}

/// Everything that a type can be made of.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct All {
    tree: Tree,
    map: HashMap<String, Vec<Option<u128>>>,
    text: String,
    tuple: (bool, char, f64, [i16; 3]),
    result: Result<(), Json<Vec<u8>>>,
    empty: Vec<()>,
}

proptest! {
    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode::<All>(&bytes);
        let _ = decode::<Vec<All>>(&bytes);
        let _ = decode::<Tree>(&bytes);
        let _ = decode::<Vec<u8>>(&bytes);
        let _ = decode::<String>(&bytes);
        let _ = decode::<Vec<(Option<()>, BTreeMap<(), ()>)>>(&bytes);
        let _ = decode::<Json<serde_json::Value>>(&bytes);
        let _ = decode::<AnyError>(&bytes);
    }

    /// Nearly right bytes reach further than random ones.
    #[test]
    fn damaged_bytes_do_no_harm(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let value = All {
            tree: Tree::Both(vec![Tree::Leaf, tree(5)], Some(Box::new(Tree::Named { tree: Box::new(tree(2)) }))),
            map: [("key".to_owned(), vec![None, Some(7)])].into(),
            text: "text".into(),
            tuple: (true, 'x', 0.5, [1, -2, 3]),
            result: Err(Json(vec![1, 2])),
            empty: vec![(); 3],
        };
        let mut bytes = bytes_of(&value).expect("it works");
        prop_assert_eq!(&trip(&value).expect("it works"), &value);
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
            prop_assert!(decode::<All>(&bytes).is_err());
        } else {
            bytes[at] = byte;
            let _ = decode::<All>(&bytes);
        }
    }
}
