//! Four processes; each draws a random number in [0, 1) and prints it itself. The parent waits for them.

use procpool::{Process, call};

/// Runs in a process of its own, so that each draws from a generator that it seeded itself: nothing is inherited from
/// the parent, as it would be after a `fork`.
fn draw() {
    println!("{}", rand::random::<f64>());
}

#[procpool::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(Process::spawn(call!(draw()))?); // starts now
    }
    for process in processes {
        process.join().await?; // a panic or a crash in there would be an error here
    }
    Ok(())
}
