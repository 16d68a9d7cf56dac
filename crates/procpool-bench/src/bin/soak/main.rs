//! Everything at once, for as long as one likes: calls, maps, queues, pools within pools, pools that come and go, and all
//! that can happen to them. At the end the numbers must add up, and nothing may be left.
//!
//! What is done, and to whom, is drawn from a seed, for each lane by itself: the same seed gives the same schedule. A run
//! is cut into rounds; after each one everything comes to rest, and is counted ([`rest`]). Tasks leave marks that survive
//! them ([`marks`]), which are compared with what their callers were told ([`account`]).

mod account;
mod calls;
mod chance;
mod faults;
mod maps;
mod marks;
mod options;
mod pools;
mod rest;
mod run;
mod tally;
mod traffic;
mod work;

use std::process::ExitCode;

use options::Options;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[procpool::main]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("soak: {why}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    println!("{options}");
    match run::run(&options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: seed {}: {error}", options.seed);
            ExitCode::FAILURE
        }
    }
}
