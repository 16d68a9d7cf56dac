//! The figures as a picture: a section for each workload, a panel for each thing that was compared, a bar for each
//! system, on a logarithmic scale.

use std::fmt::{self, Write};
use std::path::Path;

use crate::Error;
use crate::measurement::{Key, Measurement, System};
use crate::workloads;

// All in pixels.
const MARGIN: f64 = 16.0;
/// Panels stand side by side.
const COLUMNS: usize = 2;
const COLUMN: f64 = 620.0;
/// From a panel's left to where bars begin: before them are the names of the systems.
const LEFT: f64 = 190.0;
/// To where bars end at the latest: behind them are the figures.
const RIGHT: f64 = 420.0;
const BAR: f64 = 16.0;
const LINE: f64 = 22.0;
const HEADING: f64 = 40.0;
const TITLE: f64 = 30.0;
const AXIS: f64 = 34.0;

const OURS: &str = "#0b6e4f";
const LIMIT: &str = "#9a9a9a";
const OTHERS: &str = "#7a9cc6";

const STYLE: &str = "text { font: 13px sans-serif; fill: #222 } .heading { font-weight: bold; font-size: 18px } \
                     .title { font-weight: bold } .axis { font-size: 11px; fill: #666 } line { stroke: #ddd } \
                     .range { stroke: #222 }";

pub(crate) fn write(file: &Path, measurements: &[Measurement]) -> Result<(), Error> {
    std::fs::write(file, render(measurements)?).map_err(|error| format!("{}: {error}", file.display()).into())
}

fn render(measurements: &[Measurement]) -> Result<String, fmt::Error> {
    let mut body = String::new();
    let mut top = MARGIN;
    for section in panels(measurements).chunk_by(|one, other| one[0].key.workload == other[0].key.workload) {
        let name = section[0][0].key.workload;
        let (y, heading) = (top + 24.0, escaped(&format!("{name}: {}", workloads::subject(name))));
        writeln!(body, "<text class=\"heading\" x=\"{MARGIN}\" y=\"{y:.1}\">{heading}</text>")?;
        top += HEADING;
        for row in section.chunks(COLUMNS) {
            let mut bottom = top;
            let mut left = MARGIN;
            for panel in row {
                bottom = draw(&mut body, panel, left, top)?.max(bottom);
                left += COLUMN;
            }
            top = bottom;
        }
    }
    let width = MARGIN + COLUMN * COLUMNS as f64;
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{top}\" viewBox=\"0 0 {width} {top}\">\n\
         <style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    ))
}

/// What compares with each other, in the order of the workloads' names.
fn panels(measurements: &[Measurement]) -> Vec<Vec<&Measurement>> {
    let mut panels: Vec<Vec<&Measurement>> = Vec::new();
    for measurement in measurements {
        match panels.iter_mut().find(|panel| panel[0].key.compares_with(&measurement.key)) {
            Some(panel) => panel.push(measurement),
            None => panels.push(vec![measurement]),
        }
    }
    panels.sort_by_key(|panel| panel[0].key.workload);
    panels
}

/// Gives the top of what comes below.
fn draw(svg: &mut String, panel: &[&Measurement], left: f64, top: f64) -> Result<f64, fmt::Error> {
    let Key { variant, metric, unit, .. } = panel[0].key;
    let scale = Scale::of(panel, left);
    let title = if metric == unit { variant.to_owned() } else { format!("{variant}, {metric}") };
    let title = escaped(&format!("{title} ({unit}; {})", better(metric)));
    writeln!(svg, "<text class=\"title\" x=\"{left:.1}\" y=\"{:.1}\">{title}</text>", top + 18.0)?;
    let bars = top + TITLE;
    let bottom = bars + LINE * panel.len() as f64;
    // Few enough labels to be read.
    let step = ((scale.to - scale.from) / 6 + 1) as usize;
    for power in (scale.from..=scale.to).step_by(step) {
        let x = scale.x(10f64.powi(power));
        writeln!(svg, "<line x1=\"{x:.1}\" y1=\"{bars:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>")?;
        let (label, y) = (short(10f64.powi(power)), bottom + 13.0);
        writeln!(svg, "<text class=\"axis\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{label}</text>")?;
    }
    for (index, measurement) in panel.iter().enumerate() {
        let y = bars + LINE * index as f64 + (LINE - BAR) / 2.0;
        let Measurement { key, median, min, max, .. } = measurement;
        let (start, end, low, high) = (left + LEFT, scale.x(*median), scale.x(*min), scale.x(*max));
        let (base, middle, colour) = (y + BAR - 3.5, y + BAR / 2.0, colour(key.system));
        let name = escaped(key.system.name());
        writeln!(svg, "<text x=\"{:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{name}</text>", start - 8.0)?;
        let width = end - start;
        writeln!(svg, "<rect x=\"{start:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>")?;
        writeln!(
            svg,
            "<line class=\"range\" x1=\"{low:.1}\" y1=\"{middle:.1}\" x2=\"{high:.1}\" y2=\"{middle:.1}\"/>"
        )?;
        let figures = escaped(&format!("{} ({} to {})", short(*median), short(*min), short(*max)));
        writeln!(svg, "<text x=\"{:.1}\" y=\"{base:.1}\">{figures}</text>", high.max(end) + 6.0)?;
    }
    Ok(bottom + AXIS)
}

