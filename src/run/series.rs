//! What a result keeps for its figures: curves, bands and rows, all of bounded size.
//!
//! Distributions are over all runs; what has a time axis, and the audit, is of one run: the
//! first with a bad entry, else the first.

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::measure::Measure;
use super::visibility::{Nines, VisibilityPoint};
use super::{Run, finding};
use crate::check::{States, reads};
use crate::history::record::History;
use crate::metric::Latency as Measured;
use crate::operation::{OpKind, Outcome};
use crate::seed::Seed;
use crate::time::Time;

/// Parts into which a run's time is divided.
const BUCKETS: u64 = 120;
/// Rows of the audit that are kept, bad ones first.
const AUDIT_ROWS_MAX: usize = 400;
/// Runs that are kept one by one.
const RUNS_MAX: usize = 200;
/// Points of the distribution of ages.
const CCDF_POINTS_MAX: u64 = 96;
const QUANTILES: [f64; 8] = [0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0];

/// Everything that figures are drawn from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// The run that has the time axis and the audit.
    pub shown: ShownRun,
    /// How old what reads returned was, over all runs: oldest last.
    pub staleness: Vec<AgePoint>,
    /// Latencies of hits, misses, reads and writes, over all runs.
    pub latencies: Vec<Latency>,
    /// Freshness by time since the last commit, over all runs.
    pub visibility: Vec<VisibilityPoint>,
    /// From when on reads are fresh with 90, 99, 99.9 %.
    pub nines: Vec<Nines>,
    /// The runs one by one, the first ones.
    pub runs: Vec<RunPoint>,
}

/// The run that is shown in detail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShownRun {
    /// Its seed.
    pub seed: u64,
    /// The length of a part of its time.
    pub bucket_nanos: u64,
    /// Its reads over time.
    pub over_time: Vec<Bucket>,
    /// When faults struck.
    pub faults: Vec<FaultBand>,
    /// Its audit, bad entries first.
    pub audit: Vec<AuditRow>,
    /// Entries of the audit that are not among them.
    pub audit_left_out: u64,
}

/// Reads that began in a part of a run's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    /// Reads that returned.
    pub reads: u64,
    /// Stale ones.
    pub stale: u64,
    /// The age of the stalest.
    pub age_nanos: u64,
    /// Keys whose entry differed from its row at some time; 0 where steps are not recorded.
    pub differing: u64,
}

/// A span of time in which a fault struck again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FaultBand {
    /// The fault, in words.
    pub fault: String,
    /// From here.
    pub from_nanos: u64,
    /// To here.
    pub until_nanos: u64,
    /// How often.
    pub struck: u64,
}

/// An entry at the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRow {
    /// The key.
    pub key: String,
    /// The node.
    pub node: u16,
    /// `match`, `stale`, ...
    pub class: String,
    /// The writer of the cached value.
    pub cached: Option<String>,
    /// The writer of the row.
    pub current: Option<String>,
    /// Commits by which the entry is behind.
    pub versions_behind: u64,
    /// For how long it has been wrong.
    pub age_nanos: Option<u64>,
    /// `never`, `300 s`, ...
    pub expires: Option<String>,
    /// The hazard.
    pub hazard: Option<String>,
    /// Where it came from, what superseded it, what became of the invalidation.
    pub provenance: Option<String>,
}

/// So many reads returned something at least so old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgePoint {
    /// The age.
    pub age_nanos: u64,
    /// Reads.
    pub reads: u64,
}

/// The distribution of a latency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// `hit`, `miss`, `read`, `write`.
    pub of: String,
    /// How many.
    pub count: u64,
    /// Nanoseconds at 0, 25, 50, 75, 90, 99, 99.9 and 100 %.
    pub nanos: Vec<u64>,
}

/// One run among several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunPoint {
    /// Its seed.
    pub seed: u64,
    /// Reads.
    pub reads: u64,
    /// Hits.
    pub hits: u64,
    /// Misses.
    pub misses: u64,
    /// Stale reads.
    pub stale: u64,
    /// Bad entries at the audit.
    pub bad_entries: u64,
}

impl RunPoint {
    fn of(seed: u64, measure: &Measure) -> RunPoint {
        RunPoint {
            seed,
            reads: measure.reads.reads,
            hits: measure.reads.hits,
            misses: measure.reads.misses,
            stale: measure.reads.stale,
            bad_entries: measure.bad_entries(),
        }
    }
}

