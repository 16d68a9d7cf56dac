//! Six uploads that want to take the host down, in a pool of two workers that are fenced in and limited. Each fails with an
//! error that says what it tried; after each the pool works, and the host has the memory and the processes that it had.

use std::error::Error;
use std::hint::{black_box, spin_loop};
use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use procpool::{ErrorKind, Limits, Pool, Run, RunError, Sandbox, call};

const MIB: u64 = 1 << 20;

/// What a task may take: far less than what is asked for below.
const MEMORY: u64 = 512 * MIB;

/// What the host may seem to have lost after a task: other programs come and go, too.
const SLACK: u64 = 2 << 30;
const SLACK_PROCESSES: usize = 200;

/// Unpacks an upload, as a careless program does.
fn unpack(upload: Vec<u8>) -> Vec<u8> {
    let mut decoder = DeflateDecoder::new(&upload[..]);
    let mut unpacked = Vec::new();
    let mut part = vec![0; 64 << 10];
    while let Ok(count @ 1..) = decoder.read(&mut part) {
        unpacked.extend_from_slice(&part[..count]);
    }
    unpacked
}

/// A decompression bomb: 10 GiB of zeros in 10 MiB.
fn bomb() -> Result<Vec<u8>, Box<dyn Error>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; MIB as usize])?;
    // Ends at a byte, and refers to nothing before: so it can be repeated.
    encoder.flush()?;
    let first = encoder.get_ref().clone();
    Ok(first.repeat((10 << 30) / MIB as usize))
}

fn never_ends() {
    loop {
        spin_loop();
    }
}

/// A parser that recurses as deep as its input tells it to.
fn overflows(depth: u64) -> u64 {
    // The frame is kept from being optimised into a loop.
    let frame = black_box([depth; 64]);
    if frame[0] == u64::MAX { 0 } else { 1 + overflows(depth + 1) + black_box(frame)[1] }
}

/// The bug in a C library.
fn follows_null() -> u8 {
    let null = black_box(std::ptr::null::<u8>());
    #[expect(unsafe_code, reason = "safe code does not do that")]
    // SAFETY: there is none, on purpose: nothing is ever mapped at address 0, so this read ends the process.
    unsafe {
        null.read_volatile()
    }
}

/// Each process starts another one, twelve times over: 4,096 of them, few enough for a host where the fence failed.
fn forks() {
    for _ in 0..12 {
        #[expect(unsafe_code, reason = "safe code does not fork")]
        // SAFETY: the child does nothing but go on here, and uses nothing that another thread may hold.
        unsafe {
            libc::fork();
        }
    }
}

fn allocates(bytes: usize) -> u8 {
    black_box(vec![1; bytes])[bytes / 2]
}

fn healthy(x: u64, y: u64) -> u64 {
    x * y
}

#[procpool::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let pool = Pool::builder()
        .workers(2)
        .sandbox(Sandbox::compute_only().kill_on_violation())
        .limits(Limits::new().memory(MEMORY))
        .build()?;
    pool.ready().await?;

    let second = Duration::from_secs(1);
    let mut host = Host::new(&pool);
    host.survives("a decompression bomb", ErrorKind::MemoryLimit, pool.run(call!(unpack(bomb()?)))).await?;
    host.survives("an endless loop", ErrorKind::TimedOut, pool.run(call!(never_ends())).timeout(second)).await?;
    host.survives("a stack overflow", ErrorKind::WorkerDied, pool.run(call!(overflows(0)))).await?;
    host.survives("a null dereference", ErrorKind::WorkerDied, pool.run(call!(follows_null()))).await?;
    host.survives("a fork bomb", ErrorKind::SandboxViolation, pool.run(call!(forks()))).await?;
    host.survives("ten gibibytes", ErrorKind::MemoryLimit, pool.run(call!(allocates(10 << 30)))).await?;

    println!("{} of 6 ended as they should", 6 - host.surprises);
    let surprises = host.surprises;
    pool.shutdown().await?;
    Ok(if surprises == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where it all happens, and what it had before.
struct Host<'a> {
    pool: &'a Pool,
    available: u64,
    processes: usize,
    surprises: usize,
}

impl<'a> Host<'a> {
    fn new(pool: &'a Pool) -> Self {
        Host { pool, available: available(), processes: processes(), surprises: 0 }
    }

    /// Makes a bad call, and shows how it ends; then, that nothing else has.
    async fn survives<R>(&mut self, what: &str, kind: ErrorKind, run: Run<R>) -> Result<(), RunError> {
        println!("{what}:");
        let ended_well = match run.await {
            Ok(_) => {
                println!("  no error, which is a surprise");
                false
            }
            Err(error) => {
                println!("  {:?}: {error}", error.kind());
                error.kind() == kind
            }
        };
        let product = self.pool.run(call!(healthy(6, 7))).await?;
        let (available, processes) = (available(), processes());
        println!("  next task: {product}; available memory: {} MiB, processes: {processes}", available / MIB);
        let is_flat = available + SLACK >= self.available && processes <= self.processes + SLACK_PROCESSES;
        if !is_flat {
            println!("  before all: {} MiB, {} processes", self.available / MIB, self.processes);
        }
        self.surprises += usize::from(!(ended_well && is_flat && product == 42));
        Ok(())
    }
}

/// Memory that the host has left, in bytes; 0 where it does not tell.
fn available() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// Processes on the host.
fn processes() -> usize {
    let is_number = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.parse::<u32>().is_ok());
    std::fs::read_dir("/proc")
        .map_or(0, |entries| entries.flatten().filter(|entry| is_number(&entry.file_name())).count())
}
