//! The evidence that names of hazards are found from, in a form that two states can be compared
//! by. It is part of a state's identity only where a name is asked for.
//!
//! A name (`check/cause`) follows from what happened to a key and in which order, from what each
//! operation did, and from when it was told. So the evidence is: by key the steps that took
//! effect on it, and by operation the steps that it took, those without effect too.

use std::hash::{Hash, Hasher};

use super::identity::Fold128;
use crate::history::record::{History, KeyId, OpRecord, StepKind, StepRecord, StepResult};
use crate::operation::OpId;
use crate::time::Time;

/// Feeds what the name of an entry can still depend on to a hasher: what explains the entry of
/// each key, and what is `open`, which may become an entry. Of background work all that it did
/// from a place in the order of executions on counts, where that may be about a read.
pub(super) fn fingerprint(
    history: &History,
    open: &[OpId],
    helped_since: Option<u64>,
    into: &mut impl Hasher,
) {
    let mut steps: Vec<&StepRecord> = history.steps.iter().filter(|step| step.order > 0).collect();
    steps.sort_unstable_by_key(|step| step.order);
    let mut keys: Vec<KeyId> = steps.iter().filter_map(|step| step.key).collect();
    // In the order of their names: numbers are given in the order of first use.
    keys.sort_unstable_by_key(|key| history.keys.name(*key));
    keys.dedup();
    let mut told: Vec<OpId> = Vec::new();
    for key in keys {
        let of_key: Vec<&StepRecord> = steps
            .iter()
            .copied()
            .filter(|step| step.key == Some(key) || step.key.is_none())
            .collect();
        let mut part = Part::of(history, key, &of_key, &steps, open);
        part.helped_since = helped_since.map_or(part.since, |since| since.min(part.since));
        history.keys.name(key).hash(into);
        of_one_key(history, key, &of_key, &part, into);
        told.extend(part.ops);
    }
    told.retain(|op| op.client().is_ordinary() && *op != OpId::NONE && *op != OpId::INITIAL);
    told.sort_unstable();
    told.dedup();
    told.iter().for_each(|op| of_operation(history, *op, into));
}

/// What of a key's past explains its entry, or one that is still to come.
struct Part {
    /// From where on, in the order of executions.
    since: u64,
    /// From where on background work counts.
    helped_since: u64,
    /// Whose steps.
    ops: Vec<OpId>,
}

impl Part {
    /// Of operations under way, of who stored the entry, of who wrote what it holds, and of all
    /// that committed since the first of them began.
    fn of(
        history: &History,
        key: KeyId,
        of_key: &[&StepRecord],
        steps: &[&StepRecord],
        open: &[OpId],
    ) -> Part {
        let last = of_key.iter().rev().find(|step| changes_entry(step));
        let mut ops = open.to_vec();
        ops.extend(last.filter(|step| stores(step)).iter().flat_map(|step| [step.op, step.value]));
        let first = |op: OpId| steps.iter().find(|step| step.op == op).map(|step| step.order);
        let Some(mut since) = ops.iter().filter_map(|op| first(*op)).min() else {
            return Part { since: u64::MAX, helped_since: u64::MAX, ops };
        };
        let is_row = history.rows.get(key.0 as usize).is_some_and(Option::is_some);
        // Who committed before may have begun before: its first attempts count.
        for commit in history.commits.iter().rev().filter(|commit| !is_row || commit.key == key) {
            if commit.order >= since {
                ops.push(commit.writer);
                since = since.min(first(commit.writer).unwrap_or(since));
            }
        }
        Part { since, helped_since: since, ops }
    }

    fn has(&self, step: &StepRecord) -> bool {
        match step.op.client() {
            client if client.process_of_background().is_some() => step.order >= self.helped_since,
            client if client.is_ordinary() && step.op != OpId::INITIAL => {
                step.order >= self.since && self.ops.contains(&step.op)
            }
            // What servers and outsiders did is little, and counts for good.
            _ => true,
        }
    }
}

fn changes_entry(step: &StepRecord) -> bool {
    use StepKind::*;
    step.kind.is_cache()
        && step.kind.writes()
        && !matches!(step.kind, CacheTouch | CacheGat | CacheMetaGet)
        && step.result == StepResult::Done
}

fn stores(step: &StepRecord) -> bool {
    step.value != OpId::NONE || step.absent
}

/// What took effect on a key, and on all keys, in order. Reads may be exchanged among themselves:
/// each counts by the changes before it.
fn of_one_key(
    history: &History,
    key: KeyId,
    of_key: &[&StepRecord],
    part: &Part,
    into: &mut impl Hasher,
) {
    let is_row = history.rows.get(key.0 as usize).is_some_and(Option::is_some);
    let (mut changes, mut reads): (u64, u128) = (0, 0);
    let mut rounds = Rounds::default();
    for step in of_key.iter().filter(|step| part.has(step)) {
        let Some(op) = rounds.name(step) else { continue };
        // Of another key than its row's: whether the row had been written by then.
        let commits = history.commits.iter().filter(|commit| commit.order < step.order);
        let commits = (!is_row).then(|| commits.filter(|c| c.order >= part.since).count());
        let told = (op, step.kind, step.result, step.value, step.node, commits);
        let how = (step.fault, step.in_transaction, step.executed > step.answered);
        if step.kind.writes() {
            changes += 1;
            (told, how).hash(into);
        } else {
            reads = reads.wrapping_add(Fold128::of(&(told, how, changes)));
        }
    }
    reads.hash(into);
}

