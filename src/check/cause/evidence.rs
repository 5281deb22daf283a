//! What there is to know about one entry: the steps on its key, those of whoever installed it,
//! those of whoever wrote last, and the commits that superseded it.

use super::{Invalidation, installs, invalidates};
use crate::check::States;
use crate::check::states::State;
use crate::history::record::{History, KeyId, OpRecord, StepKind, StepRecord, StepResult};
use crate::operation::OpId;
use crate::step::{StepError, StepId};

/// Which entry is asked about.
pub(super) struct Suspect {
    /// The key that it is under.
    pub key: KeyId,
    /// The key of its row, by which commits are listed.
    pub row: KeyId,
    /// The writer of its value.
    pub cached: Option<OpId>,
    /// It says that there is no row.
    pub negative: bool,
    /// Only what took effect before this place in the order of executions counts.
    pub until: u64,
}

/// A step and its number.
pub(super) type Step<'a> = (StepId, &'a StepRecord);

pub(super) struct Evidence<'a> {
    pub history: &'a History,
    pub states: &'a States,
    pub row: KeyId,
    pub key: KeyId,
    pub until: u64,
    pub negative: bool,
    /// Steps on the entry's key, in the order in which they were sent.
    pub steps: Vec<Step<'a>>,
    pub installed: StepId,
    pub install: &'a StepRecord,
    /// The select that the entry was filled from.
    pub read: Option<Step<'a>>,
    /// All steps of the operation that installed it.
    pub installer: Vec<Step<'a>>,
    /// The first commit that superseded the value; `None` when nothing did.
    pub next: Option<State>,
    /// The last commit, where something superseded it.
    pub last: Option<State>,
    /// All steps of the last commit's writer.
    pub writer: Vec<Step<'a>>,
}

impl<'a> Evidence<'a> {
    /// `None` when nothing in the history installed the entry.
    pub fn collect(
        history: &'a History,
        states: &'a States,
        suspect: Suspect,
    ) -> Option<Evidence<'a>> {
        let Suspect { key, row, cached, negative, until } = suspect;
        let steps: Vec<Step<'a>> =
            numbered(history).filter(|(_, step)| step.key == Some(key)).collect();
        let (installed, install) = *steps
            .iter()
            .filter(|(_, step)| installs(step) && step.order < until)
            .filter(|(_, step)| match (negative, cached) {
                (true, _) => step.absent,
                (false, Some(cached)) => step.value == cached,
                (false, None) => true,
            })
            .max_by_key(|(_, step)| step.order)?;
        let of_key = states.of(row);
        let place = match negative {
            false => cached.and_then(|cached| states.place(row, cached)),
            true => of_key.iter().rposition(|s| s.absent && s.order < install.order),
        };
        let next = place.and_then(|place| of_key.get(place + 1)).copied();
        let next = next.filter(|next| next.order < until);
        let last = of_key.iter().rfind(|state| state.order < until).copied();
        let last = last.filter(|_| next.is_some());
        let of_op = |op: OpId| numbered(history).filter(move |(_, step)| step.op == op);
        let installer: Vec<Step<'a>> = of_op(install.op).collect();
        let read = installer.iter().rev().copied().find(|(_, step)| {
            step.kind == StepKind::DbSelect
                && step.key == Some(row)
                && step.order != 0
                && step.order < install.order
        });
        let writer = last.map_or_else(Vec::new, |last| of_op(last.writer).collect());
        Some(Evidence {
            history,
            states,
            row,
            key,
            until,
            negative,
            steps,
            installed,
            install,
            read,
            installer,
            next,
            last,
            writer,
        })
    }

    /// The record of an operation; there is none for background work.
    pub fn op(&self, id: OpId) -> Option<&'a OpRecord> {
        self.history.ops.iter().find(|op| op.id == id)
    }

    /// The attempts of the last writer to remove or replace the entry, or of background work on
    /// its behalf, in the order in which they were sent.
    pub fn attempts(&self) -> Vec<Step<'a>> {
        let Some(last) = &self.last else { return Vec::new() };
        let attempts = |by: &dyn Fn(&StepRecord) -> bool| -> Vec<Step<'a>> {
            let on_key = self.steps.iter().copied();
            on_key.filter(|(_, step)| invalidates(step.kind) && by(step)).collect()
        };
        let own = attempts(&|step| step.op == last.writer);
        match own.is_empty() {
            false => own,
            true => attempts(&|step| {
                is_background(step.op) && step.sent >= last.at && step.op != self.install.op
            }),
        }
    }

    /// What became of the last writer's invalidation: its last attempt counts.
    pub fn invalidation(&self) -> (Invalidation, Option<StepId>) {
        if self.last.is_none() {
            return (Invalidation::NotNeeded, None);
        }
        match self.attempts().last() {
            None => (Invalidation::NeverSent, None),
            Some((id, step)) => (self.fate(step), Some(*id)),
        }
    }

    /// What became of an attempt.
    pub fn fate(&self, step: &StepRecord) -> Invalidation {
        match (step.order, step.error, step.result) {
            (0, Some(StepError::Refused), _) => Invalidation::Refused,
            (0, ..) | (_, _, StepResult::CacheRefused(_)) => Invalidation::Lost,
            (order, ..) if order < self.install.order => Invalidation::BeforeInstall,
            _ => Invalidation::Applied,
        }
    }

    /// Whether something of this kind happened to the key between two places in the order.
    pub fn happened(&self, kind: StepKind, after: u64, before: u64) -> bool {
        let between = |step: &StepRecord| after < step.order && step.order < before;
        match kind {
            StepKind::CacheRestart | StepKind::CacheWarmRestart | StepKind::CacheFlushAll => self
                .history
                .steps
                .iter()
                .any(|s| s.kind == kind && s.node == self.install.node && between(s)),
            _ => self.steps.iter().any(|(_, step)| step.kind == kind && between(step)),
        }
    }

    /// The last step of the installing operation on the key that fits, before a place.
    pub fn installer_step(
        &self,
        before: u64,
        fits: impl Fn(&StepRecord) -> bool,
    ) -> Option<&'a StepRecord> {
        let own = self.installer.iter().map(|(_, step)| *step);
        own.filter(|s| s.key == Some(self.key) && s.order != 0 && s.order < before && fits(s))
            .max_by_key(|step| step.order)
    }
}

pub(super) fn numbered(history: &History) -> impl Iterator<Item = Step<'_>> {
    let steps = history.steps.iter().enumerate();
    steps.map(|(number, step)| (StepId(number as u64), step))
}

/// Whether an operation is a round of background work.
pub(super) fn is_background(op: OpId) -> bool {
    op != OpId::NONE && op != OpId::INITIAL && op.client().process_of_background().is_some()
}
