//! All metrics: what `run`, `check` and `load` tell of, in one table.
//!
//! - [`METRICS`]: each metric with its kind, its formula, and what each [`Source`] says of it;
//! - [`Evidence`]: the quantities that formulas are made of. Each source of metrics implements it
//!   once; what it has not measured is `None`, and so is every metric that needs it.
//!
//! Shares, averages and quantiles are computed here and nowhere else.

mod evidence;
mod formula;
mod table;

pub use evidence::{Ages, Evidence, Latency, Property, Quantity, Rank, Verdict};
pub use table::METRICS;

use crate::scenario::{MetricKind, MetricSpec, Number};

/// Who tells metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The runs of a scenario, by everything that was recorded.
    Run,
    /// A history, by its intervals.
    Check,
    /// A load on real servers.
    Load,
}

/// What must be there so that a source can tell a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing more.
    Nothing,
    /// A cache whose clock is virtual, since it says how long something lasted.
    VirtualTime,
    /// Measures, which are only taken of a history when somebody asks for them.
    Measures,
}

/// What a source says of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// One line for users; for a load, where in its result the metric stands (a JSON pointer).
    pub summary: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// Metrics of a higher place are listed after all of a lower one; those of one place in the
    /// order of the table.
    place: u8,
}

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it can be compared with.
    pub kind: MetricKind,
    /// How it is computed; `None` means that it was not measured.
    pub value: fn(&dyn Evidence) -> Option<Number>,
    /// Whether results leave it out where it is 0.
    pub unless_zero: bool,
    /// Where sources mean different things by this name: what each of them means.
    pub to_be_renamed: Option<&'static str>,
    told: [Option<Told>; 3],
}

impl Metric {
    /// What a source says of it; `None` where it does not tell it.
    pub fn told(&self, source: Source) -> Option<&Told> {
        self.told[source as usize].as_ref()
    }

    /// What a scenario or an expectation needs to know of it.
    pub fn spec(&self, source: Source) -> MetricSpec {
        let summary = self.told(source).map_or("", |told| told.summary);
        MetricSpec { name: self.name, kind: self.kind, summary }
    }

    /// Whether a result shows this value.
    pub fn shows(&self, value: Option<f64>) -> bool {
        !self.unless_zero || value != Some(0.0)
    }

    /// Whether a source needs something to tell it.
    pub fn needs(&self, source: Source, what: Needs) -> bool {
        self.told(source).is_some_and(|told| told.needs == what)
    }
}

/// The metrics of a source, in the order in which they are listed and reported.
pub fn of(source: Source) -> Vec<&'static Metric> {
    let mut metrics: Vec<&Metric> =
        METRICS.iter().filter(|metric| metric.told(source).is_some()).collect();
    metrics.sort_by_key(|metric| metric.told(source).map(|told| told.place));
    metrics
}

/// The metric of this name that a source tells.
pub fn find(source: Source, name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name && metric.told(source).is_some())
}

#[cfg(test)]
mod tests;
