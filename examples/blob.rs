//! One big piece of memory, and workers that each look at parts of it: a genome of random letters, made in place, in which
//! they count a short sequence. As a `Blob` nothing of it is copied; beside it the time that a `Vec<u8>` takes on its way.
//!
//! ```text
//! cargo run --release --example blob -- [MIB]
//! ```

use std::error::Error;
use std::io;
use std::ops::Range;
use std::time::Instant;

use procpool::{Blob, Pool, call};

const LETTERS: &[u8; 4] = b"ACGT";

/// Every position is where it begins in one out of 4,096.
const SEQUENCE: &[u8; 6] = b"GATTAC";

/// In how many parts it is looked at.
const PARTS: usize = 16;

/// Written where it stays. An error, of a file that is read for example, would be the one of `build`.
fn genome(len: usize) -> io::Result<Blob> {
    Blob::build(len, |room| {
        let mut state = 1u64;
        for letter in room {
            // A generator of Knuth's; the upper bits are the good ones.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *letter = LETTERS[(state >> 62) as usize];
        }
        Ok(())
    })
}

/// How often the sequence begins in this part.
fn count(letters: &[u8], part: Range<usize>) -> usize {
    let end = letters.len().min(part.end + SEQUENCE.len() - 1);
    letters[part.start..end].windows(SEQUENCE.len()).filter(|window| window == SEQUENCE).count()
}

/// Runs in a worker, on the memory that the parent has filled.
fn count_in((genome, part): (Blob, Range<usize>)) -> usize {
    count(&genome, part)
}

fn length(genome: Blob) -> usize {
    genome.len()
}

fn length_of_bytes(genome: Vec<u8>) -> usize {
    genome.len()
}

#[procpool::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mib: usize = std::env::args().nth(1).map_or(Ok(64), |mib| mib.parse())?;
    let len = mib << 20;
    let genome = genome(len)?;
    let pool = Pool::new()?;
    pool.ready().await?;

    let start = Instant::now();
    assert_eq!(pool.run(call!(length(genome.clone()))).await?, len);
    println!("{mib} MiB to a worker and its length back: {:.2} ms as a Blob", start.elapsed().as_secs_f64() * 1e3);
    let bytes = genome.to_vec();
    let start = Instant::now();
    assert_eq!(pool.run(call!(length_of_bytes(bytes))).await?, len);
    println!("{mib} MiB to a worker and its length back: {:.2} ms as a Vec<u8>", start.elapsed().as_secs_f64() * 1e3);

    let parts = (0..PARTS).map(|part| (genome.clone(), part * len / PARTS..(part + 1) * len / PARTS));
    let found: usize = pool.map(count_in, parts).await?.iter().sum();
    assert_eq!(found, count(&genome, 0..len), "what this process finds by itself");
    println!("{} was found {found} times", String::from_utf8_lossy(SEQUENCE));

    // The workers unmap it, and then the memory is free.
    drop(genome);
    pool.shutdown().await?;
    Ok(())
}
