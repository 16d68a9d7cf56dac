//! `map` takes a function pointer: what a closure captures would have to travel (`map_with`, `run_all`).
async fn scaled(pool: procpool::Pool, factor: u64) {
    let _ = pool.map(|x: u64| x * factor, [1, 2, 3]).await;
}

fn main() {}
