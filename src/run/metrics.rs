//! The metrics that scenarios may name, in one table.

use super::measure::{HIT, MISS, Measure, READ, WRITE};
use crate::check::audit::Class;
use crate::scenario::MetricKind::{self, Count, Duration, Ratio, Share, Verdict};
use crate::scenario::{MetricSpec, Number};

type Value = fn(&Measure) -> Option<Number>;

/// A metric and how it is computed; `None` means that it was not measured.
pub(crate) struct Metric {
    pub spec: MetricSpec,
    pub value: Value,
    /// It says how long something lasted, and so needs a cache whose clock is virtual.
    pub needs_time: bool,
}

/// The metric that says whether the claim stands; computed from `broken-if`.
pub const CLAIM: &str = "claim";

const fn metric(name: &'static str, kind: MetricKind, value: Value, s: &'static str) -> Metric {
    Metric { spec: MetricSpec { name, kind, summary: s }, value, needs_time: false }
}

const fn timed(name: &'static str, kind: MetricKind, value: Value, s: &'static str) -> Metric {
    Metric { spec: MetricSpec { name, kind, summary: s }, value, needs_time: true }
}

fn count(number: u64) -> Option<Number> {
    Some(Number::Whole(number))
}

fn ratio(part: u64, whole: u64) -> Option<Number> {
    (whole > 0).then(|| Number::Real(part as f64 / whole as f64))
}

fn quantile(measure: &Measure, which: usize, quantile: f64) -> Option<Number> {
    let histogram = &measure.latencies[which];
    (!histogram.is_empty()).then(|| Number::Whole(histogram.value_at_quantile(quantile)))
}

fn age(measure: &Measure, quantile: f64) -> Option<Number> {
    let mut ages = measure.reads.ages.clone();
    ages.sort_unstable();
    // Over all reads: those that were not stale have age 0.
    let rank = (quantile * measure.reads.reads as f64) as u64;
    let fresh = measure.reads.reads - ages.len() as u64;
    match rank.checked_sub(fresh) {
        None => count(0),
        Some(place) => count(ages.get(place as usize).or(ages.last()).copied().unwrap_or(0)),
    }
}

macro_rules! entries {
    ($name:literal, $class:ident, $summary:literal) => {
        metric($name, Count, |m| count(m.entries(Class::$class)), $summary)
    };
}

