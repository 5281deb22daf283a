//! How stale reads were, by the intervals of reads and writes alone.
//!
//! Of each read: *definite* staleness, from the moment when another value had certainly
//! replaced what it returned to the read's start (a lower bound); *possible* staleness, from
//! the moment when another value may first have replaced it to the read's end (an upper
//! bound); and how many writes had certainly been made and acknowledged in between. Reads of
//! what nobody wrote are not stale but never legal, and counted apart.
//!
//! Delta: the smallest time by which all reads' starts must be moved back to make the history
//! linearizable (Golab, Li, Shah, PODC 2011).

use super::linear::{self, Verdict};
use super::values::{Values, acknowledged_by_end, reads_by_start};
use crate::history::log::{Log, Op, Value};
use crate::history::record::KeyId;
use crate::time::Time;

/// Staleness of one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfRead {
    /// The read, by place.
    pub place: usize,
    /// At least so stale, in nanoseconds; 0 for fresh.
    pub at_least: u64,
    /// At most so stale.
    pub at_most: u64,
    /// Writes that were certainly made between its value and it.
    pub versions_behind: u64,
}

/// Reads and stale reads of a part of the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Reads that returned.
    pub reads: u64,
    /// Those that were certainly stale.
    pub stale: u64,
}

/// The staleness of a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staleness {
    /// All reads.
    pub all: Part,
    /// Those that the cache served; counts only reads that say so.
    pub hits: Part,
    /// Before faults struck, while they did, and afterwards; only where faults are known.
    pub phases: Option<[Part; 3]>,
    /// Reads of what nobody wrote, or only later.
    pub never_legal: u64,
    /// The definite staleness of all reads, sorted.
    pub at_least: Vec<u64>,
    /// The possible staleness of all reads, sorted.
    pub at_most: Vec<u64>,
    /// The most writes that a read was behind.
    pub versions_behind: u64,
    /// The stalest read.
    pub worst: Option<OfRead>,
    /// By time since the last acknowledgement, in [`SINCE`]: reads, and those that returned
    /// that write or something not certainly older.
    pub visible: [(u64, u64); SINCE.len()],
    /// By time since the acknowledgement, in [`SINCE`]: writes that a read contradicted so long
    /// after.
    pub contradicted: [u64; SINCE.len()],
    /// Acknowledged writes.
    pub writes: u64,
}

/// The times since a write's acknowledgement by which visibility is reported.
pub const SINCE: [u64; 6] = [0, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000];

/// Measures all reads.
pub fn measure(log: &Log, values: &Values) -> Staleness {
    let mut staleness = Staleness::default();
    let struck = faulty_time(log);
    staleness.phases = struck.map(|_| Default::default());
    for key in 0..log.keys() {
        let key = KeyId(key as u32);
        let reads = reads_by_start(log, values.ops(key));
        let behind = Behind::count(log, values, key, &reads);
        let writes = acknowledged_by_end(log, values.ops(key));
        let possible = Possible::new(log, values.ops(key));
        let mut contradicted = Vec::new();
        for (read, versions_behind) in reads.iter().zip(behind) {
            staleness.visibility(log, values, &writes, *read, &mut contradicted);
            let Some(mut of_read) = of_read(log, values, &possible, *read) else {
                staleness.never_legal += 1;
                continue;
            };
            of_read.versions_behind = versions_behind;
            staleness.add(log, struck, of_read);
        }
        staleness.writes += writes.len() as u64;
        staleness.contradictions(contradicted);
    }
    staleness.at_least.sort_unstable();
    staleness.at_most.sort_unstable();
    staleness
}

/// From the first fault to the last.
fn faulty_time(log: &Log) -> Option<(Time, Time)> {
    let first = log.faults.iter().map(|fault| fault.at).min()?;
    let last = log.faults.iter().map(|fault| fault.until.unwrap_or(fault.at)).max()?;
    Some((first, last))
}

fn of_read(log: &Log, values: &Values, possible: &Possible, place: usize) -> Option<OfRead> {
    let op = &log.ops[place];
    let known = values.seen(op);
    if known.writes == 0 {
        return None;
    }
    let at_least = op.start.since(known.replaced).as_nanos() as u64;
    let from = possible.replaced(known.first_start, op);
    let at_most = op.end.since(from).as_nanos() as u64;
    Some(OfRead { place, at_least, at_most: at_most.max(at_least), versions_behind: 0 })
}

