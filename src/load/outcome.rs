//! What a load measured, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::Options;
use super::audit::Entries;
use super::evidence::Measured;
use super::tally::{TIMED, Tally};
use crate::metric::{self, Source};
use crate::scenario::{Number, Scenario};
use crate::time::human;

/// The version of the JSON.
const FORMAT: u32 = 1;

/// A distribution of latencies, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// The median.
    pub p50: u64,
    /// 99 of 100 were at most this.
    pub p99: u64,
    /// 999 of 1000 were at most this.
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Latency {
        Latency {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }
}

/// How stale stale reads were when they began: for each the interval that is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staleness {
    /// At least this.
    pub least: Latency,
    /// At most this.
    pub most: Latency,
}

/// A fault and how it fared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Struck {
    /// The fault.
    pub fault: String,
    /// Where it strikes: `wire` or `server`.
    pub level: String,
    /// How often it struck.
    pub struck: u64,
    /// How one knows: the last evidence of it.
    pub witness: String,
}

impl Struck {
    pub(super) fn new(fault: String, level: &str, struck: u64, witness: &str) -> Struck {
        Struck { fault, level: level.to_owned(), struck, witness: witness.to_owned() }
    }
}

/// What a load measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The version of this format.
    pub format: u32,
    /// The claim of the scenario.
    pub claim: String,
    /// The pattern.
    pub pattern: String,
    /// The cache.
    pub cache: String,
    /// The database.
    pub database: String,
    /// Clients.
    pub clients: u32,
    /// Operations per second that were asked for, where they were.
    pub rate_asked: Option<f64>,
    /// How long was measured, in nanoseconds.
    pub elapsed_nanos: u64,
    /// Whether it was stopped early.
    pub interrupted: bool,
    /// What went wrong in the middle; what is here was measured before.
    pub problem: Option<String>,
    /// Operations of the warm-up, which are not in the numbers below.
    pub warm_up_operations: u64,
    /// Operations.
    pub operations: u64,
    /// Operations per second.
    pub operations_per_second: f64,
    /// Reads that returned.
    pub reads: u64,
    /// Reads that the cache served.
    pub hits: u64,
    /// Their share of the reads that asked the cache.
    pub hit_ratio: Option<f64>,
    /// Writes that were carried out.
    pub writes: u64,
    /// Operations that failed, and certainly had no effect.
    pub failed: u64,
    /// Operations that failed, and may have had one.
    pub unknown: u64,
    /// Operations whose pattern panicked.
    pub panics: u64,
    /// Operations done again, since their transaction was rolled back for another's sake.
    #[serde(default)]
    pub retried: u64,
    /// Operations in the history that was asked for, those of the warm-up among them.
    #[serde(default)]
    pub recorded: Option<u64>,
    /// Reads whose value named its version, so that it can be judged.
    pub judged: u64,
    /// Reads that were stale for certain.
    pub stale: u64,
    /// Their share of the judged reads.
    pub p_stale: Option<f64>,
    /// Their share of the hits.
    pub p_stale_hits: Option<f64>,
    /// The most versions that a read was behind.
    pub versions_behind: u64,
    /// How stale they were.
    pub staleness: Option<Staleness>,
    /// Reads that returned another row.
    pub wrong_rows: u64,
    /// Reads older than an earlier read of the same client.
    pub went_back: u64,
    /// Reads that missed a write of their own client.
    pub missed_own_writes: u64,
    /// Latencies: hit, miss, direct read, write; and of single steps: cache step, select.
    pub latencies: BTreeMap<String, Latency>,
    /// The audit.
    pub entries: Entries,
    /// Items that the servers evicted since they were started.
    pub evictions: u64,
    /// What went wrong on purpose.
    pub faults: Vec<Struck>,
    /// What the scenario wants and this load did not do.
    pub not_tested: Vec<String>,
    #[serde(skip)]
    sum: Option<Box<Tally>>,
}

impl Outcome {
    pub(super) fn new(
        scenario: &Scenario,
        options: &Options,
        elapsed: Duration,
        (cache, database): (String, String),
    ) -> Outcome {
        Outcome {
            format: FORMAT,
            claim: scenario.claim.clone(),
            pattern: scenario.pattern.clone(),
            cache,
            database,
            clients: options.clients,
            rate_asked: options.rate,
            elapsed_nanos: elapsed.as_nanos() as u64,
            interrupted: false,
            problem: None,
            warm_up_operations: 0,
            operations: 0,
            operations_per_second: 0.0,
            reads: 0,
            hits: 0,
            hit_ratio: None,
            writes: 0,
            failed: 0,
            unknown: 0,
            panics: 0,
            retried: 0,
            recorded: None,
            judged: 0,
            stale: 0,
            p_stale: None,
            p_stale_hits: None,
            versions_behind: 0,
            staleness: None,
            wrong_rows: 0,
            went_back: 0,
            missed_own_writes: 0,
            latencies: BTreeMap::new(),
            entries: Entries::default(),
            evictions: 0,
            faults: Vec::new(),
            not_tested: Vec::new(),
            sum: Some(Box::new(Tally::new())),
        }
    }

    /// Adds what a thread measured.
    pub(super) fn take(&mut self, tally: &Tally) {
        if let Some(sum) = &mut self.sum {
            sum.add(tally);
        }
    }

    /// Adds to what went wrong.
    pub(super) fn note(&mut self, problem: &str) {
        self.problem = Some(match self.problem.take() {
            Some(first) => format!("{first}; {problem}"),
            None => problem.to_owned(),
        });
    }