/// The distributions over all runs, and the shown run.
pub(super) fn build(
    each: &[(u64, Measure)],
    whole: &Measure,
    visibility: &super::visibility::Visibility,
    shown: ShownRun,
) -> Series {
    let latency = |(of, which): (&str, Measured)| {
        let histogram = &whole.latencies[which as usize];
        Latency { of: of.to_owned(), count: histogram.len(), nanos: quantiles(histogram) }
    };
    Series {
        shown,
        staleness: ages(&whole.reads.ages),
        latencies: [
            ("hit", Measured::Hit),
            ("miss", Measured::Miss),
            ("read", Measured::Read),
            ("write", Measured::Write),
        ]
        .map(latency)
        .to_vec(),
        visibility: visibility.points(),
        nines: visibility.nines(),
        runs: each.iter().take(RUNS_MAX).map(|(seed, m)| RunPoint::of(*seed, m)).collect(),
    }
}

fn quantiles(histogram: &Histogram<u64>) -> Vec<u64> {
    match histogram.is_empty() {
        true => Vec::new(),
        false => QUANTILES.map(|share| histogram.value_at_quantile(share)).to_vec(),
    }
}

/// Points of the complementary distribution, dense where few reads are left.
fn ages(ages: &[u64]) -> Vec<AgePoint> {
    let mut ages = ages.to_vec();
    ages.sort_unstable();
    let mut points = Vec::new();
    let mut left = ages.len() as u64;
    while left > 0 {
        let age_nanos = ages[ages.len() - left as usize];
        points.push(AgePoint { age_nanos, reads: left });
        // A fixed part of what is left, at least one: a logarithmic scale has even steps then.
        left -= (left / (CCDF_POINTS_MAX / 8)).max(1);
    }
    points
}

/// The figures of one run that have a time axis, and its audit.
pub(super) fn shown_run(run: &Run, states: &States, seed: Seed, rules: &[String]) -> ShownRun {
    let history = &run.history;
    let end = history.phases.audit.nanos().max(1);
    let bucket_nanos = end.div_ceil(BUCKETS).max(1);
    let audit = audit(run, seed, rules);
    ShownRun {
        seed: seed.0,
        bucket_nanos,
        over_time: over_time(run, states, bucket_nanos, end),
        faults: bands(history, bucket_nanos, rules),
        audit_left_out: (run.entries.len() - audit.len()) as u64,
        audit,
    }
}

fn over_time(run: &Run, states: &States, length: u64, end: u64) -> Vec<Bucket> {
    let mut buckets = vec![Bucket::default(); end.div_ceil(length) as usize];
    let last = buckets.len() - 1;
    let place = |at: Time| ((at.nanos() / length) as usize).min(last);
    let ops = run.history.ops.iter();
    for op in ops.filter(|op| op.kind == OpKind::Read && op.outcome == Outcome::Ok) {
        let bucket = &mut buckets[place(op.start)];
        bucket.reads += 1;
        if let Some(age) = reads::age(op, states) {
            bucket.stale += 1;
            bucket.age_nanos = bucket.age_nanos.max(age);
        }
    }
    for interval in run.exposure.iter().flat_map(|exposure| &exposure.intervals) {
        let until = interval.until.unwrap_or(Time(end));
        for bucket in &mut buckets[place(interval.from)..=place(until)] {
            bucket.differing += 1;
        }
    }
    buckets
}

/// Strikes of a rule in neighbouring parts of the time are one band.
fn bands(history: &History, length: u64, rules: &[String]) -> Vec<FaultBand> {
    let mut bands: Vec<FaultBand> = Vec::new();
    for (number, rule) in rules.iter().enumerate() {
        let of_rule = history.faults.iter().filter(|fault| usize::from(fault.rule) == number);
        let mut open: Option<FaultBand> = None;
        for fault in of_rule {
            let from_nanos = fault.at.nanos() / length * length;
            let until = fault.until.filter(|until| *until != Time::NEVER).unwrap_or(fault.at);
            let until_nanos = until.nanos().max(from_nanos + length);
            match &mut open {
                Some(band) if from_nanos <= band.until_nanos + length => {
                    band.until_nanos = band.until_nanos.max(until_nanos);
                    band.struck += 1;
                }
                _ => {
                    let new = FaultBand { fault: rule.clone(), from_nanos, until_nanos, struck: 1 };
                    bands.extend(open.replace(new));
                }
            }
        }
        bands.extend(open);
    }
    bands
}

fn audit(run: &Run, seed: Seed, rules: &[String]) -> Vec<AuditRow> {
    let (bad, good): (Vec<_>, Vec<_>) = run.entries.iter().partition(|entry| entry.class.is_bad());
    let rows = bad.into_iter().chain(good).take(AUDIT_ROWS_MAX);
    rows.map(|entry| finding::row(&finding::describe(&run.history, seed, entry, rules))).collect()
}
