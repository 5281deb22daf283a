//! Expectations about a history: `linearizable = holds`, `stale_reads = 0`.

use super::measures::Measures;
use crate::check::found::Found;
use crate::check::linear::Judgement;
use crate::check::staleness::{Delta, Staleness};
use crate::history::log::Log;
use crate::scenario::MetricKind::{Count, Duration, Share, Verdict};
use crate::scenario::{Comparison, MetricKind, MetricSpec, Number};

/// Everything that was measured of a history.
pub(super) struct Measured<'a> {
    pub log: &'a Log,
    pub judgement: &'a Judgement,
    /// Only where something else than linearizability is asked for.
    pub measures: Option<&'a Measures>,
}

type Value = fn(&Measured<'_>) -> Option<Number>;

/// A metric of histories.
pub(super) struct Metric {
    pub spec: MetricSpec,
    pub value: Value,
}

const fn metric(name: &'static str, kind: MetricKind, value: Value, s: &'static str) -> Metric {
    Metric { spec: MetricSpec { name, kind, summary: s }, value }
}

/// The first of [`METRICS`] that needs more than the verdicts.
const MEASURED: usize = 4;
const VIOLATED_KEYS: &str = "violated_keys";
const DELTA: &str = "delta";
const HOLDS: Number = Number::Whole(0);
const VIOLATED: Number = Number::Whole(1);
const UNKNOWN: Number = Number::Whole(2);

/// All metrics, in the order in which they are listed and reported.
pub(super) static METRICS: &[Metric] = &[
    metric("linearizable", Verdict, is_linearizable, "one order explains every key"),
    metric("operations", Count, |m| whole(m.log.ops.len() as u64), "operations"),
    metric("keys", Count, |m| whole(m.judgement.keys as u64), "keys with operations"),
    metric(VIOLATED_KEYS, Count, |m| whole(m.judgement.violated.len() as u64), "keys violated"),
    metric("reads", Count, reads, "reads that returned"),
    metric("stale_reads", Count, stale_reads, "certainly stale reads"),
    metric("p_stale", Share, |m| real(stale(m)?.all.share()), "stale reads of all but never legal"),
    metric("p_stale_upper", Share, |m| real(stale(m)?.all.at_most()), "p_stale at 95 % confidence"),
    metric("p_stale_hits", Share, |m| real(stale(m)?.hits.share()), "stale hits of all hits"),
    metric("max_read_staleness", Duration, |m| quantile(m, 1.0), "the stalest read, at least"),
    metric("read_staleness_p50", Duration, |m| quantile(m, 0.5), "median over all reads"),
    metric("read_staleness_p99", Duration, |m| quantile(m, 0.99), "99 % were no staler"),
    metric("read_staleness_p999", Duration, |m| quantile(m, 0.999), "99.9 % were no staler"),
    metric("max_possible_staleness", Duration, possible, "the stalest that a read can have been"),
    metric("max_versions_behind", Count, behind, "the most writes that a read was behind"),
    metric(DELTA, Duration, |m| delta(m.measures?.delta), "smallest Delta"),
    metric("never_legal_reads", Count, never, "reads of what nobody wrote, or only later"),
    metric(
        "read_your_writes",
        Verdict,
        |m| holds(&m.measures?.sessions.read_your_writes),
        "clients see what they wrote",
    ),
    metric(
        "monotonic_reads",
        Verdict,
        |m| holds(&m.measures?.sessions.monotonic_reads),
        "clients never read backwards",
    ),
    metric(
        "monotonic_writes",
        Verdict,
        |m| holds(&m.measures?.sessions.monotonic_writes),
        "a client's writes are seen in their order",
    ),
    metric(
        "writes_follow_reads",
        Verdict,
        |m| holds(&m.measures?.sessions.writes_follow_reads),
        "who sees a write sees what its writer read",
    ),
    metric("lost_updates", Count, |m| count(&m.measures?.updates), "overwrote an unseen write"),
    metric("lost_writes", Count, |m| count(&m.measures?.durability), "acknowledged and gone"),
    metric("phantom_reads", Count, |m| count(&m.measures?.phantoms), "of what never committed"),
    metric("torn_views", Count, |m| count(&m.measures?.torn), "values never there at one time"),
    metric("stale_versions", Count, |m| count(&m.measures?.versions.backwards), "by version"),
    metric("version_disagreements", Count, disagreements, "intervals and versions disagree"),
];

fn stale<'a>(measured: &Measured<'a>) -> Option<&'a Staleness> {
    measured.measures.map(|measures| &measures.staleness)
}

