//! A test target with a `main` of its own (`harness = false`) needs no more than others do: this one does not call
//! `init()`, and knows nothing of workers.

use std::process::ExitCode;

use procpool::{Pool, call};
use procpool_tests::tasks::{pid, power};

const NAME: &str = "pools_work_without_the_test_harness";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // What nextest asks for before it runs anything.
    if arguments.iter().any(|argument| argument == "--list") {
        if !arguments.iter().any(|argument| argument == "--ignored") {
            println!("{NAME}: test");
        }
        return ExitCode::SUCCESS;
    }
    // A filter that means other tests (`cargo test behaviour_13`).
    let mut filters = arguments.iter().filter(|argument| !argument.starts_with("--")).peekable();
    if filters.peek().is_some() && !filters.any(|filter| NAME.contains(filter.as_str())) {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let pool = Pool::builder().workers(2).build().expect("a pool");
        assert_eq!(pool.run(call!(power(4))).await.expect("a result"), 256);
        assert_ne!(pool.run(call!(pid())).await.expect("a result"), std::process::id());
        assert!(pool.shutdown().await.expect("a report").balances());
    });
    println!("test {NAME} ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
    ExitCode::SUCCESS
}
