//! The cause of a bad entry, from provenance alone: which step installed it, from what,
//! which commit superseded it, and what became of the invalidation that should have
//! removed it. From these follows the hazard's name.

use serde::{Deserialize, Serialize};

use super::States;
use super::audit::Class;
use crate::history::record::{History, KeyId, Reported, StepKind, StepRecord, StepResult};
use crate::operation::{ClientId, OpId};
use crate::step::{StepError, StepId};
use crate::time::Time;

/// How a bad entry came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Since when the entry has been wrong.
    pub since: Time,
    /// The step that installed it.
    pub installed: Option<StepId>,
    /// The select from which it was filled, when a reader installed it.
    pub read: Option<StepId>,
    /// The operation whose commit superseded it first.
    pub superseded: Option<OpId>,
    /// The step of that commit.
    pub commit: Option<StepId>,
    /// What became of the invalidation by the last writer.
    pub invalidation: Invalidation,
    /// The step of that invalidation.
    pub invalidated: Option<StepId>,
    /// The hazard.
    pub hazard: &'static str,
}

/// What became of the invalidation (a delete, or a set of the new value) that should have
/// removed the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invalidation {
    /// The writer sent none.
    NeverSent,
    /// It was sent and refused.
    Refused,
    /// It was sent and lost, or answered with an error.
    Lost,
    /// It took effect before the entry was installed.
    BeforeInstall,
    /// It took effect, and did not help.
    Applied,
    /// There was nothing to invalidate for: nothing superseded the entry.
    NotNeeded,
}

impl Invalidation {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Invalidation::NeverSent => "never sent",
            Invalidation::Refused => "refused",
            Invalidation::Lost => "lost",
            Invalidation::BeforeInstall => "applied before the install",
            Invalidation::Applied => "applied, without effect on it",
            Invalidation::NotNeeded => "not needed",
        }
    }
}

/// Finds the cause of a bad entry; `None` when nothing in the history installed it.
pub fn find(
    history: &History,
    states: &States,
    key: KeyId,
    class: Class,
    cached: Option<OpId>,
) -> Option<Cause> {
    let steps: Vec<(StepId, &StepRecord)> = history
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.key == Some(key))
        .map(|(number, step)| (StepId(number as u64), step))
        .collect();
    let (installed, install) = *steps
        .iter()
        .filter(|(_, step)| installs(step) && cached.is_none_or(|cached| step.value == cached))
        .max_by_key(|(_, step)| step.order)?;
    let read = steps.iter().rev().find(|(_, step)| {
        step.op == install.op
            && step.kind == StepKind::DbSelect
            && step.order < install.order
            && step.result == StepResult::Found
    });
    let evidence =
        Evidence { history, states, key, steps: &steps, install, read: read.map(|r| r.1) };
    let place = cached.and_then(|cached| states.place(key, cached));
    let next = place.and_then(|place| states.of(key).get(place + 1));
    let last = states.of(key).last().filter(|_| next.is_some());
    let (invalidation, invalidated) = match last {
        None => (Invalidation::NotNeeded, None),
        Some(last) => evidence.invalidation(last.writer, last.order),
    };
    let hazard = match (class, last) {
        (Class::WrongKey, _) => "key-collision",
        (Class::Undecodable, _) => "serialization-skew",
        (Class::NegativeStale, _) => "negative-cache-race",
        (_, None) => evidence.ahead(),
        (_, Some(last)) => {
            evidence.hazard(last.writer, invalidation, invalidated.map(|(_, step)| step))
        }
    };
    Some(Cause {
        since: next.map_or(install.executed, |next| next.at.max(install.executed)),
        installed: Some(installed),
        read: read.map(|(id, _)| *id),
        superseded: next.map(|next| next.writer),
        commit: next.map(|next| next.step),
        invalidation,
        invalidated: invalidated.map(|(id, _)| id),
        hazard,
    })
}

fn installs(step: &StepRecord) -> bool {
    use StepKind::*;
    step.result == StepResult::Done
        && matches!(
            step.kind,
            CacheSet
                | CacheAdd
                | CacheReplace
                | CacheAppend
                | CachePrepend
                | CacheCas
                | CacheMetaSet
        )
}

