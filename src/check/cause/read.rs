//! Reads that returned what they should not have: where they had it from, and how it came to be
//! there.

use super::Cause;
use super::evidence::{Evidence, Step, Suspect, numbered};
use rustc_hash::FxHashSet;

use crate::check::States;
use crate::history::record::{History, OpRecord, StepKind, StepRecord, StepResult};
use crate::operation::{OpId, OpKind, Outcome};
use crate::step::{StepError, Win};
use crate::time::Time;

/// The hazard behind a read that returned something superseded, uncommitted or foreign, and
/// the cause of the entry where the cache served it. `None` when the history does not tell.
pub fn of_read(
    history: &History,
    states: &States,
    op: &OpRecord,
) -> Option<(&'static str, Option<Cause>)> {
    let steps: Vec<Step<'_>> = numbered(history).filter(|(_, s)| s.op == op.id).collect();
    let Some((_, source)) = source(&steps, op) else {
        // No step of its own gave it that: the reply to an earlier one did.
        if op.wrong && reply_was_outstanding(history, op) {
            return Some(("connection-desync", None));
        }
        let joined = steps.iter().any(|(_, step)| step.kind == StepKind::Local);
        return joined.then_some(("joined-old-load", None));
    };
    match source.kind {
        StepKind::DbSelect => {
            let place = states.place(op.key, op.value)?;
            let next = states.of(op.key).get(place + 1)?;
            (next.order < source.order).then_some(("replica-lag-read", None))
        }
        StepKind::Local => Some(("local-l1-stale", None)),
        _ if !op.found && source.value == OpId::NONE && !source.absent => {
            Some(("stub-read-as-value", None))
        }
        _ if op.wrong && reply_was_outstanding(history, op) => Some(("connection-desync", None)),
        _ if op.wrong => Some(("key-collision", None)),
        _ => of_hit(history, states, op, source),
    }
}

/// Whether the client had given up a step on the cache before, or was cancelled while it waited:
/// a later reply on its connection may be that step's.
fn reply_was_outstanding(history: &History, op: &OpRecord) -> bool {
    history.steps.iter().any(|step| {
        step.op.client() == op.id.client()
            && step.kind.is_cache()
            && (step.error == Some(StepError::Timeout)
                || (step.answered == Time::NEVER && step.op != op.id))
            && step.sent <= op.end
    })
}

/// The step that gave the read its value.
fn source<'a>(steps: &[Step<'a>], op: &OpRecord) -> Option<Step<'a>> {
    let gives = |step: &StepRecord| {
        let reads = matches!(
            step.kind,
            StepKind::CacheGet
                | StepKind::CacheGat
                | StepKind::CacheMetaGet
                | StepKind::DbSelect
                | StepKind::Local
        );
        let found = matches!(step.result, StepResult::Found | StepResult::Lease(_));
        match op.found {
            true => reads && found && step.value == op.value,
            false => reads && found && step.value == OpId::NONE && step.kind != StepKind::Local,
        }
    };
    steps.iter().rev().copied().find(|(_, step)| gives(step))
}

fn of_hit(
    history: &History,
    states: &States,
    op: &OpRecord,
    hit: &StepRecord,
) -> Option<(&'static str, Option<Cause>)> {
    let suspect = Suspect {
        key: hit.key?,
        row: op.key,
        cached: op.found.then_some(op.value),
        negative: !op.found,
        until: hit.order,
    };
    let evidence = Evidence::collect(history, states, suspect)?;
    let hazard = match evidence.marked_stale(hit) {
        Some(hazard) => hazard,
        None if evidence.in_window() => evidence.window(op),
        None => evidence.hazard(),
    };
    let cause = evidence.cause(hazard);
    Some((hazard, Some(cause)))
}

impl Evidence<'_> {
    /// The entry had been marked stale, and was served all the same.
    fn marked_stale(&self, hit: &StepRecord) -> Option<&'static str> {
        let marked = self.happened(StepKind::CacheMetaDelete, self.install.order, self.until);
        match (marked, hit.kind, hit.result) {
            (true, StepKind::CacheGet | StepKind::CacheGat, _) => Some("stale-flag-ignored"),
            (true, _, StepResult::Lease(Win::Lost)) => Some("stale-while-revalidate"),
            _ => None,
        }
    }

    /// The invalidation for the last commit was still to come, and then came.
    fn in_window(&self) -> bool {
        let Some(last) = &self.last else { return false };
        let attempts = self.attempts();
        let came = attempts.iter().any(|(_, step)| self.until < step.order);
        let had_come = attempts.iter().any(|(_, step)| {
            last.order < step.order && step.order < self.until && !was_overtaken(step)
        });
        let was_there = self.install.order < last.order || self.read.is_some();
        was_there && came && !had_come
    }

    /// Between a commit and its invalidation: old for all readers, or after a newer read.
    fn window(&self, op: &OpRecord) -> &'static str {
        let place = self.states.place(self.row, op.value);
        let newer = |other: &OpRecord| {
            other.kind == OpKind::Read
                && other.outcome == Outcome::Ok
                && other.key == self.row
                && other.found
                && other.end < op.start
                && self.states.place(self.row, other.value) > place
        };
        match self.history.ops.iter().any(newer) {
            _ if self.left_to_relay() => "outbox-relay-stall",
            true => "fresh-then-stale-inversion",
            false => "commit-to-delete-window",
        }
    }
}

/// Whether a store found something else in its place, of which its caller was told. A delete that
/// found nothing has done all that it could.
fn was_overtaken(step: &StepRecord) -> bool {
    matches!(step.kind, StepKind::CacheAdd | StepKind::CacheCas)
        && matches!(step.result, StepResult::NotDone | StepResult::Exists)
}

/// The hazard behind a read of several rows that were never current together; `None` when
/// there is a point at which they were. `parts` are the records of one operation.
pub fn of_torn_read(
    history: &History,
    states: &States,
    parts: &[&OpRecord],
) -> Option<&'static str> {
    let mut from = 0;
    let mut until = u64::MAX;
    for part in parts {
        let place = if part.found { states.place(part.key, part.value)? } else { continue };
        let of_key = states.of(part.key);
        from = from.max(of_key[place].order);
        until = until.min(of_key.get(place + 1).map_or(u64::MAX, |next| next.order));
    }
    if from < until {
        return None;
    }
    let steps: Vec<Step<'_>> = numbered(history)
        .filter(|(_, step)| Some(step.op) == parts.first().map(|p| p.id))
        .collect();
    // Each part was current when it was read: only the reading took too long.
    let each_current = parts.iter().all(|part| {
        let of_key = states.of(part.key);
        let next = states.place(part.key, part.value).and_then(|place| of_key.get(place + 1));
        let read = source(&steps, part).map_or(u64::MAX, |(_, step)| step.order);
        next.is_none_or(|next| read < next.order)
    });
    Some(if each_current { "multiget-skew" } else { "torn-multi-key" })
}

/// Increments that took effect more than once for one operation.
pub(crate) fn applied_twice(history: &History) -> Vec<&StepRecord> {
    let mut seen = FxHashSet::default();
    let mut twice = Vec::new();
    for step in history.steps.iter().filter(|step| step.is_increment()) {
        if !seen.insert((step.op, step.key)) {
            twice.push(step);
        }
    }
    twice
}
