//! Axes: from values to places on a chart.

use std::fmt::Write;

use super::escape;
use crate::time::human;

pub(super) const WIDTH: f64 = 640.0;
pub(super) const HEIGHT: f64 = 230.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;

/// A scale from values to a share of an axis.
#[derive(Clone, Copy)]
pub(super) enum Scale {
    /// From 0 to the greatest value.
    Linear(f64),
    /// Powers of ten between two values.
    Log(f64, f64),
}

impl Scale {
    /// A logarithmic scale over these values, to whole powers of ten.
    pub fn log(values: impl Iterator<Item = f64>) -> Scale {
        let (mut low, mut high) = (f64::INFINITY, 0.0f64);
        for value in values.filter(|value| *value > 0.0) {
            low = low.min(value);
            high = high.max(value);
        }
        if high == 0.0 {
            return Scale::Log(0.0, 1.0);
        }
        let (low, high) = (low.log10().floor(), high.log10().ceil());
        Scale::Log(low, high.max(low + 1.0))
    }

    fn share(self, value: f64) -> f64 {
        let share = match self {
            Scale::Linear(greatest) => value / greatest.max(f64::MIN_POSITIVE),
            Scale::Log(low, high) => (value.max(f64::MIN_POSITIVE).log10() - low) / (high - low),
        };
        share.clamp(0.0, 1.0)
    }

    fn ticks(self) -> Vec<f64> {
        match self {
            Scale::Linear(greatest) => (0..=4).map(|n| greatest * f64::from(n) / 4.0).collect(),
            Scale::Log(low, high) => {
                let step = (((high - low) / 7.0).ceil() as i32).max(1);
                (low as i32..=high as i32).step_by(step as usize).map(|n| 10f64.powi(n)).collect()
            }
        }
    }
}

/// How values are written at an axis.
pub(super) type Unit = fn(f64) -> String;

/// Nanoseconds as a duration.
pub(super) fn duration(nanos: f64) -> String {
    human(nanos as u64)
}

/// A share as a percentage.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        0.0 => "0 %".to_owned(),
        p if p >= 9.95 && (p - p.round()).abs() < 0.05 => format!("{p:.0} %"),
        p if p >= 9.95 => format!("{p:.1} %"),
        p if p >= 0.95 => format!("{p:.1} %"),
        p => format!("{} %", format!("{p:.6}").trim_end_matches('0').trim_end_matches('.')),
    }
}

/// A plain number.
pub(super) fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.1}") }
}

/// A chart under construction.
pub(super) struct Plot {
    pub out: String,
    x: Scale,
    y: Scale,
}

impl Plot {
    /// Axes with their labels; `label` says in a sentence what is to be seen.
    pub fn new(label: &str, x: (Scale, Unit, &str), y: (Scale, Unit, &str)) -> Plot {
        let mut out = format!(
            "<svg class=\"chart\" role=\"img\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             aria-label=\"{}\">\n",
            escape(label)
        );
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for (place, tick) in y.0.ticks().into_iter().enumerate() {
            let at = Plot::down(y.0.share(tick));
            let minor = if place % 2 == 1 { " minor" } else { "" };
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick{minor}\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                at + 4.0,
                escape(&y.1(tick))
            );
        }
        let ticks = x.0.ticks();
        let last = ticks.len() - 1;
        for (place, tick) in ticks.into_iter().enumerate() {
            let anchor = if place == last { "end" } else { "middle" };
            let at = Plot::across(x.0.share(tick));
            let minor = if place % 2 == 1 { " minor" } else { "" };
            let _ = writeln!(
                out,
                "<text class=\"tick{minor}\" x=\"{at:.1}\" y=\"{}\" \
                 text-anchor=\"{anchor}\">{}</text>",
                bottom + 16.0,
                escape(&x.1(tick))
            );
        }
        let _ = writeln!(
            out,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
             <text class=\"tick\" x=\"{right}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <text class=\"tick\" x=\"{}\" y=\"{}\">{}</text>",
            HEIGHT - 6.0,
            escape(x.2),
            LEFT + 4.0,
            TOP + 2.0,
            escape(y.2)
        );
        Plot { out, x: x.0, y: y.0 }
    }

    fn across(share: f64) -> f64 {
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    fn down(share: f64) -> f64 {
        HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP - 8.0)
    }

    /// The place of a value across.
    pub fn x(&self, value: f64) -> f64 {
        Plot::across(self.x.share(value))
    }

    /// The place of a value upwards.
    pub fn y(&self, value: f64) -> f64 {
        Plot::down(self.y.share(value))
    }

    /// A bar from 0 to a value.
    pub fn bar(&mut self, class: &str, from: f64, to: f64, value: f64) {
        let (x, end, y) = (self.x(from), self.x(to), self.y(value));
        let height = HEIGHT - BOTTOM - y;
        if height > 0.0 {
            let width = (end - x - 0.6).max(0.6);
            let _ = writeln!(
                self.out,
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
                 height=\"{height:.1}\"/>"
            );
        }
    }

    /// A shaded band over the whole height, with a title.
    pub fn band(&mut self, from: f64, until: f64, title: &str) {
        let (x, end) = (self.x(from), self.x(until));
        let (top, bottom) = (Plot::down(1.0), HEIGHT - BOTTOM);
        let _ = writeln!(
            self.out,
            "<g><title>{}</title><rect class=\"band\" x=\"{x:.1}\" y=\"{top:.1}\" \
             width=\"{:.1}\" height=\"{:.1}\"/><line class=\"band-edge\" x1=\"{x:.1}\" \
             x2=\"{:.1}\" y1=\"{top:.1}\" y2=\"{top:.1}\"/></g>",
            escape(title),
            (end - x).max(1.5),
            bottom - top,
            end.max(x + 1.5)
        );
    }

    /// A line through points.
    pub fn curve(&mut self, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let mut path = String::new();
        for (x, y) in points {
            let verb = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{verb}{:.1} {:.1}", self.x(x), self.y(y));
        }
        let _ = writeln!(self.out, "<path class=\"{class}\" d=\"{path}\"/>");
    }

    /// A dot with a title.
    pub fn dot(&mut self, class: &str, x: f64, y: f64, title: &str) {
        let _ = writeln!(
            self.out,
            "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" \
             r=\"5\"><title>{}</title></circle>",
            self.x(x),
            self.y(y),
            escape(title)
        );
    }

    /// The finished chart.
    pub fn finish(mut self) -> String {
        self.out.push_str("</svg>\n");
        self.out
    }
}