impl Staleness {
    fn add(&mut self, log: &Log, struck: Option<(Time, Time)>, of_read: OfRead) {
        let op = &log.ops[of_read.place];
        let stale = u64::from(of_read.at_least > 0);
        let count = |part: &mut Part| {
            part.reads += 1;
            part.stale += stale;
        };
        count(&mut self.all);
        if log.extra(of_read.place).hit == Some(true) {
            count(&mut self.hits);
        }
        if let (Some(phases), Some((first, last))) = (&mut self.phases, struck) {
            let phase = usize::from(op.start >= first) + usize::from(op.start > last);
            count(&mut phases[phase]);
        }
        self.at_least.push(of_read.at_least);
        self.at_most.push(of_read.at_most);
        self.versions_behind = self.versions_behind.max(of_read.versions_behind);
        if self.worst.is_none_or(|worst| of_read.at_least > worst.at_least) {
            self.worst = Some(of_read);
        }
    }

    /// Compares a read with the last write that was acknowledged before it.
    fn visibility(
        &mut self,
        log: &Log,
        values: &Values,
        writes: &[usize],
        read: usize,
        contradicted: &mut Vec<(usize, u64)>,
    ) {
        let start = log.ops[read].start;
        let before = writes.partition_point(|write| log.ops[*write].end < start);
        let Some(last) = before.checked_sub(1).map(|last| writes[last]) else { return };
        let since = start.since(log.ops[last].end).as_nanos() as u64;
        let older = values.older(log, read, last);
        let bucket = SINCE.partition_point(|from| *from <= since) - 1;
        self.visible[bucket].0 += 1;
        self.visible[bucket].1 += u64::from(!older);
        if older {
            contradicted.push((last, since));
        }
    }

    fn contradictions(&mut self, mut contradicted: Vec<(usize, u64)>) {
        contradicted.sort_unstable();
        for of_write in contradicted.chunk_by(|one, other| one.0 == other.0) {
            let longest = of_write.last().map_or(0, |(_, since)| *since);
            for (count, from) in self.contradicted.iter_mut().zip(SINCE) {
                *count += u64::from(longest >= from);
            }
        }
    }

    /// The definite staleness that a share of all reads did not exceed.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        quantile(&self.at_least, share)
    }

    /// The nines of writes that nobody contradicted from so long after them on; `None` if none
    /// was contradicted.
    pub fn nines(&self, bucket: usize) -> Option<f64> {
        let wrong = self.contradicted[bucket];
        (wrong > 0).then(|| libm::log10(self.writes as f64 / wrong as f64))
    }
}

fn quantile(sorted: &[u64], share: f64) -> Option<u64> {
    let place = nearest_rank(share, sorted.len() as u64) as usize;
    sorted.get(place).or(sorted.last()).copied()
}

/// The place, from 0, of the last of a share of so many things.
pub(crate) fn nearest_rank(share: f64, of: u64) -> u64 {
    // A product like 0.07 * 100 must not be rounded up for its last bit.
    (libm::ceil(share * of as f64 - 1e-6) as u64).max(1) - 1
}

impl Part {
    /// The share of stale reads.
    pub fn share(&self) -> Option<f64> {
        (self.reads > 0).then(|| self.stale as f64 / self.reads as f64)
    }

    /// An upper bound of that share, with 95 % confidence: Wilson's; 3/n if none was seen.
    pub fn at_most(&self) -> Option<f64> {
        let (n, k) = (self.reads as f64, self.stale as f64);
        if self.reads == 0 {
            return None;
        }
        if self.stale == 0 {
            return Some((3.0 / n).min(1.0));
        }
        // One-sided 95 %.
        let z = 1.644_853_626_951_472_2;
        let (p, zz) = (k / n, z * z);
        let spread = z * libm::sqrt(p * (1.0 - p) / n + zz / (4.0 * n * n));
        // Where all are stale, rounding could take it below the share.
        Some(((p + zz / (2.0 * n) + spread) / (1.0 + zz / n)).clamp(p, 1.0))
    }
}

/// When a value may first have been replaced: by the earliest write of another that can come after
/// it.
struct Possible {
    /// The writes by deadline, the latest first; of each with those before it, the earliest start.
    by_end: Vec<(Time, Earliest)>,
}

/// The earliest start of some writes, the value written, and the earliest of other values.
#[derive(Clone, Copy)]
struct Earliest {
    start: Time,
    value: Value,
    other: Time,
}

