//! The cause of what is wrong, from provenance alone: which step installed the entry, from
//! what, which commit superseded it, and what became of the invalidation that should have
//! removed it. From these follows the hazard's name; scenario and pattern are not asked.
//!
//! - [`find`]: a bad entry at the audit;
//! - [`of_read`]: a read that returned something superseded, uncommitted or foreign;
//! - [`of_torn_read`]: several rows that were never current together.
//!
//! The rules for superseded entries are in `stale.rs`, in the order in which they are tried, and
//! those for entries that no commit made in `ahead.rs`.

mod ahead;
mod evidence;
mod read;
pub(crate) mod signs;
mod stale;

pub(crate) use read::applied_twice;
pub use read::{of_read, of_torn_read};

use serde::{Deserialize, Serialize};

use self::evidence::{Evidence, Suspect};
use super::States;
use super::audit::Class;
use crate::history::record::{History, KeyId, StepKind, StepRecord, StepResult};
use crate::operation::OpId;
use crate::step::StepId;
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
    let negative = class == Class::NegativeStale;
    let until = u64::MAX;
    let suspect = Suspect { key, row: key, cached, negative, until };
    let evidence = Evidence::collect(history, states, suspect)?;
    let hazard = match class {
        Class::WrongKey => "key-collision",
        Class::Undecodable => "serialization-skew",
        _ => evidence.hazard(),
    };
    Some(evidence.cause(hazard))
}

impl Evidence<'_> {
    /// The hazard of an entry of the right key that is a row, or says that there is none.
    fn hazard(&self) -> &'static str {
        match (&self.last, self.negative) {
            (None, _) => self.ahead(),
            (Some(_), true) => self.negative_stale(),
            (Some(_), false) => self.stale(),
        }
    }

    fn cause(&self, hazard: &'static str) -> Cause {
        let (invalidation, invalidated) = self.invalidation();
        let installed = self.install.executed;
        Cause {
            since: self.next.as_ref().map_or(installed, |next| next.at.max(installed)),
            installed: Some(self.installed),
            read: self.read.map(|(id, _)| id),
            superseded: self.next.as_ref().map(|next| next.writer),
            commit: self.next.as_ref().map(|next| next.step),
            invalidation,
            invalidated,
            hazard,
        }
    }
}

/// Whether a step put a row, or that there is none, into the cache.
fn installs(step: &StepRecord) -> bool {
    use StepKind::*;
    let stores = matches!(
        step.kind,
        CacheSet | CacheAdd | CacheReplace | CacheAppend | CachePrepend | CacheCas | CacheMetaSet
    );
    stores && step.result == StepResult::Done
}

/// Whether a step is meant to remove or replace an entry.
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
