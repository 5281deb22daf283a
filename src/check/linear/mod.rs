//! Linearizability of one key: does one order of the operations explain everything read?
//!
//! [`judge`] decides. Values that are written once need no search (the zone theorem of
//! Gibbons and Korach, `zones`); reads of absence are decided by a sweep (`nulls`); values
//! that are written several times by a search with a limit (`search`). Every verdict comes
//! with a certificate, which [`verify`] checks without knowing how it was found: a verdict
//! that rests on a sweep or search is given only after its certificate was accepted.

mod blocks;
mod clusters;
mod core;
mod keys;
mod nearly;
mod nulls;
mod search;
mod split;
pub mod verify;
mod witness;
pub mod words;
mod zones;

pub use keys::{Judgement, judge_log};

use crate::history::log::{Op, Value};

/// What is known about the linearizability of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is linearizable.
    Holds,
    /// It is not, and this proves it.
    Violated(Violation),
    /// A limit was reached first.
    Unknown(Limit),
}

/// The limit that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Configurations that the search had visited.
    pub visited: u64,
}

/// A proof that a key is not linearizable. Operations are places in the slice judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The kind of the proof.
    pub proof: Proof,
    /// All operations that the proof speaks of, by start.
    pub ops: Vec<usize>,
}

/// Why the operations of a [`Violation`] cannot be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The read returned a value that nobody wrote and that was not there at the start.
    NeverWritten {
        /// The read.
        read: usize,
    },
    /// The read returned the value of a write that certainly failed.
    WriteFailed {
        /// The read.
        read: usize,
        /// One of the writes of the value, all of which failed.
        write: usize,
    },
    /// The read was over before the first write of its value began.
    FromTheFuture {
        /// The read.
        read: usize,
        /// The write of the value that began first.
        write: usize,
    },
    /// Value `one` must be there before the other and after it: `one.0` precedes `other.0`
    /// and `other.1` precedes `one.1`. `None` stands for the value at the start.
    Both {
        /// Two operations of one value, written once; or the last write of it to be over, of
        /// those that could have served the read, and the read.
        one: (Option<usize>, usize),
        /// Two operations of another value, written once, or twice the same operation.
        other: (usize, usize),
    },
    /// Between any two of these reads of absence some value must have been there, so each
    /// needs a delete of its own; fewer deletes can have served any of them.
    TooFewDeletes {
        /// The reads of absence, in the order in which they must have happened.
        reads: Vec<usize>,
        /// The deletes that could have served one of them.
        deletes: Vec<usize>,
        /// Whether the absence at the start could have served the first.
        initial: bool,
    },
    /// No order of these operations explains what was read; all were tried.
    Exhausted,
}

impl Violation {
    /// Changes the places of all operations.
    pub fn rename(&mut self, new: impl Fn(usize) -> usize) {
        self.ops.iter_mut().for_each(|place| *place = new(*place));
        match &mut self.proof {
            Proof::NeverWritten { read } => *read = new(*read),
            Proof::WriteFailed { read, write } | Proof::FromTheFuture { read, write } => {
                (*read, *write) = (new(*read), new(*write));
            }
            Proof::Both { one, other } => {
                *one = (one.0.map(&new), new(one.1));
                *other = (new(other.0), new(other.1));
            }
            Proof::TooFewDeletes { reads, deletes, .. } => {
                reads.iter_mut().chain(deletes).for_each(|place| *place = new(*place));
            }
            Proof::Exhausted => {}
        }
    }
}

/// Configurations that the search for values written several times may visit, unless told
/// otherwise.
pub const LIMIT: u64 = 20_000_000;

/// Judges the operations on one key, which had the `initial` value at the start.
///
/// The `key` of the operations is not looked at; their order does not matter. Values should
/// be numbered densely, since tables are as long as the largest number.
pub fn judge(ops: &[Op], initial: Value) -> Verdict {
    judge_within(ops, initial, LIMIT)
}

/// The same with another limit of the search.
pub fn judge_within(ops: &[Op], initial: Value, limit: u64) -> Verdict {
    decide(ops, initial, limit).0
}

/// An order of the operations that explains everything read, if the key is linearizable and
/// the limit is not reached.
pub fn linearization(ops: &[Op], initial: Value, limit: u64) -> Option<Vec<usize>> {
    match decide(ops, initial, limit) {
        (Verdict::Holds, Some(order)) => Some(order),
        (Verdict::Holds, None) => Some(zones::order(ops, initial, &clusters::build(ops, initial))),
        _ => None,
    }
}

fn decide(ops: &[Op], initial: Value, limit: u64) -> (Verdict, Option<Vec<usize>>) {
    let clusters = clusters::build(ops, initial);
    let conflict = zones::conflict(&clusters.all);
    let of_values = (conflict || clusters.ambiguous)
        .then(|| witness::of_values(ops, initial, &clusters, conflict))
        .flatten();
    let proofs = [witness::misread(ops, &clusters), of_values];
    if let Some(violation) = proofs.into_iter().flatten().min_by_key(|v| keys::rank(ops, v)) {
        return (Verdict::Violated(violation), None);
    }
    if !clusters.absence && !clusters.ambiguous {
        return (Verdict::Holds, None);
    }
    if clusters.absence {
        match nulls::sweep(ops, initial, &clusters) {
            Ok(order) if !clusters.ambiguous && verify::order(ops, initial, &order).is_ok() => {
                return (Verdict::Holds, Some(order));
            }
            Err(violation) if verify::violation(ops, initial, &violation).is_ok() => {
                return (Verdict::Violated(violation), None);
            }
            // Something is written several times, or the sweep was wrong: only a search helps.
            _ => {}
        }
    }
    if clusters.ambiguous {
        match split::split(ops, initial) {
            split::Split::Order(order) => return (Verdict::Holds, Some(order)),
            split::Split::Nothing(proof) => {
                let violation = core::shrink_within(ops, initial, &split::close(ops, &proof));
                let proven = |v: &Violation| verify::violation(ops, initial, v).is_ok();
                if let Some(violation) = violation.filter(proven) {
                    return (Verdict::Violated(violation), None);
                }
            }
            split::Split::Undecided => {}
        }
    }
    match search::search(ops, initial, limit) {
        search::Found::Order(order) => match verify::order(ops, initial, &order) {
            Ok(()) => (Verdict::Holds, Some(order)),
            Err(reason) => unreachable!("the search found an order that is none: {reason}"),
        },
        search::Found::Nothing(until) => {
            (Verdict::Violated(core::shrink(ops, initial, until)), None)
        }
        search::Found::Limit(visited) => (Verdict::Unknown(Limit { visited }), None),
    }
}
