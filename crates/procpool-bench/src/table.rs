//! The figures for people.

use std::fmt::Write;

use crate::measurement::{Measurement, System};

const HEADER: [&str; 9] =
    ["workload", "variant", "metric", "system", "median", "min", "max", "unit", "procpool / this"];

/// How many of the columns are text, aligned to the left.
const NAMES: usize = 4;

/// One line a figure, those that compare with each other together. The last column is procpool's median divided by
/// this one.
pub(crate) fn render(measurements: &[Measurement]) -> String {
    let mut ordered: Vec<&Measurement> = Vec::with_capacity(measurements.len());
    for first in measurements {
        if !ordered.iter().any(|known| known.key == first.key) {
            ordered.extend(measurements.iter().filter(|other| other.key.compares_with(&first.key)));
        }
    }
    let mut rows = vec![HEADER.map(str::to_owned)];
    rows.extend(ordered.iter().map(|measurement| row(measurement, measurements)));
    align(&rows)
}

fn row(measurement: &Measurement, all: &[Measurement]) -> [String; 9] {
    let Measurement { key, median, min, max, .. } = measurement;
    let ours = all.iter().find(|other| other.key.system == System::Procpool && other.key.compares_with(key));
    let ratio = match ours {
        // Of nothing there is no multiple.
        Some(ours) if key.system != System::Procpool && *median > 0.0 => format!("{:.2}", ours.median / median),
        _ => String::new(),
    };
    [
        key.workload.to_owned(),
        key.variant.to_owned(),
        key.metric.to_owned(),
        key.system.name().to_owned(),
        number(*median),
        number(*min),
        number(*max),
        key.unit.to_owned(),
        ratio,
    ]
}

/// Three digits that matter; rates are whole numbers.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size < 1.0 => format!("{value:.4}"),
        _ => format!("{value:.2}"),
    }
}

fn align(rows: &[[String; 9]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 9] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let result = match column < NAMES {
                true => write!(line, "{cell:<width$}  "),
                false => write!(line, "{cell:>width$}  "),
            };
            // Writing to a `String` does not fail.
            debug_assert!(result.is_ok());
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::Key;

    fn figure(system: System, metric: &'static str, value: f64) -> Measurement {
        let key = Key { workload: "W1", variant: "block_on-mt", system, metric, unit: "µs" };
        Measurement::of(key, &[value]).unwrap()
    }

    #[test]
    fn what_compares_stands_together_with_its_ratio() {
        let text = render(&[
            figure(System::Procpool, "p50", 50.0),
            figure(System::Procpool, "p99", 1234.0),
            figure(System::SpawnBlocking, "p50", 5.0),
            figure(System::SpawnBlocking, "p99", 617.0),
        ]);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1][2..], ["p50", "procpool", "50.0", "50.0", "50.0", "µs"]);
        assert_eq!(lines[2][2..], ["p50", "tokio_spawn_blocking", "5.00", "5.00", "5.00", "µs", "10.00"]);
        assert_eq!(lines[3][2..], ["p99", "procpool", "1234", "1234", "1234", "µs"]);
        assert_eq!(lines[4][2..], ["p99", "tokio_spawn_blocking", "617", "617", "617", "µs", "2.00"]);
    }
}
