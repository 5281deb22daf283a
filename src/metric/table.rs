//! The table: one row per metric.

use super::evidence::Latency::{Hit, Miss, Read, Write};
use super::evidence::Quantity::*;
use super::evidence::{Evidence, Property};
use super::formula::{
    age, delta, hit_ratio, holds, latency, measured, p_stale_upper, per, ratio, stalest, whole,
};
use super::{Metric, Needs, Source, Told};
use crate::check::audit::Class;
use crate::scenario::MetricKind::{self, Count, Duration, Ratio, Share, Verdict};
use crate::scenario::Number;

type Value = fn(&dyn Evidence) -> Option<Number>;

const fn metric(name: &'static str, kind: MetricKind, value: Value) -> Metric {
    Metric { name, kind, value, unless_zero: false, to_be_renamed: None, told: [None; 3] }
}

impl Metric {
    const fn told_by(mut self, source: Source, summary: &'static str, needs: Needs) -> Metric {
        self.told[source as usize] = Some(Told { summary, needs, place: 0 });
        self
    }

    const fn run(self, summary: &'static str) -> Metric {
        self.told_by(Source::Run, summary, Needs::Nothing)
    }

    const fn timed_run(self, summary: &'static str) -> Metric {
        self.told_by(Source::Run, summary, Needs::VirtualTime)
    }

    /// Told of every history.
    const fn verdict(self, summary: &'static str) -> Metric {
        self.told_by(Source::Check, summary, Needs::Nothing)
    }

    const fn check(self, summary: &'static str) -> Metric {
        self.told_by(Source::Check, summary, Needs::Measures)
    }

    /// `check` lists it behind all of lower places.
    const fn place(mut self, place: u8) -> Metric {
        if let Some(told) = &mut self.told[Source::Check as usize] {
            told.place = place;
        }
        self
    }

    /// Where it stands in the result of a load.
    const fn load(self, pointer: &'static str) -> Metric {
        self.told_by(Source::Load, pointer, Needs::Nothing)
    }

    const fn unless_zero(mut self) -> Metric {
        self.unless_zero = true;
        self
    }

    const fn ambiguous(mut self, meanings: &'static str) -> Metric {
        self.to_be_renamed = Some(meanings);
        self
    }
}

