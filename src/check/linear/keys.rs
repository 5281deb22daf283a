//! Judges all keys of a history, each by itself: linearizability is local (Herlihy and Wing).

use super::{Limit, Verdict, Violation, judge_within};
use crate::history::log::{Log, Op};
use crate::history::record::KeyId;
use crate::parallel;
use crate::time::Time;

/// The verdicts on a history's keys. Operations are places in [`Log::ops`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// How many keys had operations.
    pub keys: usize,
    /// The keys that are violated, the most telling first: fewest operations, shortest span.
    pub violated: Vec<(KeyId, Violation)>,
    /// The keys that are not decided.
    pub unknown: Vec<(KeyId, Limit)>,
}

/// Judges every key; `limit` is that of the search, for each key.
pub fn judge_log(log: &Log, limit: u64) -> Judgement {
    let mut judgement = Judgement::default();
    let verdicts = match log.keys() {
        1 => vec![judge_within(&log.ops, log.initial[0], limit)],
        keys => {
            let (places, from) = log.by_key();
            parallel::map(keys, |key| {
                let places = &places[from[key] as usize..from[key + 1] as usize];
                let ops: Vec<Op> = places.iter().map(|place| log.ops[*place as usize]).collect();
                let mut verdict = judge_within(&ops, log.initial[key], limit);
                if let Verdict::Violated(violation) = &mut verdict {
                    violation.rename(|place| places[place] as usize);
                }
                verdict
            })
        }
    };
    let mut seen = vec![false; log.keys()];
    log.ops.iter().for_each(|op| seen[op.key.0 as usize] = true);
    judgement.keys = seen.iter().filter(|seen| **seen).count();
    for (key, verdict) in verdicts.into_iter().enumerate() {
        let key = KeyId(key as u32);
        match verdict {
            Verdict::Holds => {}
            Verdict::Violated(violation) => judgement.violated.push((key, violation)),
            Verdict::Unknown(limit) => judgement.unknown.push((key, limit)),
        }
    }
    judgement.violated.sort_by_key(|(key, violation)| (rank(&log.ops, violation), *key));
    judgement
}

/// By what violations are compared: fewest operations, shortest span, earliest.
pub(super) fn rank(ops: &[Op], violation: &Violation) -> (usize, u64, Time) {
    let of = || violation.ops.iter().map(|place| &ops[*place]);
    let first = of().map(|op| op.start).min().unwrap_or(Time::ZERO);
    let last = of().map(|op| op.end.min(Op::LATEST).max(op.start)).max();
    (violation.ops.len(), last.unwrap_or(first).0 - first.0, first)
}
