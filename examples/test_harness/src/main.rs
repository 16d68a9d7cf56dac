//! Evaluates its arguments: `cargo run -p procpool-example-test-harness -- "1 + 2" crash "3 + x"`.

use procpool::Pool;
use procpool_example_test_harness::Calculator;

// In the program itself `init()` is called, here by the attribute; the feature is for the tests.
#[procpool::main]
async fn main() -> Result<(), procpool::PoolError> {
    let calculator = Calculator::new(Pool::new()?);
    for expression in std::env::args().skip(1) {
        match calculator.evaluate(&expression).await {
            Ok(Ok(sum)) => println!("{expression} = {sum}"),
            Ok(Err(why)) => println!("{expression}: {why}"),
            Err(error) => println!("{expression}: {error}"),
        }
    }
    calculator.shutdown().await
}
