//! The seed of it all: Python's `multiprocessing.Queue`, in processes of its own. Messages are an `int` and `bytes`,
//! which it pickles.

use std::process::{Child, Command, Stdio};

use super::line::Line;
use super::part::{CAPACITY, Shape};
use crate::Error;
use crate::peers::Python;

/// The same protocol as [`line`](super::line). The parent tells the consumers that no more comes, once the producers are
/// gone; a consumer's time ends with its last message.
const SCRIPT: &str = r#"
import multiprocessing, socket, sys, time

NAME = sys.argv[1]
CAPACITY, SIZE, PRODUCERS, CONSUMERS, EACH = map(int, sys.argv[2:])

def ready():
    line = socket.socket(socket.AF_UNIX)
    line.connect("\0" + NAME)
    line.recv(1)
    return line, time.monotonic_ns()

def done(line, start, end, received, total):
    line.sendall(b"%d %d %d %d\n" % (start, end, received, total & (1 << 64) - 1))
    line.close()

def produce(queue, first):
    line, start = ready()
    for number in range(first, first + EACH):
        if SIZE == 8:
            queue.put(number)
        else:
            queue.put(number.to_bytes(8, "little") + bytes([number & 255]) * (SIZE - 8))
    done(line, start, time.monotonic_ns(), 0, 0)

def consume(queue):
    line, start = ready()
    end, received, total = start, 0, 0
    while True:
        message = queue.get()
        if message is None:
            break
        end = time.monotonic_ns()
        if SIZE != 8:
            assert len(message) == SIZE
            message = int.from_bytes(message[:8], "little")
        received += 1
        total += message
    done(line, start, end, received, total)

context = multiprocessing.get_context("fork")
queue = context.Queue(CAPACITY)
producers = [context.Process(target=produce, args=(queue, n * EACH), daemon=True) for n in range(PRODUCERS)]
consumers = [context.Process(target=consume, args=(queue,), daemon=True) for n in range(CONSUMERS)]
for process in producers + consumers:
    process.start()
for process in producers:
    process.join()
for process in consumers:
    queue.put(None)
for process in consumers:
    process.join()
sys.exit(any(process.exitcode for process in producers + consumers))
"#;

pub(crate) fn run(python: Python, shape: Shape) -> Result<f64, Error> {
    let line = Line::draw()?;
    let Shape { size, producers, consumers, each } = shape;
    let numbers = [CAPACITY as u64, size as u64, producers, consumers, each].map(|number| number.to_string());
    let mut interpreter = Interpreter(
        Command::new(python.program)
            .args(["-c", SCRIPT, line.name()])
            .args(numbers)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?,
    );
    let rate = line.race(shape)?;
    let status = interpreter.0.wait()?;
    if !status.success() {
        return Err(format!("python3: {status}").into());
    }
    Ok(rate)
}

/// Killed if the run failed; its processes end when they find it gone.
struct Interpreter(Child);

impl Drop for Interpreter {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_messages_go_through_where_there_is_python() {
        let Some(python) = Python::find() else { return };
        for (size, producers, consumers) in [(8, 1, 1), (1024, 2, 2)] {
            assert!(run(python, Shape { size, producers, consumers, each: 50 }).unwrap() > 0.0);
        }
    }
}
