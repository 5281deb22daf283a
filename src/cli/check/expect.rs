//! Expectations about a history: `linearizable = holds`, `stale_reads = 0`.

use super::evidence::Measured;
use crate::check::staleness::Delta;
use crate::metric::{self, Metric, Needs, Source, Verdict};
use crate::scenario::{Comparison, MetricKind, Number};

const VIOLATED_KEYS: &str = "violated_keys";
const DELTA: &str = "delta";
const UNKNOWN: Number = Number::Whole(Verdict::Unknown as u64);

/// What is expected of one metric.
#[derive(Clone)]
pub(super) struct Expectation {
    metric: &'static Metric,
    comparison: Comparison,
    /// As it was written.
    pub text: String,
}

/// Whether an expectation was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    Yes,
    No,
    /// The verdict is unknown, since a limit was reached.
    Unknown,
    /// The history does not tell.
    NotMeasured,
}

/// What is expected if nothing else is.
pub(super) fn linearizable() -> Expectation {
    parse("linearizable = holds").expect("this is well-formed")
}

/// Reads `METRIC = VALUE`, `METRIC <= VALUE` and so on.
pub(super) fn parse(text: &str) -> Result<Expectation, String> {
    let split = text.find(['=', '<', '>', '!']);
    let split = split.ok_or("write a metric and what it must be, such as `stale_reads = 0`")?;
    let (name, wanted) = (text[..split].trim(), text[split..].trim());
    for (wrong, right) in [("=<", "<="), ("=>", ">=")] {
        if wanted.starts_with(wrong) {
            return Err(format!("`{wrong}` compares nothing; write `{name} {right} ...`"));
        }
    }
    let metric = metric::find(Source::Check, name).ok_or_else(|| {
        let names: Vec<&str> = metric::of(Source::Check).iter().map(|metric| metric.name).collect();
        format!("there is no metric `{name}`; there are {}", names.join(", "))
    })?;
    let value = match wanted.strip_prefix('=') {
        Some(value) if !value.starts_with('=') => value.trim(),
        _ => wanted,
    };
    let value = value.trim_matches(['"', '\'']);
    let value = match value {
        "true" => toml::Value::Boolean(true),
        "false" => toml::Value::Boolean(false),
        text => toml::Value::String(text.to_owned()),
    };
    let comparison = Comparison::parse(&value, metric.kind)?;
    Ok(Expectation { metric, comparison, text: text.trim().to_owned() })
}

impl Expectation {
    /// Whether more than linearizability must be looked at.
    pub fn needs_measures(&self) -> bool {
        self.metric.needs(Source::Check, Needs::Measures)
    }

    /// Compares with what was measured.
    pub fn judge(&self, measured: &Measured<'_>) -> Met {
        let metric = self.metric;
        let Some(value) = (metric.value)(measured) else {
            let delta = measured.measures.map(|measures| measures.delta);
            let undecided = metric.name == DELTA && delta == Some(Delta::Undecided);
            return if undecided { Met::Unknown } else { Met::NotMeasured };
        };
        let met = self.comparison.holds(value);
        let undecided = match metric.name {
            // Any of the undecided keys may be violated too.
            VIOLATED_KEYS => {
                let violated = measured.judgement.violated.len() as u64;
                (1..=measured.judgement.unknown.len() as u64)
                    .any(|more| self.comparison.holds(violated + more) != met)
            }
            _ => metric.kind == MetricKind::Verdict && value == UNKNOWN && !met,
        };
        match met {
            _ if undecided => Met::Unknown,
            true => Met::Yes,
            false => Met::No,
        }
    }
}