    /// Works out the ratios; nothing is added after.
    pub(super) fn close(&mut self) {
        let Some(sum) = self.sum.take() else { return };
        if self.entries.unreachable > 0 {
            let (lost, rows) = (self.entries.unreachable, self.entries.rows);
            self.note(&format!(
                "{lost} of {rows} entries could not be asked for at the audit; is the cache \
                 still running?"
            ));
        }
        let (entries, elapsed_nanos) = (&self.entries, self.elapsed_nanos);
        let measured = Measured { tally: &sum, entries, elapsed_nanos };
        let value = |name| (metric::find(Source::Load, name)?.value)(&measured).map(Number::as_f64);
        self.operations_per_second = value("operations_per_second").unwrap_or(0.0);
        self.hit_ratio = value("hit_ratio");
        self.p_stale = value("p_stale");
        self.p_stale_hits = value("p_stale_hits");
        self.operations = sum.operations;
        self.reads = sum.reads;
        self.hits = sum.hits;
        self.writes = sum.writes;
        self.failed = sum.failed;
        self.unknown = sum.unknown;
        self.panics = sum.panics;
        self.retried = sum.retried;
        self.judged = sum.judged;
        self.stale = sum.stale;
        self.versions_behind = sum.versions_behind;
        self.wrong_rows = sum.wrong;
        self.went_back = sum.went_back;
        self.missed_own_writes = sum.missed_own;
        self.staleness = (!sum.least.is_empty())
            .then(|| Staleness { least: Latency::of(&sum.least), most: Latency::of(&sum.most) });
        for (timed, name) in TIMED {
            let histogram = sum.latencies(timed);
            if !histogram.is_empty() {
                self.latencies.insert(name.to_owned(), Latency::of(histogram));
            }
        }
    }
}

fn ratio(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.4}"))
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} under load: {}", self.pattern, self.claim)?;
        let asked = self.rate_asked.map(|rate| format!(", asked for {rate} operations/s"));
        writeln!(
            f,
            "  {} · {} · {} clients{} · {}",
            self.cache,
            self.database,
            self.clients,
            asked.unwrap_or_default(),
            human(self.elapsed_nanos),
        )?;
        writeln!(
            f,
            "  operations {} ({:.0}/s)  reads {}  writes {}  failed {}  unknown {}",
            self.operations,
            self.operations_per_second,
            self.reads,
            self.writes,
            self.failed,
            self.unknown
        )?;
        writeln!(
            f,
            "  hit_ratio {}  stale reads {}  p_stale {}  p_stale_hits {}  versions_behind {}",
            ratio(self.hit_ratio),
            self.stale,
            ratio(self.p_stale),
            ratio(self.p_stale_hits),
            self.versions_behind
        )?;
        if self.judged < self.reads {
            let rest = self.reads - self.judged;
            writeln!(f, "  not judged: {rest} reads whose value names no version, or no row")?;
        }
        if let Some(staleness) = &self.staleness {
            writeln!(
                f,
                "  staleness  p50 {} to {}  p99 {} to {}  max {} to {}",
                human(staleness.least.p50),
                human(staleness.most.p50),
                human(staleness.least.p99),
                human(staleness.most.p99),
                human(staleness.least.max),
                human(staleness.most.max)
            )?;
        }
        writeln!(
            f,
            "  of one client: went back {}, missed its own write {}, got another row {}",
            self.went_back, self.missed_own_writes, self.wrong_rows
        )?;
        self.show_latencies(f)?;
        self.show_entries(f)?;
        if self.panics > 0 {
            writeln!(f, "  the pattern panicked {} times", self.panics)?;
        }
        for Struck { fault, level, struck, witness } in &self.faults {
            writeln!(f, "  fault {fault} ({level}): struck {struck} times; {witness}")?;
        }
        for reason in &self.not_tested {
            writeln!(f, "  not tested: {reason}")?;
        }
        if self.interrupted {
            writeln!(f, "  stopped early: the numbers are those of the time until then")?;
        }
        match &self.problem {
            Some(problem) => writeln!(f, "  problem: {problem}"),
            None => Ok(()),
        }
    }
}

impl Outcome {
    fn show_latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {:<12} {:>10} {:>11} {:>11} {:>11}",
            "latency", "count", "p50", "p99", "max"
        )?;
        for (_, name) in TIMED {
            if let Some(l) = self.latencies.get(name) {
                let (p50, p99, max) = (human(l.p50), human(l.p99), human(l.max));
                writeln!(f, "  {name:<12} {:>10} {p50:>11} {p99:>11} {max:>11}", l.count)?;
            }
        }
        Ok(())
    }

    fn show_entries(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &self.entries;
        write!(
            f,
            "  audit of {} rows: {} match, {} absent, {} bad",
            e.rows,
            e.matching,
            e.absent,
            e.bad()
        )?;
        let kinds = [
            (e.stale, "stale"),
            (e.ahead, "ahead"),
            (e.ghost, "ghost"),
            (e.negative_stale, "negative-stale"),
            (e.diverged, "diverged"),
            (e.wrong_key, "wrong-key"),
            (e.undecodable, "undecodable"),
            (e.permanent, "never expire"),
            (e.unreachable, "unreachable"),
            (self.evictions, "evicted by the servers"),
            (e.transient, "gone at the second look"),
        ];
        for (count, name) in kinds.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {name}")?;
        }
        writeln!(f)?;
        if let Some(recorded) = self.recorded {
            writeln!(f, "  history of {recorded} operations: see `staleproof check`")?;
        }
        if self.retried > 0 {
            let retried = self.retried;
            writeln!(f, "  done again after a deadlock or a serialization failure: {retried}")?;
        }
        Ok(())
    }
}
