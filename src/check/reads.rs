//! How stale each read was.
//!
//! A read is *stale* when the value it returned had been superseded by a commit before the
//! read began; its age is the time from that commit to the read's start (definite, so a
//! lower bound). It is *ahead* when the value was committed only after the read had ended,
//! a *phantom* when it never was.

use crate::history::record::{History, OpRecord, Source};
use crate::operation::{OpKind, Outcome};

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

impl Reads {
    fn judge(&mut self, op: &OpRecord, states: &States) {
        self.reads += 1;
        self.hits += u64::from(op.source == Source::Hit);
        self.misses += u64::from(op.source == Source::Miss);
        self.wrong += u64::from(op.wrong);
        if op.wrong {
            return;
        }
        let of_key = states.of(op.key);
        let place = match op.found {
            true => states.place(op.key, op.value),
            // Of several absent states the latest that had begun explains the read best.
            false => of_key.iter().rposition(|state| state.absent && state.at <= op.end),
        };
        let Some(place) = place else {
            self.phantom += 1;
            return;
        };
        if of_key[place].at > op.end {
            self.ahead += 1;
            return;
        }
        if let Some(next) = of_key.get(place + 1).filter(|next| next.at < op.start) {
            self.stale += 1;
            self.stale_hits += u64::from(op.source == Source::Hit);
            self.ages.push(op.start.since(next.at).as_nanos() as u64);
            let behind = of_key[place + 1..].iter().take_while(|state| state.at < op.start).count();
            self.versions_behind = self.versions_behind.max(behind as u64);
        }
    }
}