fn invalidates(kind: StepKind) -> bool {
    use StepKind::*;
    matches!(
        kind,
        CacheDelete
            | CacheMetaDelete
            | CacheSet
            | CacheAdd
            | CacheReplace
            | CacheCas
            | CacheMetaSet
    )
}

struct Evidence<'a> {
    history: &'a History,
    states: &'a States,
    key: KeyId,
    steps: &'a [(StepId, &'a StepRecord)],
    install: &'a StepRecord,
    read: Option<&'a StepRecord>,
}

impl<'a> Evidence<'a> {
    /// What became of the last writer's invalidation: its last attempt counts.
    fn invalidation(
        &self,
        writer: OpId,
        _commit: u64,
    ) -> (Invalidation, Option<(StepId, &'a StepRecord)>) {
        let attempt =
            self.steps.iter().rev().find(|(_, step)| step.op == writer && invalidates(step.kind));
        let Some((id, step)) = attempt else { return (Invalidation::NeverSent, None) };
        let fate = match (step.order, step.error, step.result) {
            (0, Some(StepError::Refused), _) => Invalidation::Refused,
            (0, ..) | (_, _, StepResult::CacheRefused(_)) => Invalidation::Lost,
            (order, ..) if order < self.install.order => Invalidation::BeforeInstall,
            _ => Invalidation::Applied,
        };
        (fate, Some((*id, step)))
    }

    /// The hazard of an entry that a commit has superseded.
    fn hazard(
        &self,
        writer: OpId,
        fate: Invalidation,
        attempt: Option<&StepRecord>,
    ) -> &'static str {
        if writer.client() == ClientId::BYPASS {
            return "bypass-write";
        }
        if self.filled_from_the_past() {
            return match self.read.is_some_and(|read| read.in_transaction) {
                true => "old-snapshot-fill",
                false => "replica-lag-refill",
            };
        }
        let by_reader = self.read.is_some();
        let was_set = attempt.is_some_and(|step| step.kind != StepKind::CacheDelete);
        match fate {
            Invalidation::Refused | Invalidation::Lost if was_set => "set-fails",
            Invalidation::Refused | Invalidation::Lost => "delete-fails",
            Invalidation::NeverSent => self.never_sent(writer),
            _ if self.install.executed > self.install.answered => "delayed-request",
            _ if by_reader && was_set => "fill-vs-update-set",
            _ if by_reader && self.deleted_before_commit(writer, attempt) => "delete-before-write",
            _ if by_reader => "stale-set",
            _ => "set-set-reorder",
        }
    }

    fn never_sent(&self, writer: OpId) -> &'static str {
        let op = self.history.ops.iter().find(|op| op.id == writer);
        let unanswered = self.history.steps.iter().any(|step| {
            step.op == writer
                && step.kind.is_database()
                && step.kind.writes()
                && step.error.is_some_and(|error| !error.is_definite())
        });
        match op.map(|op| op.reported) {
            Some(Reported::Nothing) => "crash-between",
            Some(Reported::Error) if unanswered => "lost-reply-db",
            Some(Reported::Error) => "swallowed-error",
            _ => "no-invalidation",
        }
    }

    /// The fill's select took effect after the superseding commit and yet saw the old row.
    fn filled_from_the_past(&self) -> bool {
        let Some(read) = self.read else { return false };
        let of_key = self.states.of(self.key);
        let place = self.states.place(self.key, read.value);
        place.and_then(|place| of_key.get(place + 1)).is_some_and(|next| next.order < read.order)
    }

    fn deleted_before_commit(&self, writer: OpId, attempt: Option<&StepRecord>) -> bool {
        let commit = self.states.place(self.key, writer).map(|p| self.states.of(self.key)[p]);
        match (attempt, commit) {
            (Some(attempt), Some(commit)) => attempt.order < commit.order,
            _ => false,
        }
    }

    /// The hazard of an entry that nothing superseded, because it was never committed.
    fn ahead(&self) -> &'static str {
        let op = self.history.ops.iter().find(|op| op.id == self.install.value);
        match op.map(|op| op.reported) {
            Some(Reported::Ok) => "write-behind-loss",
            Some(Reported::Nothing) => "crash-between",
            _ => "db-fail-after-cache",
        }
    }
}