/// All metrics, in the order in which they are listed and reported.
pub(crate) static METRICS: &[Metric] = &[
    metric(CLAIM, Verdict, |_| None, "whether the claim stands (see `broken-if`)"),
    metric("bad_entries", Count, |m| count(m.bad_entries()), "entries wrong at the audit"),
    entries!("stale_entries", Stale, "entries older than their row at the audit"),
    entries!("ahead_entries", Ahead, "entries that no commit ever made"),
    entries!("ghost_entries", Ghost, "entries of rows that were deleted"),
    entries!("negative_stale_entries", NegativeStale, "`no such row` cached, though there is one"),
    entries!("diverged_entries", Diverged, "entries of the right write with other data"),
    entries!("wrong_key_entries", WrongKey, "entries of another key"),
    entries!("undecodable_entries", Undecodable, "entries that are not rows"),
    entries!("unreachable_entries", Unreachable, "entries whose node did not answer"),
    entries!("matching_entries", Match, "entries that agree with their row"),
    entries!("absent_entries", Absent, "rows without an entry"),
    metric("permanent_entries", Count, |m| count(m.permanent), "bad entries that never expire"),
    metric(
        "max_entry_staleness",
        Duration,
        |m| count(m.entry_age_nanos),
        "for how long the oldest bad entry has been wrong at the audit",
    ),
    metric(
        "max_staleness",
        Duration,
        |m| count(m.reads.ages.iter().copied().max().unwrap_or(0).max(m.entry_age_nanos)),
        "the longer of `max_read_staleness` and `max_entry_staleness`",
    ),
    timed(
        "max_exposure",
        Duration,
        |m| m.exposure.and_then(|e| count(e.1)),
        "the longest that an entry under its row's own key differed from the row, read or not",
    ),
    timed(
        "total_exposure",
        Duration,
        |m| m.exposure.and_then(|e| count(e.0)),
        "the sum of all such times, over keys",
    ),
    metric("reads", Count, |m| count(m.reads.reads), "reads that returned"),
    metric("writes", Count, |m| count(m.writes), "writes that were begun"),
    metric("hits", Count, |m| count(m.reads.hits), "reads served by the cache"),
    metric("misses", Count, |m| count(m.reads.misses), "reads that asked the cache in vain"),
    metric(
        "hit_ratio",
        Share,
        |m| ratio(m.reads.hits, m.reads.hits + m.reads.misses),
        "hits of hits and misses",
    ),
    metric("stale_reads", Count, |m| count(m.reads.stale), "reads of superseded values"),
    metric("p_stale", Share, |m| ratio(m.reads.stale, m.reads.reads), "stale reads of all reads"),
    metric(
        "p_stale_hits",
        Share,
        |m| ratio(m.reads.stale_hits, m.reads.hits),
        "stale hits of all hits",
    ),
    metric(
        "max_read_staleness",
        Duration,
        |m| count(m.reads.ages.iter().copied().max().unwrap_or(0)),
        "the age of the stalest read: from the superseding commit to the read's start",
    ),
    metric("read_staleness_p50", Duration, |m| age(m, 0.5), "median age over all reads"),
    metric("read_staleness_p99", Duration, |m| age(m, 0.99), "99 % of all reads were no staler"),
    metric(
        "max_versions_behind",
        Count,
        |m| count(m.reads.versions_behind),
        "the most commits that a read was behind",
    ),
    metric("ahead_reads", Count, |m| count(m.reads.ahead), "reads of values committed later"),
    metric("phantom_reads", Count, |m| count(m.reads.phantom), "reads of values never committed"),
    metric("wrong_reads", Count, |m| count(m.reads.wrong), "reads that returned another row"),
    metric(
        "db_reads_per_read",
        Ratio,
        |m| ratio(m.selects, m.reads.reads),
        "selects of the database per read of the application",
    ),
    metric(
        "read_round_trips",
        Ratio,
        |m| ratio(m.read_steps, m.latencies[READ].len()),
        "steps per read",
    ),
    metric("write_round_trips", Ratio, |m| ratio(m.write_steps, m.writes), "steps per write"),
    metric(
        "misreported_failures",
        Count,
        |m| count(m.misreported),
        "writes reported as failed although the database had changed",
    ),
    metric(
        "lost_writes",
        Count,
        |m| count(m.lost_writes),
        "acknowledged writes that never reached the database",
    ),
    metric(
        "lost_updates",
        Count,
        |m| count(m.lost_updates),
        "read-modify-writes that overwrote a write they had not seen",
    ),
    metric("failed_ops", Count, |m| count(m.failed), "operations that failed without effect"),
    metric("unknown_ops", Count, |m| count(m.unknown), "operations whose outcome is unknown"),
    metric("panics", Count, |m| count(m.panics), "operations in which the pattern panicked"),
    metric("faults_struck", Count, |m| count(m.strikes.iter().sum()), "faults that struck"),
    metric("hit_latency_p50", Duration, |m| quantile(m, HIT, 0.5), "median latency of hits"),
    metric("hit_latency_p99", Duration, |m| quantile(m, HIT, 0.99), "99th percentile of hits"),
    metric("miss_latency_p50", Duration, |m| quantile(m, MISS, 0.5), "median latency of misses"),
    metric("miss_latency_p99", Duration, |m| quantile(m, MISS, 0.99), "99th percentile of misses"),
    metric("read_latency_p50", Duration, |m| quantile(m, READ, 0.5), "median latency of reads"),
    metric("read_latency_p99", Duration, |m| quantile(m, READ, 0.99), "99th percentile of reads"),
    metric("write_latency_p50", Duration, |m| quantile(m, WRITE, 0.5), "median latency of writes"),
    metric(
        "write_latency_p99",
        Duration,
        |m| quantile(m, WRITE, 0.99),
        "99th percentile of writes",
    ),
];

/// What scenarios may name.
pub fn specs() -> Vec<MetricSpec> {
    METRICS.iter().map(|metric| metric.spec).collect()
}

/// What kind of value stands under this name in a result: a metric's, or, for a hazard among
/// accepted findings, how long its longest finding lasted.
pub(crate) fn kind(name: &str) -> Option<MetricKind> {
    let metric = find(name).map(|metric| metric.spec.kind);
    metric.or_else(|| crate::hazard::find(name).map(|_| Duration))
}

/// The metric of this name.
pub(crate) fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.spec.name == name)
}
