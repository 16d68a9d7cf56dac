//! Jobs that make a state and jobs that use it.

use super::loopback::Sent;
use crate::task::{Fault, TaskName, make_parts, state, try_make_parts, use_parts};
use crate::{Ship, task::codec};

fn used<S: 'static, A: Ship, R: Ship>(function: fn(&mut S, A) -> R, argument: A) -> Sent<R> {
    Sent::parts(use_parts(function, argument, TaskName::fixed("test")))
}

fn parse(text: String) -> Result<u64, std::num::ParseIntError> {
    text.parse()
}

#[test]
fn a_state_is_made_and_used_and_only_by_functions_of_its_type() {
    let add = |sum: &mut u64, x: u64| {
        *sum += x;
        *sum
    };
    let mut argument = Vec::new();
    codec::encode(&1u64, &mut argument).unwrap();
    assert!(matches!(used(add, 1).run_on(&argument), Err(Fault::NoState(_))));
    assert_eq!(Sent::parts(make_parts(|x: u64| x + 1, 6)).run(), Ok(()));
    assert_eq!((used(add, 1).run(), used(add, 2).run()), (8, 10));
    let Err(Fault::NoState(why)) = used(|_: &mut u32, x: u64| x, 1).run_on(&argument) else { panic!("it ran") };
    assert_eq!(why.to_string(), "it needs the state `u32`, and the worker has one of another type");
    assert_eq!(used(add, 0).run(), 10);
    assert_eq!(state::discard(), Ok(()));
}

#[test]
fn a_state_that_cannot_be_made_says_why_and_leaves_none() {
    assert_eq!(Sent::parts(try_make_parts(parse, "7".into())).run(), Ok(()));
    assert_eq!(used(|x: &mut u64, ()| *x, ()).run(), 7);
    assert_eq!(state::discard(), Ok(()));
    let why = Sent::parts(try_make_parts(parse, "seven".into())).run();
    assert_eq!(why, Err("invalid digit found in string".to_owned()));
    assert!(matches!(used(|x: &mut u64, ()| *x, ()).run_on(&[]), Err(Fault::NoState(_))));
    // Also an error without words, and one with too many.
    let words = |n: usize| Err::<(), String>("ä".repeat(n));
    assert_eq!(Sent::parts(try_make_parts(words, 0)).run(), Err(String::new()));
    assert_eq!(Sent::parts(try_make_parts(words, 100_000)).run(), Err("ä".repeat(4096)));
}

#[test]
fn making_and_trying_to_make_are_different_code() {
    let (make, try_make) = (make_parts(parse, String::new()), try_make_parts(parse, String::new()));
    assert_ne!(Sent::parts(make).entry, Sent::parts(try_make).entry);
}
