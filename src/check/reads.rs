//! How stale each read was.
//!
//! A read is *stale* when the value it returned had been superseded by a commit before the
//! read began; its age is the time from that commit to the read's start (definite, so a
//! lower bound). It is *ahead* when the value was committed only after the read had ended,
//! a *phantom* when it never was.

use crate::history::record::{History, OpRecord, Source};
use crate::operation::{OpId, OpKind, Outcome};

use super::States;

/// What reads returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Reads that returned, rows found or not.
    pub reads: u64,
    /// Served by the cache.
    pub hits: u64,
    /// Asked the cache in vain.
    pub misses: u64,
    /// Stale ones.
    pub stale: u64,
    /// Stale ones that the cache served.
    pub stale_hits: u64,
    /// Values that were committed later than read.
    pub ahead: u64,
    /// Values that were never committed.
    pub phantom: u64,
    /// Rows other than asked for.
    pub wrong: u64,
    /// The age of each stale read in nanoseconds, in the order of the history.
    pub ages: Vec<u64>,
    /// The most commits that a read was behind.
    pub versions_behind: u64,
}

/// Judges every read of a history.
pub fn judge(history: &History, states: &States) -> Reads {
    let mut reads = Reads::default();
    for op in &history.ops {
        if op.kind == OpKind::Read && op.outcome == Outcome::Ok {
            reads.judge(op, states);
        }
    }
    reads
}

/// What a read that returned is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The value was current at some time during the read.
    Fresh,
    /// It had been superseded before the read began.
    Stale {
        /// From the superseding commit to the read's start, in nanoseconds.
        age_nanos: u64,
        /// Commits by which it was behind.
        behind: u64,
        /// The operation whose commit superseded it.
        superseded: OpId,
    },
    /// It was committed only after the read had ended.
    Ahead,
    /// It was never committed.
    Phantom,
    /// It is another row than was asked for.
    Wrong,
}

/// Judges one read that returned.
pub fn judge_one(op: &OpRecord, states: &States) -> Judgement {
    if op.wrong {
        return Judgement::Wrong;
    }
    let of_key = states.of(op.key);
    let place = match op.found {
        true => states.place(op.key, op.value),
        // Of several absent states the latest that had begun explains the read best.
        false => of_key.iter().rposition(|state| state.absent && state.at <= op.end),
    };
    let Some(place) = place else { return Judgement::Phantom };
    if of_key[place].at > op.end {
        return Judgement::Ahead;
    }
    let Some(next) = of_key.get(place + 1).filter(|next| next.at < op.start) else {
        return Judgement::Fresh;
    };
    let behind = of_key[place + 1..].iter().take_while(|state| state.at < op.start).count();
    Judgement::Stale {
        age_nanos: op.start.since(next.at).as_nanos() as u64,
        behind: behind as u64,
        superseded: next.writer,
    }
}

impl Reads {
    fn judge(&mut self, op: &OpRecord, states: &States) {
        self.reads += 1;
        self.hits += u64::from(op.source == Source::Hit);
        self.misses += u64::from(op.source == Source::Miss);
        match judge_one(op, states) {
            Judgement::Fresh => {}
            Judgement::Stale { age_nanos, behind, .. } => {
                self.stale += 1;
                self.stale_hits += u64::from(op.source == Source::Hit);
                self.ages.push(age_nanos);
                self.versions_behind = self.versions_behind.max(behind);
            }
            Judgement::Ahead => self.ahead += 1,
            Judgement::Phantom => self.phantom += 1,
            Judgement::Wrong => self.wrong += 1,
        }
    }
}

/// The age of what a read returned, `None` when it was not stale.
pub fn age(op: &OpRecord, states: &States) -> Option<u64> {
    let mut reads = Reads::default();
    reads.judge(op, states);
    reads.ages.pop()
}
