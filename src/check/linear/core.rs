//! The core of a violation among values that were written several times: as few operations
//! as can be found that still have no order.
//!
//! Leaving something out must not hide a write that a remaining read could have returned, so
//! only these are left out: a read; everything about a value; a write that each remaining read
//! of its value precedes, or that was overwritten before that read began.

use super::search::{Found, search};
use super::witness::violation;
use super::{Proof, Violation};
use crate::history::log::{Op, Value};
use crate::time::Time;

/// Configurations that one trial may visit.
const TRIAL: u64 = 200_000;
/// Configurations that all trials together may visit, about.
const EFFORT: u64 = 4_000_000;

struct Core<'a> {
    ops: &'a [Op],
    initial: Value,
    kept: Vec<usize>,
    effort: u64,
}

/// Shrinks operations that have no order; those up to a time are probably to blame.
pub(super) fn shrink(ops: &[Op], initial: Value, until: Time) -> Violation {
    let counts = |op: &Op| match op.has_read() {
        true => op.end <= until,
        false => op.may_write() && op.start <= until,
    };
    let all = (0..ops.len()).filter(|place| ops[*place].has_read() || ops[*place].may_write());
    let mut core = Core { ops, initial, kept: all.collect(), effort: 0 };
    // Only a guess, since the search knows of later reads.
    core.try_without(|place| !counts(&ops[place]));
    core.minimal()
}

/// Shrinks these operations, if they alone have no order.
pub(super) fn shrink_within(ops: &[Op], initial: Value, within: &[usize]) -> Option<Violation> {
    let all = (0..ops.len()).filter(|place| ops[*place].has_read() || ops[*place].may_write());
    let mut core = Core { ops, initial, kept: all.collect(), effort: 0 };
    core.try_without(|place| within.binary_search(&place).is_err());
    (core.kept.len() <= within.len()).then(|| core.minimal())
}

impl Core<'_> {
    /// What remains when nothing more can be left out.
    fn minimal(mut self) -> Violation {
        loop {
            let before = self.kept.len();
            self.drop_values();
            self.drop_reads();
            self.drop_writes();
            if self.kept.len() == before || self.effort > EFFORT {
                break;
            }
        }
        violation(self.ops, Proof::Exhausted, self.kept)
    }

    /// Leaves operations out if what remains still has no order.
    fn try_without(&mut self, out: impl Fn(usize) -> bool) {
        let kept: Vec<usize> = self.kept.iter().copied().filter(|place| !out(*place)).collect();
        if kept.len() == self.kept.len() || self.effort > EFFORT {
            return;
        }
        self.effort += self.ops.len() as u64 / 64;
        if !self.is_closed(&kept) {
            return;
        }
        let ops: Vec<Op> = kept.iter().map(|place| self.ops[*place]).collect();
        self.effort += ops.len() as u64;
        match search(&ops, self.initial, TRIAL) {
            Found::Nothing(_) => self.kept = kept,
            Found::Limit(visited) => self.effort += visited,
            Found::Order(_) => {}
        }
    }

    fn drop_values(&mut self) {
        let mut values: Vec<Value> = self.kept.iter().map(|place| self.ops[*place].value).collect();
        values.sort_unstable();
        values.dedup();
        let ops = self.ops;
        for_chunks(values.len(), |from, to| {
            let (first, last) = (values[from], values[to - 1]);
            self.try_without(|place| (first..=last).contains(&ops[place].value));
        });
    }

    fn drop_reads(&mut self) {
        let ops = self.ops;
        let is_read = |place: &usize| ops[*place].has_read();
        let reads: Vec<usize> = self.kept.iter().copied().filter(is_read).collect();
        for_chunks(reads.len(), |from, to| {
            let (first, last) = (reads[from], reads[to - 1]);
            self.try_without(|place| is_read(&place) && (first..=last).contains(&place));
        });
    }

    fn drop_writes(&mut self) {
        let ops = self.ops;
        let writes: Vec<usize> =
            self.kept.iter().copied().filter(|place| ops[*place].may_write()).collect();
        for_chunks(writes.len(), |from, to| {
            let (first, last) = (writes[from], writes[to - 1]);
            let dropped = |place: &usize| (first..=last).contains(place);
            self.try_without(|place| ops[place].may_write() && dropped(&place));
        });
    }

    /// Whether no write outside could have served a read inside.
    fn is_closed(&mut self, kept: &[usize]) -> bool {
        let ops = self.ops;
        let mut inside = vec![false; ops.len()];
        kept.iter().for_each(|place| inside[*place] = true);
        let mut read: Vec<(Value, usize)> = kept
            .iter()
            .filter(|place| ops[**place].has_read())
            .map(|place| (ops[*place].value, *place))
            .collect();
        read.sort_unstable();
        let outside = (0..ops.len()).filter(|place| ops[*place].may_write() && !inside[*place]);
        for write in outside {
            let from = read.partition_point(|(value, _)| *value < ops[write].value);
            for (_, read) in read[from..].iter().take_while(|(v, _)| *v == ops[write].value) {
                self.effort += 1;
                let read = &ops[*read];
                let between = |place: &usize| {
                    let op = &ops[*place];
                    op.may_write() && ops[write].precedes(op) && op.precedes(read)
                };
                if !read.precedes(&ops[write]) && !kept.iter().any(between) {
                    return false;
                }
            }
        }
        true
    }
}

/// Calls with ever smaller ranges of `0..length`, single ones last.
fn for_chunks(length: usize, mut each: impl FnMut(usize, usize)) {
    let mut size = length;
    while size > 0 {
        for from in (0..length).step_by(size) {
            each(from, (from + size).min(length));
        }
        size /= 2;
    }
}
