//! `call!` takes one call.
use procpool::call;

fn power(x: u64) -> u64 {
    x
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Made {}

fn many(_: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8) {}

async fn run() {
    let _ = call!();
    let _ = call!(power);
    let _ = call!(|x: u64| x);
    let _ = call!(power(1).await);
    let _ = call!(power(1)?);
    let _ = call!(format!("x"));
    let _ = call!(Made {});
    let _ = call!(1 + 1);
    let _ = call!(power(1), power(2));
    let a = 1;
    let _ = call!(many(a, a, a, a, a, a, a, a, a, a, a, a, a));
}

fn main() {}
