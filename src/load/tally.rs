//! What one thread counts, and what the others may see of it while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hdrhistogram::Histogram;

/// What a client shows while it runs. Only its own thread writes, so adding is a load and a
/// store.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Live {
    operations: AtomicU64,
    reads: AtomicU64,
    hits: AtomicU64,
    stale: AtomicU64,
    errors: AtomicU64,
}

/// How the load goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Operations that ended.
    pub operations: u64,
    /// Reads among them that returned.
    pub reads: u64,
    /// Reads that the cache served.
    pub hits: u64,
    /// Stale reads.
    pub stale: u64,
    /// Operations that failed.
    pub errors: u64,
}

fn add(to: &AtomicU64, what: bool) {
    if what {
        to.store(to.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

impl Live {
    pub fn operation(&self, read: bool, hit: bool, stale: bool, error: bool) {
        add(&self.operations, true);
        add(&self.reads, read && !error);
        add(&self.hits, hit);
        add(&self.stale, stale);
        add(&self.errors, error);
    }
}

/// Of all clients together.
pub(super) fn sum(live: &[Arc<Live>]) -> Snapshot {
    live.iter().fold(Snapshot::default(), |sum, live| {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            operations: sum.operations + get(&live.operations),
            reads: sum.reads + get(&live.reads),
            hits: sum.hits + get(&live.hits),
            stale: sum.stale + get(&live.stale),
            errors: sum.errors + get(&live.errors),
        }
    })
}

/// Which latencies are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timed {
    /// A read that the cache served.
    Hit,
    /// A read that asked the cache in vain and the database.
    Miss,
    /// A read that asked the database alone.
    Direct,
    /// A write.
    Write,
    /// One round trip to the cache.
    CacheStep,
    /// One select.
    Select,
}

pub(super) const TIMED: [(Timed, &str); 6] = [
    (Timed::Hit, "hit"),
    (Timed::Miss, "miss"),
    (Timed::Direct, "direct read"),
    (Timed::Write, "write"),
    (Timed::CacheStep, "cache step"),
    (Timed::Select, "select"),
];

/// Everything that is measured of one client, or of several added up.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub operations: u64,
    pub reads: u64,
    pub hits: u64,
    pub misses: u64,
    pub writes: u64,
    pub failed: u64,
    pub unknown: u64,
    pub panics: u64,
    pub retried: u64,
    /// Reads whose value said its version, and whose row is followed.
    pub judged: u64,
    pub stale: u64,
    pub stale_hits: u64,
    /// Reads that returned another row than was asked for.
    pub wrong: u64,
    /// Reads that returned an older version than an earlier read of the same client.
    pub went_back: u64,
    /// Reads that did not see what their client had written.
    pub missed_own: u64,
    pub versions_behind: u64,
    /// How stale stale reads were, at least and at most.
    pub least: Histogram<u64>,
    pub most: Histogram<u64>,
    latencies: [Histogram<u64>; TIMED.len()],
    /// Latencies that no histogram has yet. One at a time finds a histogram that others' work has
    /// driven out of the processor's cache.
    waiting: Vec<(Timed, u64)>,
}

/// So many latencies wait for each other.
const WAITING_MAX: usize = 128;

/// Histograms grow with what they are given, so only memory could be in the way.
pub(super) fn note(histogram: &mut Histogram<u64>, nanos: u64) {
    histogram.record(nanos).expect("a histogram that grows by itself takes any number");
}

fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three significant digits are allowed")
}

impl Tally {
    pub fn new() -> Tally {
        Tally {
            operations: 0,
            reads: 0,
            hits: 0,
            misses: 0,
            writes: 0,
            failed: 0,
            unknown: 0,
            panics: 0,
            retried: 0,
            judged: 0,
            stale: 0,
            stale_hits: 0,
            wrong: 0,
            went_back: 0,
            missed_own: 0,
            versions_behind: 0,
            least: histogram(),
            most: histogram(),
            latencies: std::array::from_fn(|_| histogram()),
            waiting: Vec::with_capacity(WAITING_MAX),
        }
    }

    #[inline]
    pub fn time(&mut self, what: Timed, nanos: u64) {
        self.waiting.push((what, nanos));
        if self.waiting.len() == WAITING_MAX {
            self.settle();
        }
    }

    #[cold]
    fn settle(&mut self) {
        for (what, nanos) in self.waiting.drain(..) {
            note(&mut self.latencies[what as usize], nanos);
        }
    }

    /// The latencies of one kind, in a sum of tallies.
    pub fn latencies(&self, what: Timed) -> &Histogram<u64> {
        assert!(self.waiting.is_empty(), "nothing waits in a sum");
        &self.latencies[what as usize]
    }

    pub fn add(&mut self, other: &Tally) {
        self.operations += other.operations;
        self.reads += other.reads;
        self.hits += other.hits;
        self.misses += other.misses;
        self.writes += other.writes;
        self.failed += other.failed;
        self.unknown += other.unknown;
        self.panics += other.panics;
        self.retried += other.retried;
        self.judged += other.judged;
        self.stale += other.stale;
        self.stale_hits += other.stale_hits;
        self.wrong += other.wrong;
        self.went_back += other.went_back;
        self.missed_own += other.missed_own;
        self.versions_behind = self.versions_behind.max(other.versions_behind);
        let mine = self.latencies.iter_mut().chain([&mut self.least, &mut self.most]);
        for (mine, theirs) in mine.zip(other.latencies.iter().chain([&other.least, &other.most])) {
            mine.add(theirs).expect("histograms that grow by themselves can be added");
        }
        self.waiting.extend(&other.waiting);
        self.settle();
    }
}
