//! The quantities that metrics are made of.

use hdrhistogram::Histogram;

use crate::check::audit::Class;
use crate::check::staleness::Delta;

/// What was measured. Nothing is measured unless a source says so.
pub trait Evidence {
    /// How many, or how many nanoseconds.
    fn quantity(&self, _what: Quantity) -> Option<u64> {
        None
    }

    /// How long operations took, in nanoseconds.
    fn latencies(&self, _of: Latency) -> Option<&Histogram<u64>> {
        None
    }

    /// How stale reads were.
    fn ages(&self) -> Option<Ages<'_>> {
        None
    }

    /// The smallest Delta of a history.
    fn delta(&self) -> Option<Delta> {
        None
    }

    /// Whether a property holds.
    fn verdict(&self, _of: Property) -> Option<Verdict> {
        None
    }
}

/// Something that is counted, or a time in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Entries of a class at the audit.
    Entries(Class),
    /// Entries that would serve readers something wrong.
    BadEntries,
    /// Bad entries that never expire.
    PermanentEntries,
    /// The age of the oldest bad entry at the audit, in nanoseconds.
    EntryAge,
    /// Entries that were wrong when the workload ended and expired before everything had come to
    /// rest.
    HealedByExpiry,
    /// The longest and the sum of the times that entries differed from their rows.
    LongestExposure,
    TotalExposure,
    Operations,
    /// How long was measured, in nanoseconds.
    Elapsed,
    Keys,
    ViolatedKeys,
    Reads,
    Hits,
    /// Reads that asked the cache in vain.
    Misses,
    /// Reads and hits of which it is known whether they are stale.
    JudgedReads,
    JudgedHits,
    StaleReads,
    StaleHits,
    /// The most that a read can have been stale, in nanoseconds.
    PossibleStaleness,
    VersionsBehind,
    /// Reads of what was committed later, was never committed, or nobody wrote before.
    AheadReads,
    PhantomReads,
    NeverLegalReads,
    /// Reads that returned another row.
    WrongReads,
    /// Selects, and steps, by operations that read.
    Selects,
    ReadSteps,
    /// Writes that were begun, and their steps.
    Writes,
    WriteSteps,
    MisreportedFailures,
    LostWrites,
    LostUpdates,
    TornViews,
    StaleVersions,
    VersionDisagreements,
    FailedOps,
    UnknownOps,
    Panics,
    FaultsStruck,
}

/// Whose latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Reads that the cache served.
    Hit,
    /// Reads that asked the cache in vain.
    Miss,
    /// All reads that returned.
    Read,
    /// Writes that were carried out.
    Write,
}

/// What holds of a history, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    Linearizable,
    ReadYourWrites,
    MonotonicReads,
    MonotonicWrites,
    WritesFollowReads,
}

/// An answer, in the order of [`VERDICTS`](crate::scenario::VERDICTS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Holds,
    Violated,
    Unknown,
}

/// Which of the sorted ages a share of all reads did not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// The one behind that share: of 100 the 51st is the median.
    Behind,
    /// The last of that share, the nearest rank: of 100 the 50th is the median.
    Nearest,
}

/// How stale reads were, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Ages<'a> {
    /// In any order.
    pub known: &'a [u64],
    /// Further reads, all fresh.
    pub fresh: u64,
    /// How quantiles are chosen.
    pub rank: Rank,
}
