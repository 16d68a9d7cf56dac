//! The README's first program.

use std::time::Duration;

use procpool::{Pool, call};

fn power(x: u64) -> u128 {
    (x as u128).pow(x as u32)
}

fn endless() {
    loop {
        std::hint::spin_loop();
    }
}

#[procpool::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::new()?; // one worker process a core

    let y = pool.run(call!(power(4))).await?; // reads like a call, runs in a child process
    let ys = pool.map(power, [4, 2, 3]).await?; // ordered; stops at the first error
    println!("{y} {ys:?}");

    let runs = (1..=8).map(|x| pool.run(call!(power(x)))); // each is a plain future
    println!("{:?}", futures::future::try_join_all(runs).await?);

    match pool.run(call!(endless())).timeout(Duration::from_millis(200)).await {
        Ok(()) => println!("it ended after all"),
        Err(error) => println!("{error}"), // over time: the work was stopped, not just abandoned
    }

    pool.shutdown().await?;
    Ok(())
}
