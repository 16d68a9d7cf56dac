//! Every form that `call!` accepts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::loopback::{Sent, run_here};
use crate::task::{Fault, Steps};
use crate::{Call, Job, Ship, call};

fn power(x: u64) -> u128 {
    u128::from(x).pow(x as u32)
}
fn same<T: Clone>(x: T) -> T {
    x.clone()
}
fn nothing() {}
fn greet(s: &str) -> String {
    format!("hi {s}")
}
fn cut(s: &str, n: usize) -> String {
    s[..n].into()
}
fn total(v: &[u64], k: u64) -> u64 {
    v.iter().sum::<u64>() * k
}
fn parse(s: String) -> Result<u32, String> {
    s.parse::<u32>().map_err(|error| error.to_string())
}
fn optional(v: Option<u8>, k: Vec<u8>) -> usize {
    v.map_or(0, usize::from) + k.len()
}
#[expect(clippy::too_many_arguments, reason = "the most that a call may send")]
fn twelve(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8, l: u8) -> u32 {
    [a, b, c, d, e, f, g, h, i, j, k, l].map(u32::from).iter().sum()
}
fn lent<T: ?Sized + ToOwned>(x: &T) -> T::Owned {
    x.to_owned()
}
fn sizes(a: &BTreeMap<String, u8>, b: &[u8], c: &str, d: &String, e: &Option<u8>) -> usize {
    a.len() + b.len() + c.len() + d.capacity().min(1) + usize::from(e.is_some())
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Page {
    body: String,
}

impl Page {
    fn new(s: impl Into<String>) -> Self {
        Self { body: s.into() }
    }
    fn len(&self, k: usize) -> usize {
        self.body.len() * k
    }
    fn eat(self) -> String {
        self.body
    }
    fn push(&mut self, s: &str) -> Self {
        self.body.push_str(s);
        self.clone()
    }
    fn convert<T: From<u8>>(&self, x: u8) -> T {
        T::from(x)
    }
    fn stat(n: usize) -> usize {
        n + 1
    }
    fn through(&self) -> usize {
        let a = run_here(call!(Self::stat(self.body.len())));
        let b = run_here(call!(self.clone().len(2)));
        let c = run_here(call!((&*self).len(2)));
        let d = run_here(call!((&self).len(2)));
        a + b + c + d
    }
    fn consumed(self) -> usize {
        run_here(call!((&self).len(1)))
    }
}

trait Shape {
    fn area(k: u32) -> u32;
}
impl Shape for Page {
    fn area(k: u32) -> u32 {
        k
    }
}

fn generic<T: Ship + Clone>(x: T) -> T {
    run_here(call!(same(x)))
}
fn borrowed<T: Ship + Clone>(x: &T) -> T {
    run_here(call!(same::<T>(x.clone())))
}
fn prepared(x: u64) -> Call<u128> {
    call!(power(x))
}

macro_rules! go {
    ($f:path, $x:expr, $($rest:expr),*) => { run_here(call!($f($x, $($rest),*))) };
}
macro_rules! forward {
    ($call:expr) => {
        run_here(call!($call))
    };
}

#[test]
fn values_literals_and_no_arguments() {
    run_here(call!(nothing()));
    assert_eq!(run_here(call!(power(4))), 256);
    let (a, b) = (1u8, 2u8);
    assert_eq!(run_here(call!(twelve(a, b, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12))), 78);
    let [c, d, e, f, g, h, i, j, k, l] = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    assert_eq!(run_here(call!(twelve(a, b, c, d, e, f, g, h, i, j, k, l))), 78);
    assert_eq!(run_here(call!(parse("12".into()))), Ok(12));
    assert!(run_here(call!(parse("x".to_string()))).is_err());
    assert_eq!(run_here(call!(same::<String>("a".to_string()))), "a");
    assert_eq!(run_here(call!(same(vec![1u8]))), [1]);
    assert_eq!(run_here(call!(same(-3))), -3);
    assert_eq!(run_here(call!(optional(None, vec![]))), 0);
    assert_eq!(run_here(call!(Some(3u8))), Some(3));
    assert_eq!(run_here(call!(std::cmp::max::<u32>(2, 3))), 3);
    assert_eq!(run_here(call!(power(run_here(call!(same(2)))))), 4);
    assert_eq!(run_here(call!(power(u64::from(a) + 1,))), 4);
}

#[test]
fn shared_references_are_lent() {
    let name = String::from("bob");
    assert_eq!(run_here(call!(greet(&name))), "hi bob");
    assert_eq!(run_here(call!(greet("lit"))), "hi lit");
    assert_eq!(run_here(call!(greet(&name[1..]))), "hi ob");
    let s: &str = &name;
    assert_eq!(run_here(call!(greet(&*s))), "hi bob");
    let v = vec![1, 2, 3];
    assert_eq!(run_here(call!(total(&v, 2))), 12);
    assert_eq!(run_here(call!(total(&[1, 2], 2))), 6);
    assert_eq!(run_here(call!(total(&v[1..], 2))), 10);
    assert_eq!(run_here(call!(lent::<str>(&name[1..]))), "ob");
    assert_eq!(run_here(call!(lent(&name[1..]))), "ob");
    assert_eq!(run_here(call!(lent(&v))), [1, 2, 3]);
    assert_eq!(run_here(call!(lent(&7))), 7);
    let map = BTreeMap::from([("k".to_owned(), 1)]);
    assert_eq!(run_here(call!(sizes(&map, &[1, 2], &name, &name, &None))), 7);
    assert_eq!(name, "bob");
}

#[test]
fn methods_and_associated_functions() {
    let page = Page::new("xyz");
    assert_eq!(run_here(call!(page.clone().len(2))), 6);
    assert_eq!(run_here(call!(Page::len(&page, 2))), 6);
    assert_eq!(run_here(call!(page.convert::<u64>(2))), 2u64);
    let page = Page::new("xyz");
    assert_eq!(page.through(), 4 + 6 + 6 + 6);
    assert_eq!(run_here(call!(page.clone().push("!"))).body, "xyz!");
    assert_eq!(page.clone().consumed(), 3);
    assert_eq!(run_here(call!(Page::eat(page))), "xyz");
    assert_eq!(run_here(call!(<Page as Shape>::area(2))), 2);
    assert_eq!(run_here(call!("literal".len())), 7);
    assert_eq!(run_here(call!(str::len("four"))), 4);
}

#[test]
fn in_generic_functions_and_macros() {
    assert_eq!(generic(5), 5);
    assert_eq!(borrowed(&"x".to_string()), "x");
    let name = String::from("bob");
    assert_eq!(go!(cut, &name, 2), "bo");
    assert_eq!(forward!(power(2)), 4);
    assert_eq!(run_here(prepared(3)), 27);
    // The macro's own names do not meet the user's.
    let (arguments, argument_0) = (2u64, 3u64);
    assert_eq!(run_here(call!(total(&[arguments, argument_0], argument_0))), 15);
    fn argument(x: u64) -> u64 {
        x
    }
    assert_eq!(run_here(call!(argument(argument_0))), 3);
}

#[test]
fn many_calls_of_borrowed_words() {
    let words = ["abcd".to_string(), "efgh".into()];
    let width = 3;
    let cuts: Vec<_> = words.iter().map(|word| call!(cut(&word[..], width))).map(run_here).collect();
    assert_eq!(cuts, ["abc", "efg"]);
}

#[tokio::test]
async fn questions_and_awaits_in_arguments() {
    async fn later(x: u64) -> Result<u64, String> {
        tokio::task::yield_now().await;
        Ok(x)
    }
    async fn outer() -> Result<u128, String> {
        let lock = std::sync::Mutex::new(1);
        // The guard's life ends with the macro, so the future stays `Send`.
        let run = std::future::ready(run_here(call!(power(*lock.lock().expect("nobody panicked")))));
        let one = async { run.await + run_here(call!(power(*lock.lock().expect("nobody panicked")))) }.await;
        Ok(one + run_here(call!(power(later(2).await? + 1))))
    }
    fn send<T: Send>(value: T) -> T {
        value
    }
    assert_eq!(send(outer()).await, Ok(29));
}

#[test]
fn a_call_is_named_by_its_path_and_place() {
    let name = |job: Sent<_>| job.name;
    assert_eq!(name(Sent::job(call!(power(1)))), "power");
    assert_eq!(name(Sent::job(call!(crate::task::tests::calls::power(1)))), "task::tests::calls::power");
    assert_eq!(name(Sent::job(call!(power(1)).name("the first"))), "the first");
    assert_eq!(name(Sent::job(call!(power(1)).name(format!("no {}", 1)))), "no 1");
    assert_eq!(Sent::job(call!(same::<u8>(1))).name, "same");
    assert_eq!(Sent::job(call!(<Page as Shape>::area(1))).name, "Shape::area");
    assert_eq!(Sent::job(call!(Page::new("a").len(1))).name, "len");
    let (job, line) = (Sent::job(call!(power(1)).name("kept")), line!());
    let location = job.location.expect("works");
    assert!(location.contains("calls.rs") && location.contains(&format!(":{line}:")), "{location}");
    assert!(format!("{:?}", call!(power(1))).contains("power"));
}

#[test]
fn a_call_is_send_and_carries_what_its_output_is() {
    fn check<T: Send + Unpin + 'static>(_: &T) {}
    fn output<J: Job<Output = u128>>(job: J) -> u128 {
        run_here(job)
    }
    let job = call!(power(2));
    check(&job);
    let parts = job.into_parts();
    check(&parts);
    assert_eq!(output(call!(power(2))), 4);
}

#[test]
fn arguments_that_do_not_decode_are_a_fault_and_never_run() {
    fn never(_: String, _: u8) {
        unreachable!("its arguments did not decode")
    }
    let text = String::from("text");
    let sent = Sent::job(call!(never(text, u8::MAX)));
    for cut in 0..sent.arguments.len() {
        assert!(matches!(sent.run_on(&sent.arguments[..cut]), Err(Fault::Decode(_))), "{cut}");
    }
    let longer = [&sent.arguments[..], &[0]].concat();
    assert!(matches!(sent.run_on(&longer), Err(Fault::Decode(_))));
}

#[test]
fn a_panic_of_the_task_unwinds_to_the_caller() {
    fn boom(x: u8) {
        panic!("boom {x}")
    }
    let sent = Sent::job(call!(boom(7)));
    let panic = std::panic::catch_unwind(|| {
        sent.entry.resolve().expect("the entry is whole").run(&sent.arguments, &mut Vec::new(), Steps(None))
    });
    assert_eq!(panic.unwrap_err().downcast_ref::<String>().expect("works"), "boom 7");
}