/// All metrics, in the order in which they are listed and reported.
pub static METRICS: &[Metric] = &[
    metric("claim", Verdict, |_| None).run("whether the claim stands (see `broken-if`)"),
    metric("bad_entries", Count, |e| whole(e, BadEntries)).run("entries wrong at the audit"),
    metric("stale_entries", Count, |e| whole(e, Entries(Class::Stale)))
        .run("entries older than their row at the audit")
        .load("/entries/stale"),
    metric("ahead_entries", Count, |e| whole(e, Entries(Class::Ahead)))
        .run("entries that no commit ever made")
        .load("/entries/ahead"),
    metric("ghost_entries", Count, |e| whole(e, Entries(Class::Ghost)))
        .run("entries of rows that were deleted")
        .load("/entries/ghost"),
    metric("negative_stale_entries", Count, |e| whole(e, Entries(Class::NegativeStale)))
        .run("`no such row` cached, though there is one")
        .load("/entries/negative_stale"),
    metric("diverged_entries", Count, |e| whole(e, Entries(Class::Diverged)))
        .run("entries of the right write with other data")
        .load("/entries/diverged"),
    metric("wrong_key_entries", Count, |e| whole(e, Entries(Class::WrongKey)))
        .run("entries of another key")
        .load("/entries/wrong_key"),
    metric("undecodable_entries", Count, |e| whole(e, Entries(Class::Undecodable)))
        .run("entries that are not rows")
        .load("/entries/undecodable"),
    metric("unreachable_entries", Count, |e| whole(e, Entries(Class::Unreachable)))
        .run("entries whose node did not answer")
        .load("/entries/unreachable"),
    metric("matching_entries", Count, |e| whole(e, Entries(Class::Match)))
        .run("entries that agree with their row")
        .load("/entries/matching"),
    metric("absent_entries", Count, |e| whole(e, Entries(Class::Absent)))
        .run("rows without an entry")
        .load("/entries/absent"),
    metric("permanent_entries", Count, |e| whole(e, PermanentEntries))
        .run("bad entries that never expire")
        .load("/entries/permanent"),
    metric("max_entry_staleness", Duration, |e| whole(e, EntryAge))
        .run("for how long the oldest bad entry has been wrong at the audit"),
    metric("max_staleness", Duration, |e| {
        Some(Number::Whole(stalest(e)?.max(e.quantity(EntryAge)?)))
    })
    .run("the longer of `max_read_staleness` and `max_entry_staleness`"),
    metric("healed_by_expiry", Count, |e| whole(e, HealedByExpiry))
        .timed_run(
            "of the bad entries those that expired after the last operation returned and before \
             everything was at rest",
        )
        .unless_zero(),
    metric("max_exposure", Duration, |e| whole(e, LongestExposure)).timed_run(
        "the longest that an entry under its row's own key differed from the row, read or not",
    ),
    metric("total_exposure", Duration, |e| whole(e, TotalExposure))
        .timed_run("the sum of all such times, over keys"),
    metric("linearizable", Verdict, |e| holds(e, Property::Linearizable))
        .verdict("one order explains every key"),
    metric("operations", Count, |e| whole(e, Operations)).verdict("operations").load("/operations"),
    metric("operations_per_second", Ratio, |e| {
        let seconds = e.quantity(Elapsed)? as f64 / 1e9;
        Some(Number::Real(e.quantity(Operations)? as f64 / seconds))
    })
    .load("/operations_per_second"),
    metric("keys", Count, |e| whole(e, Keys)).verdict("keys with operations"),
    metric("violated_keys", Count, |e| whole(e, ViolatedKeys)).verdict("keys violated"),
    metric("reads", Count, |e| whole(e, Reads))
        .run("reads that returned")
        .check("reads that returned")
        .load("/reads")
        .ambiguous("`check` also counts what read-modify-writes were based on"),
    metric("writes", Count, |e| whole(e, Writes)).run("writes that were begun"),
    metric("hits", Count, |e| whole(e, Hits)).run("reads served by the cache").load("/hits"),
    metric("misses", Count, |e| whole(e, Misses)).run("reads that asked the cache in vain"),
    metric("hit_ratio", Share, hit_ratio).run("hits of hits and misses").load("/hit_ratio"),
    metric("stale_reads", Count, |e| whole(e, StaleReads))
        .run("reads of superseded values")
        .check("certainly stale reads")
        .load("/stale")
        .ambiguous("`run` goes by commits, `check` by intervals, `load` by versions"),
    metric("p_stale", Share, |e| per(e, StaleReads, JudgedReads))
        .run("stale reads of all reads")
        .check("stale reads of all but never legal")
        .load("/p_stale")
        .ambiguous("`run`: of all reads; `check`: of legal ones; `load`: of judged ones"),
    metric("p_stale_upper", Share, p_stale_upper).check("p_stale at 95 % confidence"),
    metric("p_stale_hits", Share, |e| per(e, StaleHits, JudgedHits))
        .run("stale hits of all hits")
        .check("stale hits of all hits")
        .load("/p_stale_hits")
        .ambiguous("`run` and `load`: of all hits; `check`: of legal ones"),
    metric("max_read_staleness", Duration, |e| stalest(e).map(Number::Whole))
        .run("the age of the stalest read: from the superseding commit to the read's start")
        .check("the stalest read, at least")
        .ambiguous("`run` goes by commits; `check` has a lower bound by intervals"),
    metric("read_staleness_p50", Duration, |e| age(e, 0.5))
        .run("median age over all reads")
        .check("median over all reads")
        .ambiguous("see `max_read_staleness`; the ranks of quantiles differ too"),
    metric("read_staleness_p99", Duration, |e| age(e, 0.99))
        .run("99 % of all reads were no staler")
        .check("99 % were no staler")
        .ambiguous("see `max_read_staleness`; the ranks of quantiles differ too"),
    metric("read_staleness_p999", Duration, |e| age(e, 0.999)).check("99.9 % were no staler"),
    metric("max_possible_staleness", Duration, |e| whole(e, PossibleStaleness))
        .check("the stalest that a read can have been"),
    metric("max_versions_behind", Count, |e| whole(e, VersionsBehind))
        .run("the most commits that a read was behind")
        .check("the most writes that a read was behind")
        .load("/versions_behind")
        .ambiguous("`run` counts commits, `check` acknowledged writes, `load` versions"),
    metric("delta", Duration, delta).check("smallest Delta"),
    metric("never_legal_reads", Count, |e| whole(e, NeverLegalReads))
        .check("reads of what nobody wrote, or only later"),
    metric("read_your_writes", Verdict, |e| holds(e, Property::ReadYourWrites))
        .check("clients see what they wrote"),
    metric("monotonic_reads", Verdict, |e| holds(e, Property::MonotonicReads))
        .check("clients never read backwards"),
    metric("monotonic_writes", Verdict, |e| holds(e, Property::MonotonicWrites))
        .check("a client's writes are seen in their order"),
    metric("writes_follow_reads", Verdict, |e| holds(e, Property::WritesFollowReads))
        .check("who sees a write sees what its writer read"),
    metric("ahead_reads", Count, |e| whole(e, AheadReads)).run("reads of values committed later"),
    metric("phantom_reads", Count, |e| whole(e, PhantomReads))
        .run("reads of values never committed")
        .check("of what never committed")
        .place(3)
        .ambiguous("`run` also counts absence that never was, `check` another key's rows"),
    metric("wrong_reads", Count, |e| whole(e, WrongReads))
        .run("reads that returned another row")
        .load("/wrong_rows"),
    metric("torn_views", Count, |e| whole(e, TornViews))
        .check("values never there at one time")
        .place(4),
    metric("stale_versions", Count, |e| whole(e, StaleVersions)).check("by version").place(4),
    metric("version_disagreements", Count, |e| whole(e, VersionDisagreements))
        .check("intervals and versions disagree")
        .place(4),
    metric("db_reads_per_read", Ratio, |e| per(e, Selects, Reads))
        .run("selects of the database per read of the application"),
    metric("read_round_trips", Ratio, |e| ratio(e.quantity(ReadSteps), measured(e, Read)))
        .run("steps per read"),
    metric("write_round_trips", Ratio, |e| per(e, WriteSteps, Writes)).run("steps per write"),
    metric("misreported_failures", Count, |e| whole(e, MisreportedFailures))
        .run("writes reported as failed although the database had changed"),
    metric("lost_writes", Count, |e| whole(e, LostWrites))
        .run("acknowledged writes that never reached the database")
        .check("acknowledged and gone")
        .place(2),
    metric("lost_updates", Count, |e| whole(e, LostUpdates))
        .run("read-modify-writes that overwrote a write they had not seen")
        .check("overwrote an unseen write")
        .place(1)
        .ambiguous("`run` goes by commits, `check` by acknowledged writes and intervals"),
    metric("failed_ops", Count, |e| whole(e, FailedOps))
        .run("operations that failed without effect")
        .load("/failed"),
    metric("unknown_ops", Count, |e| whole(e, UnknownOps))
        .run("operations whose outcome is unknown")
        .load("/unknown"),
    metric("panics", Count, |e| whole(e, Panics))
        .run("operations in which the pattern panicked")
        .load("/panics"),
    metric("faults_struck", Count, |e| whole(e, FaultsStruck)).run("faults that struck"),
    metric("hit_latency_p50", Duration, |e| latency(e, Hit, 0.5))
        .run("median latency of hits")
        .load("/latencies/hit/p50"),
    metric("hit_latency_p99", Duration, |e| latency(e, Hit, 0.99))
        .run("99th percentile of hits")
        .load("/latencies/hit/p99"),
    metric("miss_latency_p50", Duration, |e| latency(e, Miss, 0.5))
        .run("median latency of misses")
        .load("/latencies/miss/p50"),
    metric("miss_latency_p99", Duration, |e| latency(e, Miss, 0.99))
        .run("99th percentile of misses")
        .load("/latencies/miss/p99"),
    metric("read_latency_p50", Duration, |e| latency(e, Read, 0.5)).run("median latency of reads"),
    metric("read_latency_p99", Duration, |e| latency(e, Read, 0.99))
        .run("99th percentile of reads"),
    metric("write_latency_p50", Duration, |e| latency(e, Write, 0.5))
        .run("median latency of writes")
        .load("/latencies/write/p50"),
    metric("write_latency_p99", Duration, |e| latency(e, Write, 0.99))
        .run("99th percentile of writes")
        .load("/latencies/write/p99"),
];
