//! The harness of procpool's integration tests.
//!
//! Two rules hold for every test that is written with [`test!`]: one that is not done in its time fails as a deadlock,
//! with a dump of what every task and worker was doing; and after each test nothing is left, no child process (zombies
//! included), no file descriptor, no thread, no file. Leaks cannot be told apart while tests share a process, so each
//! test runs in a process of its own: the test binary executes itself again.
//!
//! Nothing here sleeps. A task that is to be caught in the act goes through a [`Gate`], whose other side sees it arrive
//! and lets it go.

mod dump;
mod gate;
mod heard;
mod host;
mod leaks;
mod obstacles;
mod part;
mod processes;
pub mod queues;
mod random;
pub mod registered;
mod run;
pub mod tasks;
pub mod traps;

pub use dump::watched;
pub use gate::{Gate, Visitor, visit};
pub use heard::{Heard, Line};
pub use host::{
    close_everything, fork_a_holder, ignore_children, reap_any_child, start_idler, start_something_and_spin,
};
pub use leaks::{children_of, is_alive, parent_of, until};
pub use obstacles::{Famine, Swamp};
pub use part::{Part, part};
pub use processes::{Signal, ended, freeze, send, send_to_child, send_to_group, until_it_waits};
pub use random::Random;
pub use run::{Flavor, Length, Link, run, run_slow, run_with_processes, run_with_queues};

/// Defines a test: `test! { async fn name() { … } }`, on a runtime with two threads.
///
/// `test! { current_thread async fn name() { … } }` gives a runtime with one. With `processes async fn`, what lasts as
/// long as the program once a `Process` has been made is there before the test begins. With `slow async fn`, it has five
/// times as long before it counts as a deadlock. `queues async fn` is for tests of queues (what lasts as long as the
/// program once one has been used is there before), `slow queues async fn` for long ones, and `sockets` instead of
/// `queues` lets them travel over sockets instead of rings.
#[macro_export]
macro_rules! test {
    ($(#[$meta:meta])* async fn $name:ident() $body:block) => {
        $(#[$meta])*
        #[test]
        fn $name() {
            $crate::run(stringify!($name), $crate::Flavor::MultiThread, || async $body);
        }
    };
    ($(#[$meta:meta])* current_thread async fn $name:ident() $body:block) => {
        $(#[$meta])*
        #[test]
        fn $name() {
            $crate::run(stringify!($name), $crate::Flavor::CurrentThread, || async $body);
        }
    };
    ($(#[$meta:meta])* slow async fn $name:ident() $body:block) => {
        $(#[$meta])*
        #[test]
        fn $name() {
            $crate::run_slow(stringify!($name), || async $body);
        }
    };
    ($(#[$meta:meta])* processes async fn $name:ident() $body:block) => {
        $(#[$meta])*
        #[test]
        fn $name() {
            $crate::run_with_processes(stringify!($name), || async $body);
        }
    };
    ($(#[$meta:meta])* queues async fn $name:ident() $body:block) => {
        $crate::test!(@queues Rings, Short, [$(#[$meta])*] $name $body);
    };
    ($(#[$meta:meta])* slow queues async fn $name:ident() $body:block) => {
        $crate::test!(@queues Rings, Long, [$(#[$meta])*] $name $body);
    };
    ($(#[$meta:meta])* sockets async fn $name:ident() $body:block) => {
        $crate::test!(@queues Sockets, Short, [$(#[$meta])*] $name $body);
    };
    ($(#[$meta:meta])* slow sockets async fn $name:ident() $body:block) => {
        $crate::test!(@queues Sockets, Long, [$(#[$meta])*] $name $body);
    };
    (@queues $link:ident, $length:ident, [$(#[$meta:meta])*] $name:ident $body:block) => {
        $(#[$meta])*
        #[test]
        fn $name() {
            $crate::run_with_queues(stringify!($name), $crate::Link::$link, $crate::Length::$length, || async $body);
        }
    };
}

/// Defines a part that another process plays in a test: `part! { fn name(argument: String) { … } }`. See [`Part`].
#[macro_export]
macro_rules! part {
    ($(#[$meta:meta])* fn $name:ident($argument:ident: String) $body:block) => {
        $(#[$meta])*
        #[test]
        #[ignore = "a part in other tests, which start it in a process of its own"]
        fn $name() {
            if let Some($argument) = $crate::part(stringify!($name)) $body
        }
    };
}
