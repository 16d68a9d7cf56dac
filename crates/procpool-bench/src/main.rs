//! procpool beside its peers and the limits of the machine, in one run.
//!
//! Machines are noisy, so a figure alone says little: all systems of a workload are measured in turn, several rounds
//! over, in one process tree, and what counts is the ratio of their medians.
//!
//! What a workload is lives in [`workloads`], one file each; it gives samples to a [`book::Book`], which becomes
//! [`measurement::Measurement`]s, printed by [`table`], written by [`json`] and drawn by [`svg`].
//!
//! The two pools that are compared most, and threads, are measured in this process; all else in [`helpers`], which are
//! given up if they hang.

mod book;
mod helpers;
mod json;
mod limits;
mod measurement;
mod options;
mod peers;
mod proc;
mod queue;
mod runtimes;
mod stage;
mod svg;
mod table;
mod watch;
mod workloads;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use book::Book;
use options::{Command, Options};
use stage::Stage;
use watch::Watch;

/// What ends a benchmark early.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// No entry macro here: the benchmark makes its own runtimes, of both flavours.
fn main() -> ExitCode {
    procpool::init();
    procspawn::init();
    let outcome = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(options)) => run(&options),
        Ok(Command::Help) => {
            println!("{}", options::USAGE);
            Ok(())
        }
        Ok(Command::Echo) => limits::echo().map_err(Error::from),
        Ok(Command::Spin) => limits::spin(),
        Ok(Command::FirstByte) => limits::write_first_byte().map_err(Error::from),
        Ok(Command::Work(channel)) => peers::work(channel),
        Ok(Command::Serve(conditions)) => helpers::serve(conditions),
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
    for file in options.json.iter().chain(&options.svg) {
        json::check_writable(file)?;
    }
    let start = Instant::now();
    let mut stage = Stage::set(options.patience)?;
    let mut workloads = workloads::chosen(options);
    let mut book = Book::default();
    let mut took = vec![Duration::ZERO; workloads.len()];
    for round in 1..=options.rounds {
        for (workload, took) in workloads.iter_mut().zip(&mut took) {
            // A round takes about as long as the one before it: none begins that would pass the limit. The first is for
            // whoever reads the file: nothing is left out of it.
            if round > 1 && options.budget.is_some_and(|budget| start.elapsed() + *took > budget) {
                continue;
            }
            eprintln!("round {round} of {}: {}", options.rounds, workload.name());
            let begin = Instant::now();
            let _watch = Watch::over(format!("{} in round {round}", workload.name()), options.hung);
            workload.round(&mut stage, &mut book)?;
            *took = begin.elapsed();
        }
    }
    stage.runtimes.stop()?;
    let measurements = book.measurements();
    print!("{}", table::render(&measurements));
    if let Some(file) = &options.json {
        json::write(file, &measurements)?;
    }
    if let Some(file) = &options.svg {
        svg::write(file, &measurements)?;
    }
    Ok(())
}