impl Possible {
    fn new(log: &Log, places: &[u32]) -> Possible {
        let writes = places.iter().map(|place| &log.ops[*place as usize]);
        let mut writes: Vec<&Op> = writes.filter(|op| op.may_write()).collect();
        writes.sort_unstable_by_key(|op| (std::cmp::Reverse(op.deadline()), op.start, op.value));
        let mut all = Earliest { start: Time::NEVER, value: Value::NULL, other: Time::NEVER };
        let by_end = writes.into_iter().map(|op| {
            match op.value == all.value {
                true => all.start = all.start.min(op.start),
                false if op.start < all.start => {
                    all = Earliest { start: op.start, value: op.value, other: all.start };
                }
                false => all.other = all.other.min(op.start),
            }
            (op.deadline(), all)
        });
        Possible { by_end: by_end.collect() }
    }

    /// When the value of a read, whose first write began at `written`, may first have been
    /// replaced, if that was before the read's end.
    fn replaced(&self, written: Time, read: &Op) -> Time {
        let after = self.by_end.partition_point(|(end, _)| *end >= written);
        let Some((_, earliest)) = after.checked_sub(1).map(|last| self.by_end[last]) else {
            return read.end;
        };
        let other = if earliest.value == read.value { earliest.other } else { earliest.start };
        other.max(written).min(read.end)
    }
}

/// Counts, for each read, the writes that certainly lie between its value's and the read.
struct Behind {
    /// A Fenwick tree over the writes by start: how many of them have ended.
    tree: Vec<u64>,
}

impl Behind {
    fn count(log: &Log, values: &Values, key: KeyId, reads: &[usize]) -> Vec<u64> {
        let by_end = acknowledged_by_end(log, values.ops(key));
        let mut starts: Vec<Time> = by_end.iter().map(|write| log.ops[*write].start).collect();
        starts.sort_unstable();
        let mut behind = Behind { tree: vec![0; starts.len() + 1] };
        let (mut ended, mut total) = (0, 0);
        let mut counts = Vec::with_capacity(reads.len());
        for read in reads {
            let op = &log.ops[*read];
            while ended < by_end.len() && log.ops[by_end[ended]].end < op.start {
                let start = log.ops[by_end[ended]].start;
                behind.add(starts.partition_point(|other| *other < start));
                (ended, total) = (ended + 1, total + 1);
            }
            let known = values.seen(op);
            let began = starts.partition_point(|start| Some(*start) <= known.last_end);
            counts.push(match known.write {
                // Only there at the start, before all writes; or nowhere, which is not asked for.
                None => total,
                Some(_) => total - behind.below(began),
            });
        }
        counts
    }

    fn add(&mut self, place: usize) {
        let mut node = place + 1;
        while node < self.tree.len() {
            self.tree[node] += 1;
            node += node & node.wrapping_neg();
        }
    }

    fn below(&self, place: usize) -> u64 {
        let (mut node, mut sum) = (place, 0);
        while node > 0 {
            sum += self.tree[node];
            node -= node & node.wrapping_neg();
        }
        sum
    }
}

/// The smallest Delta of a key or a history, the larger the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delta {
    /// So many nanoseconds; 0 for what is linearizable.
    Least(u64),
    /// A limit was reached first.
    Undecided,
    /// No Delta is enough: some read is never legal.
    Infinite,
}

/// The smallest Delta of a key; `limit` is that of each search.
pub fn delta(log: &Log, values: &Values, key: KeyId, limit: u64) -> Delta {
    least(log, values, key, limit).unwrap_or(Delta::Undecided)
}

/// `None` where a limit was reached.
fn least(log: &Log, values: &Values, key: KeyId, limit: u64) -> Option<Delta> {
    let ops: Vec<Op> = values.ops(key).iter().map(|place| log.ops[*place as usize]).collect();
    let initial = log.initial[key.0 as usize];
    let holds = |delta: u64| {
        let shifted: Vec<Op> = ops
            .iter()
            .map(|op| match op.has_read() {
                true => Op { start: Time(op.start.0.saturating_sub(delta)), ..*op },
                false => *op,
            })
            .collect();
        match linear::judge_within(&shifted, initial, limit) {
            Verdict::Holds => Some(true),
            Verdict::Violated(_) => Some(false),
            Verdict::Unknown(_) => None,
        }
    };
    let last = ops.iter().map(|op| op.start.0).max().unwrap_or(0);
    if !holds(last)? {
        return Some(Delta::Infinite);
    }
    let (mut low, mut high) = (0, last);
    while low < high {
        let middle = low + (high - low) / 2;
        match holds(middle)? {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    Some(Delta::Least(low))
}
