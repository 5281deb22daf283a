//! How the entries of a state came to be, as far as it can still explain a bad entry: the
//! provenance that names hazards, in a form that two states can be compared by.
//!
//! For each key only these steps count: those of operations under way, of the operation that
//! stored the entry, of the operations whose commits it is behind, and what servers and
//! outsiders did; from the first of them on whose result is still held somewhere.

use std::hash::{Hash, Hasher};

use super::identity::Fold128;
use crate::history::record::{History, KeyId, StepKind, StepRecord, StepResult};
use crate::operation::OpId;
use crate::time::Time;

/// Feeds the stories of all keys to a hasher; `open` are the operations under way.
pub(super) fn fingerprint(history: &History, open: &[OpId], into: &mut impl Hasher) {
    let mut steps: Vec<&StepRecord> =
        history.steps.iter().filter(|step| step.order > 0 && matters(step.kind)).collect();
    steps.sort_unstable_by_key(|step| step.order);
    let mut keys: Vec<KeyId> = steps.iter().filter_map(|step| step.key).collect();
    keys.sort_unstable();
    keys.dedup();
    // In the order of their names: numbers are given in the order of first use.
    keys.sort_unstable_by_key(|key| history.keys.name(*key));
    for key in keys {
        let of_key: Vec<&StepRecord> = steps
            .iter()
            .copied()
            .filter(|step| step.key == Some(key) || step.key.is_none())
            .collect();
        of_one_key(history, key, &of_key, open, into);
    }
}

fn of_one_key(
    history: &History,
    key: KeyId,
    steps: &[&StepRecord],
    open: &[OpId],
    into: &mut impl Hasher,
) {
    let install = steps.iter().rev().find(|step| changes_entry(step)).filter(|step| fills(step));
    let first = |op: OpId| steps.iter().find(|step| step.op == op).map(|step| step.order);
    let stored = install.and_then(|step| first(step.op));
    let written = install.and_then(|step| first(step.value));
    let opened = open.iter().filter_map(|op| first(*op)).min();
    let Some(since) = stored.into_iter().chain(written).chain(opened).min() else { return };
    let writes = |op: OpId| history.commits.iter().any(|c| c.key == key && c.writer == op);
    history.keys.name(key).hash(into);
    // Reads may be exchanged among themselves: each counts by the changes before it.
    let mut changes: u64 = 0;
    let mut reads: u128 = 0;
    let mut rounds = Rounds::default();
    for step in steps.iter().filter(|step| step.order >= since) {
        let involved = open.contains(&step.op)
            || install.is_some_and(|install| install.op == step.op)
            || writes(step.op)
            || !step.op.client().is_ordinary();
        if !involved {
            continue;
        }
        let Some(op) = rounds.name(step) else { continue };
        let told = (op, step.kind, step.result, step.value, step.node);
        let how = (step.fault, step.error, step.answered != Time::NEVER, step.in_transaction);
        if step.kind.writes() {
            changes += 1;
            (told, how).hash(into);
        } else {
            reads = reads.wrapping_add(Fold128::of(&(told, how, changes)));
        }
    }
    reads.hash(into);
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

/// Feeds all that has happened to a key to a hasher, in order.
pub(super) fn whole(history: &History, key: KeyId, into: &mut impl Hasher) {
    let mut steps: Vec<&StepRecord> = history
        .steps
        .iter()
        .filter(|step| step.order > 0 && (step.key == Some(key) || step.key.is_none()))
        .collect();
    steps.sort_unstable_by_key(|step| step.order);
    // Whether a step came before or after a fault began can be what tells two hazards apart.
    for fault in &history.faults {
        let before = steps.iter().filter(|step| step.executed <= fault.at).count();
        (fault.rule, before).hash(into);
    }
    let mut rounds = Rounds::default();
    for step in steps {
        let Some(op) = rounds.name(step) else { continue };
        (op, step.kind, step.result, step.value, step.node, step.fault).hash(into);
    }
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
            let told = Fold128::of(&(step.kind, step.result, step.value, step.node, step.fault));
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

/// Whether a step can be part of how an entry came to be.
fn matters(kind: StepKind) -> bool {
    !matches!(kind, StepKind::CacheGet | StepKind::CacheVersion | StepKind::Local)
}

fn changes_entry(step: &StepRecord) -> bool {
    use StepKind::*;
    step.kind.is_cache()
        && !matches!(step.kind, CacheTouch | CacheGat | CacheMetaGet)
        && matches!(step.result, StepResult::Done)
}

fn fills(step: &StepRecord) -> bool {
    step.value != OpId::NONE
}
