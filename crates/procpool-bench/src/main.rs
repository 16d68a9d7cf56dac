//! procpool beside its peers and the limits of the machine, in one run.
//!
//! Machines are noisy, so a figure alone says little: all systems of a workload are measured in turn, several rounds
//! over, in one process, and what counts is the ratio of their medians.
//!
//! What a workload is lives in [`workloads`], one file each; it gives samples to a [`book::Book`], which becomes
//! [`measurement::Measurement`]s, printed by [`table`] and written by [`json`].

mod book;
mod json;
mod limit;
mod measurement;
mod options;
mod queue;
mod runtimes;
mod table;
mod workloads;

use std::process::ExitCode;
use std::time::Instant;

use book::Book;
use options::{Command, Options};
use runtimes::Runtimes;

/// What ends a benchmark early.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// No entry macro here: the benchmark makes its own runtimes, of both flavours.
fn main() -> ExitCode {
    procpool::init();
    let outcome = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(options)) => run(&options),
        Ok(Command::Help) => {
            println!("{}", options::USAGE);
            Ok(())
        }
        Ok(Command::Echo) => limit::echo().map_err(Error::from),
        Ok(Command::Participate(channel)) => queue::help(channel),
        Err(why) => {
            eprintln!("procpool-bench: {why}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("procpool-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Error> {
    if cfg!(debug_assertions) {
        eprintln!("procpool-bench: built without --release, so these figures mean nothing");
    }
    if let Some(file) = &options.json {
        json::check_writable(file)?;
    }
    let runtimes = Runtimes::start()?;
    let mut workloads = workloads::chosen(options);
    let mut book = Book::default();
    let start = Instant::now();
    for round in 1..=options.rounds {
        let round_start = Instant::now();
        for workload in &mut workloads {
            eprintln!("round {round} of {}: {}", options.rounds, workload.name());
            workload.round(&runtimes, &mut book)?;
        }
        // A round takes about as long as the one before it: none begins that would pass the limit.
        if let Some(budget) = options.budget
            && start.elapsed() + round_start.elapsed() > budget
        {
            break;
        }
    }
    runtimes.stop()?;
    let measurements = book.measurements();
    print!("{}", table::render(&measurements));
    if let Some(file) = &options.json {
        json::write(file, &measurements)?;
    }
    Ok(())
}
