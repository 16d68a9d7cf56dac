//! What the machine needs to start this program: from nothing to the first byte that it writes.

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Error;
use crate::peers::millis_since;

/// The argument that makes this program write one byte and end.
pub(crate) const FIRST_BYTE: &str = "--write-the-first-byte";

pub(crate) fn first_byte() -> Result<Vec<f64>, Error> {
    let start = Instant::now();
    let mut child =
        Command::new("/proc/self/exe").arg(FIRST_BYTE).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let read = child.stdout.take().map(|mut stdout| stdout.read_exact(&mut [0]));
    let took = millis_since(start);
    child.wait()?;
    read.ok_or("a child without stdout")??;
    Ok(vec![took])
}

/// The child.
pub(crate) fn write() -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(b"1")?;
    stdout.flush()
}