fn whole(number: u64) -> Option<Number> {
    Some(Number::Whole(number))
}

fn real(number: Option<f64>) -> Option<Number> {
    number.map(Number::Real)
}

fn reads(measured: &Measured<'_>) -> Option<Number> {
    let staleness = stale(measured)?;
    whole(staleness.all.reads + staleness.never_legal)
}

/// Without a read nothing was tested.
fn stale_reads(measured: &Measured<'_>) -> Option<Number> {
    let all = stale(measured)?.all;
    (all.reads > 0).then_some(Number::Whole(all.stale))
}

fn quantile(measured: &Measured<'_>, share: f64) -> Option<Number> {
    stale(measured)?.quantile(share).map(Number::Whole)
}

fn possible(measured: &Measured<'_>) -> Option<Number> {
    stale(measured)?.at_most.last().copied().map(Number::Whole)
}

fn behind(measured: &Measured<'_>) -> Option<Number> {
    let staleness = stale(measured)?;
    (staleness.all.reads > 0).then_some(Number::Whole(staleness.versions_behind))
}

fn never(measured: &Measured<'_>) -> Option<Number> {
    let staleness = stale(measured)?;
    (reads(measured)? > Number::Whole(0)).then_some(Number::Whole(staleness.never_legal))
}

fn delta(delta: Delta) -> Option<Number> {
    match delta {
        Delta::Least(nanos) => whole(nanos),
        Delta::Infinite => real(Some(f64::INFINITY)),
        Delta::Undecided => None,
    }
}

fn disagreements(measured: &Measured<'_>) -> Option<Number> {
    let measures = measured.measures?;
    let tested = measures.versions.backwards.tested > 0;
    tested.then_some(Number::Whole(measures.disagreements.len() as u64))
}

fn holds(found: &Found) -> Option<Number> {
    found.holds().map(|holds| if holds { HOLDS } else { VIOLATED })
}

fn count(found: &Found) -> Option<Number> {
    (found.tested > 0).then_some(Number::Whole(found.count))
}

fn is_linearizable(measured: &Measured<'_>) -> Option<Number> {
    let judgement = measured.judgement;
    Some(match () {
        () if measured.log.ops.is_empty() => return None,
        () if !judgement.violated.is_empty() => VIOLATED,
        () if !judgement.unknown.is_empty() => UNKNOWN,
        () => HOLDS,
    })
}

/// What is expected of one metric.
#[derive(Clone)]
pub(super) struct Expectation {
    metric: usize,
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
    let metric = METRICS.iter().position(|metric| metric.spec.name == name).ok_or_else(|| {
        let names: Vec<&str> = METRICS.iter().map(|metric| metric.spec.name).collect();
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
    let comparison = Comparison::parse(&value, METRICS[metric].spec.kind)?;
    Ok(Expectation { metric, comparison, text: text.trim().to_owned() })
}

impl Expectation {
    /// Whether more than linearizability must be looked at.
    pub fn needs_measures(&self) -> bool {
        self.metric >= MEASURED
    }

    /// Compares with what was measured.
    pub fn judge(&self, measured: &Measured<'_>) -> Met {
        let metric = &METRICS[self.metric];
        let Some(value) = (metric.value)(measured) else {
            let delta = measured.measures.map(|measures| measures.delta);
            let undecided = metric.spec.name == DELTA && delta == Some(Delta::Undecided);
            return if undecided { Met::Unknown } else { Met::NotMeasured };
        };
        let met = self.comparison.holds(value);
        let undecided = match metric.spec.name {
            // Any of the undecided keys may be violated too.
            VIOLATED_KEYS => {
                let violated = measured.judgement.violated.len() as u64;
                (1..=measured.judgement.unknown.len() as u64)
                    .any(|more| self.comparison.holds(violated + more) != met)
            }
            _ => metric.spec.kind == MetricKind::Verdict && value == UNKNOWN && !met,
        };
        match met {
            _ if undecided => Met::Unknown,
            true => Met::Yes,
            false => Met::No,
        }
    }
}
