//! Checks certificates without knowing how they were found.
//!
//! It shares nothing with the checkers but the definition of an operation, and would rather
//! be short than quick; read it first if you doubt a verdict. Two arguments carry everything:
//! few operations that have no order (all orders are tried), and reads of absence that
//! outnumber the deletes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::{Proof, Violation};
use crate::history::log::{Kind, Op, Value};
use crate::operation::Outcome;
use crate::time::Time;

fn ensure(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// Checks that an order of operations explains the history: every certain operation is in it
/// once, no operation comes after one that was invoked later than it returned, and every read
/// returns what was written last.
pub fn order(ops: &[Op], initial: Value, order: &[usize]) -> Result<(), String> {
    let (mut now, mut latest_start) = (initial, Time::ZERO);
    let mut placed = vec![false; ops.len()];
    for place in order {
        let op = ops.get(*place).ok_or_else(|| format!("there is no operation {place}"))?;
        ensure(!std::mem::replace(&mut placed[*place], true), "an operation is there twice")?;
        ensure(op.has_read() || op.may_write(), "an operation without effect is in the order")?;
        ensure(op.deadline() >= latest_start, "an operation comes after a later one")?;
        ensure(op.kind == Kind::Write || op.value == now, "a read returns something else")?;
        (now, latest_start) = (op.value, latest_start.max(op.start));
    }
    let missing = |(op, placed): (&Op, bool)| op.outcome == Outcome::Ok && !placed;
    ensure(!ops.iter().zip(placed).any(missing), "an operation is missing")
}

/// Checks that a violation proves what it claims.
pub fn violation(ops: &[Op], initial: Value, claim: &Violation) -> Result<(), String> {
    if let Proof::TooFewDeletes { reads, deletes, initial: start } = &claim.proof {
        let could = could_serve(ops, initial, reads)?;
        ensure(could == (deletes.clone(), *start), "not these deletes could have served them")?;
        return ensure(deletes.len() + usize::from(*start) < reads.len(), "there are enough");
    }
    if let Proof::Both { one, other } = &claim.proof {
        let first = one.0.is_none_or(|place| ops[place].precedes(&ops[other.0]));
        let before = one.0.map_or(initial, |place| ops[place].value);
        ensure(first && ops[other.1].precedes(&ops[one.1]), "a precedence is wrong")?;
        ensure(before == ops[one.1].value, "the value before and after is not the same")?;
        ensure(ops[other.0].value == ops[other.1].value, "there are two values in between")?;
    }
    no_order(ops, initial, &claim.ops)
}

/// No order of the core explains its reads. A read that some write outside of the core could
/// have served counts as a write of its value: that much it shows.
fn no_order(ops: &[Op], initial: Value, core: &[usize]) -> Result<(), String> {
    let outside: Vec<&Op> =
        (0..ops.len()).filter(|place| !core.contains(place)).map(|place| &ops[place]).collect();
    let core: Vec<&Op> = core.iter().map(|place| &ops[*place]).collect();
    let core: Vec<&Op> = core.into_iter().filter(|op| op.has_read() || op.may_write()).collect();
    ensure(core.len() <= 64, "the core is too large to be checked")?;
    let served = |read: &Op, write: &Op| {
        let shows_another = |op: &Op| op.has_read() && op.value != write.value;
        let replaces = |op: &&Op| {
            (op.may_write() || shows_another(op)) && write.precedes(op) && op.precedes(read)
        };
        write.may_write()
            && write.value == read.value
            && !read.precedes(write)
            && !core.iter().any(replaces)
    };
    let writes: Vec<bool> = core
        .iter()
        .map(|op| op.kind == Kind::Write || outside.iter().any(|write| served(op, write)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut open = vec![(0u64, initial)];
    while let Some((done, now)) = open.pop() {
        let left: Vec<usize> = (0..core.len()).filter(|place| done >> place & 1 == 0).collect();
        let complete = left.iter().all(|place| core[*place].outcome != Outcome::Ok);
        ensure(!complete, "an order explains the core")?;
        ensure(seen.len() < 4_000_000, "the core is too large to be checked")?;
        for place in
            left.iter().copied().filter(|place| writes[*place] || core[*place].value == now)
        {
            let next = (done | 1 << place, core[place].value);
            let possible = left.iter().all(|other| !core[*other].precedes(core[place]));
            if possible && seen.insert(next) {
                open.push(next);
            }
        }
    }
    Ok(())
}

/// The deletes that could have served one of these reads of absence, and whether the start
/// could. Each read needs one of its own, since a value was there between any two of them: one
/// that is written once is there from the first end to the last start of its operations, or
/// during some moment of both.
fn could_serve(ops: &[Op], initial: Value, reads: &[usize]) -> Result<(Vec<usize>, bool), String> {
    let mut values = BTreeMap::from([(initial, (Time::ZERO, Time::ZERO, 1))]);
    for op in ops.iter().filter(|op| op.has_read() || op.may_write()) {
        let of = values.entry(op.value).or_insert((Time::NEVER, Time::ZERO, 0));
        let written = u32::from(op.kind == Kind::Write);
        *of = (of.0.min(op.deadline()), of.1.max(op.start), of.2 + written);
    }
    values.retain(|value, (.., writes)| *value != Value::NULL && *writes == 1);
    let alone = ops.iter().filter(|op| op.outcome == Outcome::Ok && op.value != Value::NULL);
    let alone = alone.map(|op| (op.end, op.start));
    let blocks = values.into_values().map(|(end, start, _)| (end, start)).chain(alone);
    // By first end: the largest last start up to there. By last start: the least first end of
    // those from there on.
    let (mut fronts, mut behinds) = (BTreeMap::new(), BTreeMap::new());
    for (end, start) in blocks {
        let front = fronts.entry(end).or_insert(start);
        *front = start.max(*front);
        let behind = behinds.entry(start).or_insert(end);
        *behind = end.min(*behind);
    }
    carry(fronts.values_mut(), Time::max);
    carry(behinds.values_mut().rev(), Time::min);
    // When a delete must act to serve a read: not before the last start in front, if any, and
    // not after the first end behind.
    let mut needs: Vec<(Option<Time>, Time)> = Vec::new();
    for read in reads.iter().map(|place| &ops[*place]) {
        ensure(read.has_read() && read.value == Value::NULL, "no read of absence")?;
        let front = fronts.range(..read.start).next_back().map(|(_, start)| *start);
        let after = (Bound::Excluded(read.end), Bound::Unbounded);
        let behind = behinds.range(after).next().map_or(read.end, |(_, end)| *end);
        needs.push((front, behind.min(read.end)));
    }
    let apart = reads.windows(2).zip(needs.iter().skip(1)).all(|(two, (front, _))| {
        let end = ops[two[0]].end;
        end <= ops[two[1]].end && *front > Some(end)
    });
    ensure(apart, "no value must have been there between two of the reads")?;
    // The reads are by end, so what they need is by end too.
    carry(needs.iter_mut().rev().map(|(from, _)| from), Option::min);
    let serves = |op: &Op| {
        let in_time = needs.partition_point(|(_, to)| *to < op.start);
        let window = needs.get(in_time).is_some_and(|(from, _)| *from <= Some(op.deadline()));
        window && op.may_write() && op.value == Value::NULL
    };
    let start = initial == Value::NULL && needs.iter().any(|(front, _)| front.is_none());
    Ok(((0..ops.len()).filter(|place| serves(&ops[*place])).collect(), start))
}

/// Replaces each by the best of all up to there.
fn carry<'a, T: Copy + Ord + 'a>(all: impl Iterator<Item = &'a mut T>, better: fn(T, T) -> T) {
    let mut best = None;
    for one in all {
        *one = best.map_or(*one, |best| better(best, *one));
        best = Some(*one);
    }
}
