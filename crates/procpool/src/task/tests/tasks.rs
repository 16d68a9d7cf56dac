//! `#[procpool::task]`, tasks by hand, and the registry.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::loopback::{Sent, run_here};
use crate::task::{Named, TASKS, assert_named, check_duplicates};
use crate::{Task, call};

mod m {
    /// A documented task.
    #[procpool::task]
    pub(crate) fn cube(x: u64, mut y: u64) -> u64 {
        y += 1;
        x * x * x + y
    }
    #[procpool::task]
    pub(super) fn zero() -> i32 {
        7
    }
    #[expect(clippy::multiple_bound_locations, reason = "both forms are to work")]
    #[procpool::task]
    pub(super) fn ident<T: Clone>(x: T) -> T
    where
        T: Send,
    {
        x.clone()
    }
    pub(super) mod resize {
        #[procpool::task(ty = Resize)]
        pub(in crate::task::tests) fn resize(w: u32) -> u32 {
            w
        }
    }
    pub(super) use resize::resize;
}
use m::cube;

#[procpool::task(name = "chosen.name", crate = "crate")]
fn chosen() {}

#[procpool::task]
fn first<I: Iterator + Clone>(items: I, r#type: u8) -> Option<I::Item> {
    let _ = r#type;
    items.clone().next()
}

#[procpool::task]
fn sized<const N: usize>(skipped: [u8; 2], #[serde(default)] name: String) -> usize {
    N + skipped.len() + name.len()
}

#[procpool::task]
fn fallible(x: u8) -> Result<u8, String> {
    u8::checked_add(x, 1).ok_or_else(|| "too large".to_owned())
}

#[derive(Serialize, Deserialize)]
struct Scale<T> {
    v: Vec<T>,
    k: T,
}

impl<T> Task for Scale<T>
where
    T: Serialize + DeserializeOwned + Send + 'static + Copy + std::ops::Mul<Output = T>,
{
    type Output = Vec<T>;
    fn run(self) -> Vec<T> {
        self.v.into_iter().map(|x| x * self.k).collect()
    }
}

#[test]
fn functions_stay_and_their_types_are_tasks() {
    assert_eq!(cube(2, 0), 9);
    assert_eq!(run_here(cube { x: 2, y: 0 }), 9);
    assert_eq!(run_here(call!(cube(2, 0))), 9);
    assert_eq!(run_here(m::zero {}), m::zero());
    assert_eq!(run_here(m::ident { x: "q".to_string() }), "q");
    assert_eq!(run_here(m::resize::Resize { w: 2 }), m::resize(2));
    assert_eq!(run_here(Scale { v: vec![1, 2], k: 3 }), [3, 6]);
    assert_eq!((0..4).map(|x| run_here(cube { x, y: 0 })).collect::<Vec<_>>(), [1, 2, 9, 28]);
    run_here(chosen {});
    assert_eq!(run_here(first { items: 3..5u8, r#type: 1 }), first(3..5, 1));
    assert_eq!(run_here(sized::<4> { skipped: [1, 2], name: "n".into() }), 7);
    assert_eq!(run_here(fallible { x: 255 }), fallible(255));
}

#[test]
fn tasks_are_named_by_function_type_or_choice() {
    assert_eq!(Sent::job(cube { x: 2, y: 0 }).name, "cube");
    assert_eq!(Sent::job(chosen {}).name, "chosen.name");
    assert_eq!(Sent::job(m::ident { x: 1u8 }).name, "ident");
    assert_eq!(Sent::job(Scale { v: vec![1], k: 1u8 }).name, "Scale<u8>");
}

#[test]
fn concrete_tasks_have_stable_names_and_are_registered_once() {
    assert_eq!(assert_named(&cube { x: 1, y: 1 }), "procpool::task::tests::tasks::m::cube");
    assert_eq!(chosen::STABLE_NAME, "chosen.name");
    let registered =
        |name: &str| TASKS.iter().filter(|task| format!("{task:?}").contains(&format!("{name:?}"))).count();
    assert_eq!(registered("chosen.name"), 1);
    assert_eq!(registered(cube::STABLE_NAME), 1);
    assert_eq!(check_duplicates(), Ok(()));
}
