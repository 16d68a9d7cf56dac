//! A queue whose participants are killed all the time: nothing that `send` confirmed may be lost, nothing may arrive
//! twice, and the numbers must add up.
//!
//! Producers and consumers are processes. Every so often one of them, by chance, gets SIGKILL from outside and is
//! replaced. What each did is in ledgers that survive it; see [`ledger`]. At the end [`account`] compares them. The exit
//! code is 0 only if everything is as promised.

mod account;
mod ledger;
mod options;
mod participant;
mod report;
mod run;

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
            eprintln!("queue-soak: {why}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    println!("{options}");
    match soak(&options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("queue-soak: seed {}: {error}", options.seed);
            ExitCode::FAILURE
        }
    }
}

async fn soak(options: &Options) -> Result<bool, Error> {
    let history = run::run(options).await?;
    let account = account::Account::of(&history.sent()?, &history.received()?);
    Ok(report::print(options, &history, &account))
}
