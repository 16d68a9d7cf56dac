//! Four processes; each draws a random number in [0, 1) and puts it into a queue. The parent takes them out and prints
//! the list.

use procpool::queue::{self, Sender};
use procpool::{AnyError, Process, call};

/// Runs in a process of its own. The number has left it when `send_blocking` returns.
fn draw(numbers: Sender<f64>) -> Result<(), AnyError> {
    numbers.send_blocking(rand::random())?;
    Ok(())
}

#[procpool::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sender, receiver) = queue::bounded(4);
    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(Process::spawn(call!(draw(sender.clone())))?);
    }

    let mut numbers: Vec<f64> = Vec::new();
    for _ in 0..4 {
        numbers.push(receiver.recv().await?);
    }
    println!("{numbers:?}");

    for process in processes {
        process.join().await??; // the first ? is about the process, the second about the queue
    }
    Ok(())
}
