//! A pool of four: `x` to the power `x`, first printed by the workers, then collected in two ways. Every task says in
//! which worker it runs, so that one sees the same few processes at work again and again.

use futures::future::try_join_all;
use procpool::{Pool, call, current};

fn power(x: u64) -> u128 {
    println!("{} computes {x}^{x}", current());
    (x as u128).pow(x as u32)
}

/// Has no result: what it finds, it prints.
fn show_power(x: u64) {
    println!("{x}^{x} = {}", power(x));
}

#[procpool::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::builder().workers(4).build()?;
    pool.ready().await?; // workers start when they are needed; here all four are wanted from the beginning

    pool.map(show_power, [4, 2, 3]).await?;

    // One function over many values: the results are in the order of the values, whoever was done first.
    println!("{:?}", pool.map(power, [4, 2, 3, 5, 3, 2, 1, 2]).await?);

    // The same by hand: each call starts at once, and its handle is awaited when the result is wanted.
    let handles = [4, 6, 5, 4, 6, 3, 23, 4, 6].map(|x| pool.spawn(call!(power(x))));
    println!("{:?}", try_join_all(handles).await?);

    pool.shutdown().await?;
    Ok(())
}
