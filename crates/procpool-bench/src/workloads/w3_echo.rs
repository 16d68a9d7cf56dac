//! W3: bytes there and back. What a value costs by its size; and what it costs as a `Blob`, there only.

use std::hint::black_box;
use std::time::Instant;

use procpool::{Blob, call};

use super::{Only, Workload};
use crate::Error;
use crate::book::Book;
use crate::helpers::{Place, Work};
use crate::measurement::{Key, System};
use crate::peers::{echo, millis_since, payload};
use crate::runtimes::Home;
use crate::stage::Stage;

pub(super) const NAME: &str = "W3";

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

pub(super) const VARIANTS: [&str; 6] = [SIZES[0].0, SIZES[1].0, SIZES[2].0, SIZES[3].0, SIZES[4].0, BLOB];

/// Name, bytes, calls of a round.
const SIZES: [(&str, usize, usize); 5] =
    [("1KiB", KIB, 500), ("64KiB", 64 * KIB, 200), ("1MiB", MIB, 30), ("16MiB", 16 * MIB, 5), ("64MiB", 64 * MIB, 3)];

/// The largest as a `Blob`, of which the length comes back.
const BLOB: &str = "64MiB-blob";

pub(crate) struct Echo {
    quick: bool,
    only: Only,
}

impl Echo {
    pub(crate) fn new(quick: bool, only: Only) -> Self {
        Echo { quick, only }
    }
}

impl Workload for Echo {
    fn name(&self) -> &'static str {
        NAME
    }

    fn round(&mut self, stage: &mut Stage, book: &mut Book) -> Result<(), Error> {
        let Stage { runtimes, crew } = stage;
        let home = &runtimes.homes()[0];
        for (variant, bytes, calls) in SIZES.into_iter().filter(|(variant, ..)| self.only.wants(variant)) {
            // The first of them finds no memory that is used again: the median is to be none such.
            let calls = if self.quick { calls.div_ceil(5).max(3) } else { calls };
            let mut add = |system, millis: &[f64]| {
                book.add_median(Key { workload: NAME, variant, system, metric: "ms", unit: "ms" }, millis);
            };
            add(System::Procpool, &procpool(home, bytes, calls)?);
            add(System::SpawnBlocking, &spawn_blocking(home, bytes, calls)?);
            add(System::Limit, &copies(bytes, calls));
            for system in [System::Procspawn, System::IpcChannel].into_iter().chain(crew.pythons()) {
                // The largest take them a third of a second.
                let calls = if bytes > MIB { 1 } else { calls };
                add(system, &crew.peer(Place::Small, system, Work::Echo { bytes, calls }));
            }
        }
        if self.only.wants(BLOB) {
            let key = Key { workload: NAME, variant: BLOB, system: System::Procpool, metric: "ms", unit: "ms" };
            book.add_median(key, &blob(home, 64 * MIB, 5)?);
        }
        Ok(())
    }
}

/// What comes back is sent again: none of it is copied here.
fn procpool(home: &Home, bytes: usize, calls: usize) -> Result<Vec<f64>, Error> {
    let pool = home.pool.clone();
    let work = async move {
        let mut data = payload(bytes);
        let mut latencies = Vec::with_capacity(calls);
        for _ in 0..calls {
            let start = Instant::now();
            data = pool.run(call!(echo(data))).await?;
            latencies.push(millis_since(start));
        }
        (data == payload(bytes)).then_some(latencies).ok_or_else(|| format!("{NAME}: an echo that differs").into())
    };
    home.runtime.block_on(home.runtime.spawn(work))?
}

/// Each call has a new one, so the worker has never had it before. What is timed begins when it is there.
fn blob(home: &Home, bytes: usize, calls: usize) -> Result<Vec<f64>, Error> {
    let pool = home.pool.clone();
    let work = async move {
        let data = payload(bytes);
        let mut latencies = Vec::with_capacity(calls);
        for _ in 0..calls {
            let blob = Blob::copy_from(&data)?;
            let start = Instant::now();
            let len = pool.run(call!(length(blob))).await?;
            latencies.push(millis_since(start));
            if len != bytes {
                return Err(format!("{NAME}: a blob of another length").into());
            }
        }
        Ok(latencies)
    };
    home.runtime.block_on(home.runtime.spawn(work))?
}

fn length(blob: Blob) -> usize {
    blob.len()
}

/// What two processes cannot do without that share a piece of memory, and no more than that: into it and out of it, there
/// and back. One after the other, and into memory that is there; on two cores half of it may happen at once.
fn copies(bytes: usize, calls: usize) -> Vec<f64> {
    /// As much as a ring holds, and as a frame does.
    const BETWEEN: usize = 512 * KIB;
    const PIECE: usize = 64 * KIB;
    let (mut here, mut there, mut between) = (payload(bytes), payload(bytes), payload(BETWEEN));
    let mut carry = |from: &[u8], to: &mut [u8]| {
        for (index, (from, to)) in from.chunks(PIECE).zip(to.chunks_mut(PIECE)).enumerate() {
            let piece = &mut between[index * PIECE % BETWEEN..][..from.len()];
            piece.copy_from_slice(from);
            to.copy_from_slice(black_box(piece));
        }
    };
    let mut go = || {
        let start = Instant::now();
        carry(&here, &mut there);
        carry(&there, &mut here);
        millis_since(start)
    };
    (0..calls).map(|_| go()).collect()
}

/// A thread needs no echo: to have something to compare with, it copies the bytes once.
fn spawn_blocking(home: &Home, bytes: usize, calls: usize) -> Result<Vec<f64>, Error> {
    let work = async move {
        let mut data = payload(bytes);
        let mut latencies = Vec::with_capacity(calls);
        for _ in 0..calls {
            let start = Instant::now();
            data = tokio::task::spawn_blocking(move || data.as_slice().to_vec()).await?;
            latencies.push(millis_since(start));
        }
        Ok(latencies)
    };
    home.runtime.block_on(home.runtime.spawn(work))?
}
