//! The figures for machines: an array of measurements.

use std::fs::OpenOptions;
use std::path::Path;

use crate::Error;
use crate::measurement::Measurement;

/// Fails before the run, not after it, if the file cannot be written.
pub(crate) fn check_writable(file: &Path) -> Result<(), Error> {
    OpenOptions::new().append(true).create(true).open(file).map_err(|error| named(file, error))?;
    Ok(())
}

pub(crate) fn write(file: &Path, measurements: &[Measurement]) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(measurements)?;
    text.push('\n');
    std::fs::write(file, text).map_err(|error| named(file, error))
}

fn named(file: &Path, error: std::io::Error) -> Error {
    format!("{}: {error}", file.display()).into()
}
