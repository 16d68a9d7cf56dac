//! An entry that was damaged is refused, and nothing is called.

use proptest::prelude::*;

use super::loopback::Sent;
use crate::call;
use crate::task::descriptor::{Descriptor, VERSION};
use crate::task::image::{Image, Region};
use crate::task::{IdentityError, Steps, WireEntry};

fn power(x: u64) -> u128 {
    u128::from(x).pow(x as u32)
}

#[procpool::task]
fn one() -> u8 {
    1
}

#[procpool::task]
fn two() -> u16 {
    2
}

fn task() -> WireEntry {
    Sent::job(one {}).entry
}

fn function() -> WireEntry {
    Sent::job(call!(power(2))).entry
}

fn error(entry: WireEntry) -> IdentityError {
    entry.resolve().unwrap_err()
}

#[test]
fn each_field_is_checked() {
    use IdentityError as E;
    for good in [task(), function()] {
        assert!(good.resolve().is_ok());
        let step = align_of::<Descriptor>() as u64;
        let version = VERSION + 1;
        assert_eq!(error(WireEntry { version, ..good }), E::Version { found: version });
        assert_eq!(error(WireEntry { kind: 0, ..good }), E::Malformed);
        assert_eq!(error(WireEntry { kind: 99, ..good }), E::Malformed);
        assert_eq!(error(WireEntry { descriptor: good.descriptor + 1, ..good }), E::Misaligned);
        assert_eq!(error(WireEntry { descriptor: good.descriptor - step, ..good }), E::NoDescriptor);
        assert_eq!(error(WireEntry { descriptor: u64::MAX, ..good }), E::DescriptorOutOfBounds);
        assert_eq!(error(WireEntry { descriptor: 1 << 40, ..good }), E::DescriptorOutOfBounds);
        assert_eq!(error(WireEntry { type_hash: good.type_hash ^ 1, ..good }), E::OtherCode);
    }
    assert_eq!(error(WireEntry { function: 1, ..task() }), E::FunctionOutOfBounds);
    for outside in [0, function().descriptor, u64::MAX, 1 << 40] {
        assert_eq!(error(WireEntry { function: outside, ..function() }), E::FunctionOutOfBounds);
    }
}

#[test]
fn the_hash_binds_argument_and_result_types() {
    fn narrow(x: u64) -> u64 {
        x
    }
    let other = Sent::job(call!(narrow(2))).entry;
    assert_ne!(other.type_hash, function().type_hash);
    assert_eq!(error(WireEntry { descriptor: other.descriptor, ..function() }), IdentityError::OtherCode);
    let other = Sent::job(two {}).entry;
    assert_eq!(error(WireEntry { descriptor: other.descriptor, ..task() }), IdentityError::OtherCode);
    // A task's descriptor does not do for a function, whatever the hash says.
    assert_eq!(
        error(WireEntry { descriptor: task().descriptor, type_hash: task().type_hash, ..function() }),
        IdentityError::OtherCode
    );
}

#[test]
fn each_flipped_bit_of_the_bytes_is_noticed() {
    for good in [task(), function()] {
        let bytes = good.to_bytes();
        assert_eq!(WireEntry::from_bytes(&bytes), Some(good));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(WireEntry::from_bytes(&damaged), None, "bit {bit}");
        }
        assert_eq!(WireEntry::from_bytes(&bytes[1..]), None);
        assert_eq!(WireEntry::from_bytes(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(WireEntry::from_bytes(&[]), None);
    }
}

#[test]
fn code_on_the_heap_stands_for_code_of_a_plugin_and_is_refused() {
    let image = Image::main().expect("Linux tells");
    let boxed = Box::new(0u64);
    let refused = image.offset_of((&raw const *boxed).addr(), 8, Region::ReadOnly).unwrap_err();
    assert!(refused.to_string().contains("outside the main executable"), "{refused}");
}

proptest! {
    #[test]
    fn random_bytes_are_never_an_entry(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(WireEntry::from_bytes(&bytes), None);
    }

    #[test]
    fn random_entries_are_refused(version in prop_oneof![Just(VERSION), any::<u32>()], kind in 0..6u32,
                                  descriptor in any::<u64>(), type_hash: u64, function: u64) {
        let entry = WireEntry { version, kind, descriptor, type_hash, function };
        prop_assert!(entry.resolve().is_err());
    }

    /// Offsets within the image, so that the headers of whatever lies there are read.
    #[test]
    fn places_in_the_image_are_read_without_a_crash(at in any::<proptest::sample::Index>(), function in any::<bool>()) {
        let (good, arguments) = if function {
            let sent = Sent::job(call!(power(u64::from(function) + 1)));
            (sent.entry, sent.arguments)
        } else {
            (task(), Vec::new())
        };
        let reach = 1 << 24;
        let descriptor = at.index(reach) as u64 & !7;
        prop_assume!(descriptor != good.descriptor);
        // Only another copy of the very same descriptor may answer, with the same code.
        if let Ok(code) = (WireEntry { descriptor, ..good }).resolve() {
            let mut replies = [Vec::new(), Vec::new()];
            for (code, reply) in [code, good.resolve().expect("the entry is whole")].iter().zip(&mut replies) {
                prop_assert!(code.run(&arguments, reply, Steps(None)).is_ok());
            }
            prop_assert_eq!(&replies[0], &replies[1]);
        }
    }
}
