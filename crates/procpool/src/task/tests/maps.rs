//! Functions of an item, and of a context and an item.

use super::loopback::Sent;
use crate::Ship;
use crate::task::attachment::Attachment;
use crate::task::{codec, map_parts, map_with_parts};

fn map<A: Ship, R: Ship, I: IntoIterator<Item = A>>(function: fn(A) -> R, items: I) -> Vec<R> {
    items.into_iter().map(|item| Sent::parts(map_parts(function, item)).run()).collect()
}

fn map_with<C: Ship, A: Ship, R: Ship>(
    context: C,
    function: fn(&C, A) -> R,
    items: impl IntoIterator<Item = A>,
) -> Vec<R> {
    let context = Attachment::encoded(|out| codec::encode(&context, out)).expect("works");
    items.into_iter().map(|item| Sent::parts(map_with_parts(function, context.clone(), item)).run()).collect()
}

fn power(x: u64) -> u128 {
    u128::from(x).pow(x as u32)
}
fn same<T: Clone>(x: T) -> T {
    x.clone()
}

#[test]
fn functions_closures_generics_constructors_and_tables() {
    assert_eq!(map(power, [4, 2, 3]), [256, 4, 27]);
    assert_eq!(map(|x| x * x, 0..3u64), [0, 1, 4]);
    assert_eq!(map(same, vec![1u8, 2]), [1, 2]);
    assert_eq!(map(same::<String>, ["a".to_string()]), ["a"]);
    assert_eq!(map(|(a, b): (u32, u32)| a + b, [(1, 2)]), [3]);
    assert_eq!(map(|s: String| s.len(), ["abc".to_string()]), [3]);
    assert_eq!(map(Some, [1u8]), [Some(1)]);
    assert_eq!(map(String::into_bytes, ["a".to_string()]), [b"a"]);
    let table: [fn(u64) -> u128; 2] = [power, |x| u128::from(x) + 1];
    assert_eq!(table.map(|function| map(function, [3])), [[27], [4]]);
}

#[test]
fn a_context_is_lent_to_each_item() {
    assert_eq!(map_with(300u64, |w, x: u64| w + x, 0..3), [300, 301, 302]);
    let words = vec!["a".to_string(), "b".to_string()];
    assert_eq!(map_with(words, |words: &Vec<String>, i: usize| words[i].clone(), [1, 0]), ["b", "a"]);
    assert_eq!(map_with((), |(), x: String| x, ["a".to_string()]), ["a"]);
}

#[test]
fn the_same_function_type_in_another_role_is_other_code() {
    fn first(x: (u8,)) -> u8 {
        x.0
    }
    let mapped = Sent::parts(map_parts(first, (1,)));
    let called = Sent::job(crate::task::call_1("first", 1u8, first));
    assert_ne!(mapped.entry, called.entry);
    assert_eq!((mapped.run(), called.run()), (1, 1));
}