/// Three digits that matter, and no more than a label has room for.
fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        value if value >= 1e6 => (value / 1e6, " M"),
        value if value >= 1e4 => (value / 1e3, " k"),
        value => (value, ""),
    };
    let digits = match scaled {
        0.0 | 100.0.. => 0,
        10.0..100.0 => 1,
        1.0..10.0 => 2,
        _ => 4,
    };
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// Powers of ten.
struct Scale {
    left: f64,
    from: i32,
    to: i32,
}

impl Scale {
    fn of(panel: &[&Measurement], left: f64) -> Self {
        let values = || panel.iter().flat_map(|measurement| [measurement.min, measurement.max]).filter(|v| *v > 0.0);
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        if most == 0.0 {
            return Scale { left, from: 0, to: 1 };
        }
        let from = least.log10().floor() as i32;
        // The least is to be seen as a bar, too.
        let from = if least.log10() - f64::from(from) < 0.1 { from - 1 } else { from };
        Scale { left, from, to: (most.log10().ceil() as i32).max(from + 1) }
    }

    /// Nothing is where the axis begins.
    fn x(&self, value: f64) -> f64 {
        let place = if value > 0.0 { value.log10() } else { f64::NEG_INFINITY };
        let share = (place - f64::from(self.from)) / f64::from(self.to - self.from);
        self.left + LEFT + (RIGHT - LEFT) * share.clamp(0.0, 1.0)
    }
}

fn better(metric: &str) -> &'static str {
    if metric.ends_with("per_second") && metric != "wakeups_per_second" { "more is better" } else { "less is better" }
}

fn colour(system: System) -> &'static str {
    match system {
        System::Procpool | System::WithoutTimings => OURS,
        System::Limit | System::LimitSpinning | System::AsyncChannel => LIMIT,
        _ => OTHERS,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(system: System, values: &[f64]) -> Measurement {
        let key = Key { workload: "W1", variant: "spawned-mt", system, metric: "p50", unit: "µs" };
        Measurement::of(key, values).unwrap()
    }

    #[test]
    fn each_thing_compared_is_one_panel_with_a_bar_for_each_system() {
        let figures = [figure(System::Procpool, &[5.0, 6.0, 7.0]), figure(System::Limit, &[0.15])];
        assert_eq!(panels(&figures).len(), 1);
        let svg = render(&figures).unwrap();
        assert_eq!(svg.matches("<rect x=").count(), 2);
        assert_eq!(svg.matches("class=\"title\"").count(), 1);
        assert!(svg.contains(">spawned-mt, p50 (µs; less is better)<") && svg.contains(">6 (5 to 7)<"));
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn bars_are_as_long_as_the_logarithm_of_the_figure() {
        let figures = [figure(System::Procpool, &[2.0]), figure(System::Limit, &[900.0])];
        let scale = Scale::of(&figures.iter().collect::<Vec<_>>(), 0.0);
        assert_eq!((scale.from, scale.to), (0, 3));
        assert_eq!((scale.x(1.0), scale.x(1000.0)), (LEFT, RIGHT));
        assert!((scale.x(100.0) - scale.x(10.0) - (scale.x(10.0) - LEFT)).abs() < 1e-9);
    }

    #[test]
    fn figures_are_short() {
        let short = [12_440_544.0, 85_312.0, 1309.2, 48.27, 6.0, 0.121, 0.0].map(short);
        assert_eq!(short, ["12.4 M", "85.3 k", "1309", "48.3", "6", "0.121", "0"]);
    }

    #[test]
    fn nothing_at_all_has_a_place_on_the_scale() {
        let figures = [figure(System::Procpool, &[0.0])];
        let scale = Scale::of(&figures.iter().collect::<Vec<_>>(), 0.0);
        assert_eq!(scale.x(0.0), LEFT);
        assert!(render(&figures).unwrap().contains("width=\"0.0\""));
    }
}
