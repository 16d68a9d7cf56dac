//! Not a test of right and wrong: what the layer costs beside bare postcard.
//! `cargo test --release -p procpool codec::tests::speed -- --ignored --nocapture`

use crate::task::codec::{decode, encode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::time::Instant;

#[derive(Serialize, Deserialize, Clone)]
struct Row {
    id: u64,
    name: String,
    score: f64,
    tags: Option<(u32, bool)>,
}

fn nanoseconds(rounds: u32, mut work: impl FnMut()) -> f64 {
    let best = (0..7).map(|_| {
        let start = Instant::now();
        for _ in 0..rounds {
            work();
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
    });
    best.fold(f64::INFINITY, f64::min)
}

fn compare<T: Serialize + DeserializeOwned + 'static>(name: &str, rounds: u32, value: &T) {
    let mut ours = Vec::new();
    encode(value, &mut ours).unwrap();
    let bare = postcard::to_stdvec(value).unwrap();
    let mut out = Vec::with_capacity(ours.len());
    println!(
        "{name:12} bytes {:>8} / {:>8}   encode ns {:>10.0} / {:>10.0}   decode ns {:>10.0} / {:>10.0}",
        ours.len(),
        bare.len(),
        nanoseconds(rounds, || {
            out.clear();
            encode(std::hint::black_box(value), &mut out).unwrap();
        }),
        nanoseconds(rounds, || {
            out.clear();
            out =
                postcard::to_extend(std::hint::black_box(value), std::mem::take(&mut out)).unwrap();
        }),
        nanoseconds(rounds, || {
            std::hint::black_box(decode::<T>(std::hint::black_box(&ours)).unwrap());
        }),
        nanoseconds(rounds, || {
            std::hint::black_box(postcard::from_bytes::<T>(std::hint::black_box(&bare)).unwrap());
        }),
    );
}

#[test]
#[ignore = "a measurement, for --release"]
fn beside_bare_postcard() {
    let row = Row {
        id: 7,
        name: "seven".into(),
        score: 0.5,
        tags: Some((3, true)),
    };
    println!("             procpool / bare postcard");
    compare("u64", 100_000, &7u64);
    compare("(u64, u32)", 100_000, &(7u64, 9u32));
    compare("row", 100_000, &row);
    compare("1000 rows", 300, &vec![row; 1000]);
    compare("100k u64", 30, &(0..100_000u64).collect::<Vec<_>>());
    compare(
        "100k f64",
        30,
        &(0..100_000).map(f64::from).collect::<Vec<_>>(),
    );
    compare("(1 MiB,)", 10, &(vec![7u8; 1 << 20],));
    compare("1 MiB", 100, &vec![7u8; 1 << 20]);
}
