//! Linearizability and session guarantees of a schedule, key by key.

use super::finding::{Finding, Kind, Lasts};
use crate::check::States;
use crate::check::linear::{self, Verdict};
use crate::history::log::{self, Value};
use crate::history::record::{History, KeyId, OpRecord, Reported};
use crate::operation::{OpId, OpKind, Outcome};
use crate::scenario::Property;

/// What is wrong with the keys' histories.
pub(super) fn judge(
    history: &History,
    states: &States,
    asked: &[Property],
    found: &mut Vec<Finding>,
) {
    let mut keys: Vec<KeyId> = history.ops.iter().map(|op| op.key).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let name = || history.keys.name(key).to_string();
        let mut note = |kind| found.push(Finding::about(kind, name(), Lasts::Transient));
        let of_key: Vec<&OpRecord> = history.ops.iter().filter(|op| op.key == key).collect();
        if asked.contains(&Property::Linearizability) && !is_linearizable(history, key, &of_key) {
            note(Kind::NotLinearizable);
        }
        if asked.contains(&Property::Sessions) {
            for read in of_key.iter().filter(|op| returned_row(op)) {
                if misses_own_write(read, &of_key, states) {
                    note(Kind::ReadYourWrites);
                }
                if goes_back(read, &of_key, states) {
                    note(Kind::MonotonicReads);
                }
            }
        }
    }
}

/// Whether one order of the operations explains what was read. The few operations of an
/// explored schedule are always decided: a limit is not reached.
fn is_linearizable(history: &History, key: KeyId, ops: &[&OpRecord]) -> bool {
    let mut values = vec![OpId::INITIAL];
    let mut number = |writer: OpId| {
        let place = values.iter().position(|known| *known == writer).unwrap_or_else(|| {
            values.push(writer);
            values.len() - 1
        });
        Value(place as u32 + 1)
    };
    let mut register = Vec::with_capacity(ops.len());
    for op in ops {
        let value = match op.kind {
            OpKind::Read if op.found => number(op.value),
            OpKind::Read | OpKind::Delete => Value::NULL,
            _ => number(op.id),
        };
        // A write that found no row to change, or one already there, wrote nothing.
        let outcome = match op.reported {
            Reported::Unchanged if op.kind.writes() => Outcome::Failed,
            _ => op.outcome,
        };
        register.push(log::Op {
            start: op.start,
            end: op.end,
            key: KeyId(0),
            client: op.id.client(),
            value,
            kind: if op.kind.writes() { log::Kind::Write } else { log::Kind::Read },
            outcome,
        });
    }
    let existed = history.initial.iter().any(|(initial, _)| *initial == key);
    let initial = if existed { Value(1) } else { Value::NULL };
    !matches!(linear::judge(&register, initial), Verdict::Violated(_))
}

fn returned_row(op: &OpRecord) -> bool {
    op.kind == OpKind::Read && op.outcome == Outcome::Ok && op.found && !op.wrong
}

/// Whether a client read something older than what it had written itself before.
fn misses_own_write(read: &OpRecord, ops: &[&OpRecord], states: &States) -> bool {
    let Some(seen) = states.place(read.key, read.value) else { return false };
    ops.iter().any(|write| {
        write.id.client() == read.id.client()
            && write.kind.writes()
            && write.reported == Reported::Ok
            && write.end < read.start
            && states.place(write.key, write.id).is_some_and(|own| seen < own)
    })
}

/// Whether a client read something older than what it had read before.
fn goes_back(read: &OpRecord, ops: &[&OpRecord], states: &States) -> bool {
    let Some(seen) = states.place(read.key, read.value) else { return false };
    ops.iter().any(|before| {
        before.id.client() == read.id.client()
            && returned_row(before)
            && before.end < read.start
            && states.place(before.key, before.value).is_some_and(|earlier| seen < earlier)
    })
}
