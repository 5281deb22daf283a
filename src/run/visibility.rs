//! t-visibility: how likely a read that begins t after a write returns it or a later one
//! (Bailis et al., Probabilistically Bounded Staleness, VLDB 2012).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::States;
use crate::history::record::{History, OpRecord};
use crate::operation::{OpKind, Outcome};

/// Reads by the time since the last commit to their key, in powers of two of nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Visibility {
    buckets: [Bucket; 64],
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    reads: u64,
    fresh: u64,
}

/// Reads that began at least so long after the last commit, and less than twice as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VisibilityPoint {
    /// The time since the commit, from here.
    pub since_nanos: u64,
    /// Reads.
    pub reads: u64,
    /// Those that returned what was committed, or something later.
    pub fresh: u64,
}

/// From when on reads are fresh with this probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Nines {
    /// `90 %`, `99 %`, `99.9 %`.
    pub share: String,
    /// So long after a commit; `null` when never in this sample.
    pub after_nanos: Option<u64>,
}

impl Default for Visibility {
    fn default() -> Visibility {
        Visibility { buckets: [Bucket::default(); 64] }
    }
}

impl Visibility {
    /// Adds the reads of a run.
    pub fn take(&mut self, history: &History, states: &States) {
        let reads = history.ops.iter().filter(|op| op.kind == OpKind::Read);
        for op in reads.filter(|op| op.outcome == Outcome::Ok && !op.wrong) {
            if let Some((since, fresh)) = judge(op, states) {
                let bucket = &mut self.buckets[since.max(1).ilog2() as usize];
                bucket.reads += 1;
                bucket.fresh += u64::from(fresh);
            }
        }
    }

    /// The buckets that have reads.
    pub fn points(&self) -> Vec<VisibilityPoint> {
        let some = self.buckets.iter().enumerate().filter(|(_, bucket)| bucket.reads > 0);
        some.map(|(power, bucket)| VisibilityPoint {
            since_nanos: 1 << power,
            reads: bucket.reads,
            fresh: bucket.fresh,
        })
        .collect()
    }

    /// From when on reads are fresh with one, two, three nines.
    pub fn nines(&self) -> Vec<Nines> {
        let of = |(share, missing): (&str, u64)| Nines {
            share: share.to_owned(),
            after_nanos: self.after(missing),
        };
        [("90 %", 10), ("99 %", 100), ("99.9 %", 1_000)].map(of).to_vec()
    }

    /// The earliest time from which on at most one read in `one_in` was not fresh.
    fn after(&self, one_in: u64) -> Option<u64> {
        let (mut reads, mut old, mut best) = (0, 0, None);
        for (power, bucket) in self.buckets.iter().enumerate().rev() {
            reads += bucket.reads;
            old += bucket.reads - bucket.fresh;
            if bucket.reads > 0 && old * one_in <= reads {
                best = Some(1 << power);
            }
        }
        best
    }
}

/// How long before the read its key was last committed, and whether the read saw that.
fn judge(op: &OpRecord, states: &States) -> Option<(u64, bool)> {
    let of_key = states.of(op.key);
    let begun = of_key.partition_point(|state| state.at < op.start);
    // The state at the start is nobody's write.
    let last = begun.checked_sub(1).filter(|place| *place > 0)?;
    let since = op.start.since(of_key[last].at).as_nanos() as u64;
    let fresh = match op.found {
        true => states.place(op.key, op.value).is_some_and(|place| place >= last),
        false => of_key[last..].iter().any(|state| state.absent && state.at <= op.end),
    };
    Some((since, fresh))
}
