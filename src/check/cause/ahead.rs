//! Entries that no commit made, or that say that there is no row.

use super::evidence::Evidence;
use crate::history::record::{Reported, StepKind, StepResult};

impl Evidence<'_> {
    /// The hazard of an entry that nothing superseded, because it was never committed.
    pub(super) fn ahead(&self) -> &'static str {
        let changed = self.installer.iter().find(|(_, step)| {
            let writes = step.kind.is_database() && step.kind.writes();
            writes && step.result == StepResult::Done && step.order < self.install.order
        });
        let from_select = self.read.is_some_and(|(_, read)| read.value == self.install.value);
        if from_select {
            return "phantom-uncommitted-fill";
        }
        if changed.is_some() {
            return "rollback-after-effect";
        }
        match self.op(self.install.value).map(|op| op.reported) {
            Some(Reported::Ok) => "write-behind-loss",
            Some(Reported::Nothing) => "crash-between",
            _ => "db-fail-after-cache",
        }
    }

    /// The hazard of an entry that says that there is no row, after one was inserted.
    pub(super) fn negative_stale(&self) -> &'static str {
        let deletes = |kind| matches!(kind, StepKind::CacheDelete | StepKind::CacheMetaDelete);
        let attempted = self.attempts().iter().any(|(_, step)| deletes(step.kind));
        let lost = self.attempts().iter().all(|(_, step)| step.order == 0);
        match (attempted, lost) {
            (false, _) => "negative-cache-no-invalidate",
            (true, true) => "delete-fails",
            (true, false) => "negative-cache-race",
        }
    }
}