/// Feeds what the name of a read that has ended follows from to a hasher: what those did to its
/// key who wrote the row or stored an entry. Says who of them may still do something about it.
pub(super) fn of_read(history: &History, read: &OpRecord, into: &mut impl Hasher) -> Vec<OpId> {
    let mut steps: Vec<&StepRecord> = history.steps.iter().filter(|step| step.order > 0).collect();
    steps.sort_unstable_by_key(|step| step.order);
    let own = steps.iter().filter(|step| step.op == read.id).filter_map(|step| step.key);
    let mut keys: Vec<KeyId> = own.chain([read.key]).collect();
    keys.sort_unstable_by_key(|key| history.keys.name(*key));
    keys.dedup();
    let on_keys = |step: &&&StepRecord| step.key.is_some_and(|key| keys.contains(&key));
    let stored = steps.iter().filter(on_keys).filter(|step| changes_entry(step));
    let wrote = history.commits.iter().filter(|commit| commit.key == read.key);
    let wrote = wrote.map(|commit| commit.writer).chain([read.value]);
    let mut ops: Vec<OpId> = stored.map(|step| step.op).chain(wrote).collect();
    ops.retain(|op| op.client().is_ordinary() && *op != OpId::NONE && *op != OpId::INITIAL);
    ops.sort_unstable();
    ops.dedup();
    let part =
        Part { since: 0, helped_since: 0, ops: ops.iter().copied().chain([read.id]).collect() };
    for key in keys {
        let of_key: Vec<&StepRecord> = steps
            .iter()
            .copied()
            .filter(|step| step.key == Some(key) || step.key.is_none())
            .collect();
        history.keys.name(key).hash(into);
        of_one_key(history, key, &of_key, &part, into);
    }
    part.ops.iter().for_each(|op| of_operation(history, *op, into));
    let has_ended = |op: OpId| history.ops.iter().any(|record| record.id == op);
    let under_way = |op: OpId| history.steps.iter().any(|step| step.op == op && step.order == 0);
    ops.retain(|op| !has_ended(*op) || under_way(*op));
    ops
}

/// What an operation did and was told, in its own order.
pub(super) fn of_operation(history: &History, op: OpId, into: &mut impl Hasher) {
    let ended = history.ops.iter().find(|record| record.id == op);
    (op, ended.map(|record| record.reported)).hash(into);
    for step in history.steps.iter().filter(|step| step.op == op) {
        let key = step.key.map(|key| history.keys.name(key));
        let unseen = ended.is_some_and(|record| step.answered > record.end);
        (step.kind, key, step.result, step.error, step.order > 0, unseen).hash(into);
        (step.answered == Time::NEVER, step.value, step.absent).hash(into);
    }
}

/// Feeds who has reached which node since a moment to a hasher: of a fault that keeps out some
/// clients only, this tells a partition from a node that is gone.
pub(super) fn reached(history: &History, since: Time, into: &mut impl Hasher) {
    let steps = history.steps.iter().filter(|step| step.order > 0 && step.executed >= since);
    let steps = steps.filter(|step| step.kind.is_cache() && step.op.client().is_ordinary());
    let mut who: Vec<_> = steps.map(|step| (step.op.client(), step.node)).collect();
    who.sort_unstable();
    who.dedup();
    who.hash(into);
}

/// Names for rounds of background work, given in the order in which they changed something. A
/// relay that tries again and again is told of once.
#[derive(Default)]
struct Rounds {
    changing: Vec<OpId>,
    /// What was read, and found, since the last change.
    told: Vec<u128>,
}

impl Rounds {
    /// The name of a step's operation; `None` when the step says nothing that was not said.
    fn name(&mut self, step: &StepRecord) -> Option<OpId> {
        let changes = step.kind.writes();
        if changes {
            self.told.clear();
        }
        let client = step.op.client();
        if client.process_of_background().is_none() {
            return Some(step.op);
        }
        if !changes {
            let read = (step.kind == StepKind::DbReadLog).then_some(step.version);
            let told = (step.kind, step.result, step.value, step.node, step.fault, read);
            let told = Fold128::of(&told);
            let known = self.told.contains(&told);
            self.told.push(told);
            return (!known).then(|| OpId::new(client, 0));
        }
        let known = self.changing.iter().position(|op| *op == step.op);
        let place = known.unwrap_or_else(|| {
            self.changing.push(step.op);
            self.changing.len() - 1
        });
        Some(OpId::new(client, place as u32 + 1))
    }
}
