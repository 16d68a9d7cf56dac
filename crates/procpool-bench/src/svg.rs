//! The figures as a picture: a panel for each thing that was compared, a bar for each system, on a logarithmic scale.

use std::fmt::{self, Write};
use std::path::Path;

use crate::Error;
use crate::measurement::{Key, Measurement, System};
use crate::table::number;

// All in pixels.
const WIDTH: f64 = 960.0;
const MARGIN: f64 = 16.0;
/// Where bars begin: left of them are the names of the systems.
const LEFT: f64 = 210.0;
/// Where bars end at the latest: right of them are the figures.
const RIGHT: f64 = 740.0;
const BAR: f64 = 16.0;
const LINE: f64 = 22.0;
const TITLE: f64 = 34.0;
const AXIS: f64 = 30.0;

const OURS: &str = "#0b6e4f";
const LIMIT: &str = "#9a9a9a";
const OTHERS: &str = "#7a9cc6";

const STYLE: &str = "text { font: 13px sans-serif; fill: #222 } .title { font-weight: bold; font-size: 15px } \
                     .axis { font-size: 11px; fill: #666 } line { stroke: #ddd } .range { stroke: #222 }";

pub(crate) fn write(file: &Path, measurements: &[Measurement]) -> Result<(), Error> {
    std::fs::write(file, render(measurements)?).map_err(|error| format!("{}: {error}", file.display()).into())
}

fn render(measurements: &[Measurement]) -> Result<String, fmt::Error> {
    let panels = panels(measurements);
    let mut body = String::new();
    let mut top = MARGIN;
    for panel in &panels {
        top = draw(&mut body, panel, top)?;
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{top}\" viewBox=\"0 0 {WIDTH} {top}\">\n\
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
fn draw(svg: &mut String, panel: &[&Measurement], top: f64) -> Result<f64, fmt::Error> {
    let Key { workload, variant, metric, unit, .. } = panel[0].key;
    let scale = Scale::of(panel);
    let title =
        if metric == unit { format!("{workload} {variant}") } else { format!("{workload} {variant}, {metric}") };
    let title = escaped(&format!("{title} ({unit}; {})", better(metric)));
    writeln!(svg, "<text class=\"title\" x=\"{MARGIN}\" y=\"{:.1}\">{title}</text>", top + 18.0)?;
    let bars = top + TITLE;
    let bottom = bars + LINE * panel.len() as f64;
    for power in scale.from..=scale.to {
        let x = scale.x(10f64.powi(power));
        writeln!(svg, "<line x1=\"{x:.1}\" y1=\"{bars:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>")?;
        let label = number(10f64.powi(power));
        let y = bottom + 13.0;
        writeln!(svg, "<text class=\"axis\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{label}</text>")?;
    }
    for (index, measurement) in panel.iter().enumerate() {
        let y = bars + LINE * index as f64 + (LINE - BAR) / 2.0;
        let Measurement { key, median, min, max, .. } = measurement;
        let (end, low, high) = (scale.x(*median), scale.x(*min), scale.x(*max));
        let (base, middle, colour) = (y + BAR - 3.5, y + BAR / 2.0, colour(key.system));
        let name = escaped(key.system.name());
        writeln!(svg, "<text x=\"{:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{name}</text>", LEFT - 8.0)?;
        let width = end - LEFT;
        writeln!(svg, "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>")?;
        writeln!(
            svg,
            "<line class=\"range\" x1=\"{low:.1}\" y1=\"{middle:.1}\" x2=\"{high:.1}\" y2=\"{middle:.1}\"/>"
        )?;
        let figures = escaped(&format!("{} ({} to {})", number(*median), number(*min), number(*max)));
        writeln!(svg, "<text x=\"{:.1}\" y=\"{base:.1}\">{figures}</text>", high.max(end) + 6.0)?;
    }
    Ok(bottom + AXIS)
}

/// Powers of ten.
struct Scale {
    from: i32,
    to: i32,
}

impl Scale {
    fn of(panel: &[&Measurement]) -> Self {
        let values = || panel.iter().flat_map(|measurement| [measurement.min, measurement.max]).filter(|v| *v > 0.0);
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        if most == 0.0 {
            return Scale { from: 0, to: 1 };
        }
        let from = least.log10().floor() as i32;
        // The least is to be seen as a bar, too.
        let from = if least.log10() - f64::from(from) < 0.1 { from - 1 } else { from };
        Scale { from, to: (most.log10().ceil() as i32).max(from + 1) }
    }

    /// Nothing is where the axis begins.
    fn x(&self, value: f64) -> f64 {
        let place = if value > 0.0 { value.log10() } else { f64::NEG_INFINITY };
        let share = (place - f64::from(self.from)) / f64::from(self.to - self.from);
        LEFT + (RIGHT - LEFT) * share.clamp(0.0, 1.0)
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
        assert!(svg.contains("W1 spawned-mt, p50 (µs; less is better)") && svg.contains("6.00 (5.00 to 7.00)"));
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn bars_are_as_long_as_the_logarithm_of_the_figure() {
        let figures = [figure(System::Procpool, &[2.0]), figure(System::Limit, &[900.0])];
        let scale = Scale::of(&figures.iter().collect::<Vec<_>>());
        assert_eq!((scale.from, scale.to), (0, 3));
        assert_eq!((scale.x(1.0), scale.x(1000.0)), (LEFT, RIGHT));
        assert!((scale.x(100.0) - scale.x(10.0) - (scale.x(10.0) - LEFT)).abs() < 1e-9);
    }

    #[test]
    fn nothing_at_all_has_a_place_on_the_scale() {
        let figures = [figure(System::Procpool, &[0.0])];
        let scale = Scale::of(&figures.iter().collect::<Vec<_>>());
        assert_eq!(scale.x(0.0), LEFT);
        assert!(render(&figures).unwrap().contains("width=\"0.0\""));
    }
}
