//! Entries that a commit has superseded: the rules, in the order in which they are tried.

use super::Invalidation;
use super::evidence::{Evidence, Step, is_background};
use super::invalidates;
use crate::history::record::{Reported, StepKind, StepRecord, StepResult};
use crate::operation::{ClientId, OpId};
use crate::step::CacheRefusal;
use crate::time::Time;

/// What is returned where no rule fits; a test holds that no scenario comes to it.
pub(super) const UNEXPLAINED: &str = "unexplained";

impl<'a> Evidence<'a> {
    /// The hazard of an entry that a commit has superseded.
    pub(super) fn stale(&self) -> &'static str {
        let rules: [&dyn Fn() -> Option<&'static str>; 6] = [
            &|| self.outlived(),
            &|| self.flushed(),
            &|| self.filled_from_the_past(),
            &|| self.by_the_log(),
            &|| self.bypassed(),
            &|| self.late_store(),
        ];
        if let Some(hazard) = rules.iter().find_map(|rule| rule()) {
            return hazard;
        }
        let attempts = self.attempts();
        match attempts.last() {
            None => self.never_sent(),
            Some((_, attempt)) => match self.fate(attempt) {
                Invalidation::Refused | Invalidation::Lost => self.lost(attempt),
                _ => self.in_vain(&attempts),
            },
        }
    }

    /// It was read so often, and each read gave it a new expiry, that it outlived its own.
    fn outlived(&self) -> Option<&'static str> {
        let now = self.steps.iter().filter(|(_, s)| s.order != 0 && s.order < self.until);
        let now = now.map(|(_, step)| step.executed).max().unwrap_or(Time::ZERO);
        let now = if self.until == u64::MAX { now.max(self.history.phases.audit) } else { now };
        let touched = [StepKind::CacheGat, StepKind::CacheTouch]
            .iter()
            .any(|kind| self.happened(*kind, self.install.order, self.until));
        (touched && self.install.expires <= now).then_some("touch-extends-stale")
    }

    /// Whoever wrote flushed the node, and a fill from before came after it.
    fn flushed(&self) -> Option<&'static str> {
        let last = self.last?;
        let read = self.read?.1;
        let flushed = self.happened(StepKind::CacheFlushAll, last.order, self.install.order);
        (flushed && read.order < last.order && self.attempts().is_empty())
            .then_some("flush-then-old-fill")
    }

    /// The fill's select took effect after the superseding commit and yet saw the old row.
    fn filled_from_the_past(&self) -> Option<&'static str> {
        let (_, read) = self.read?;
        let place = self.states.place(self.row, read.value)?;
        let next = self.states.of(self.row).get(place + 1)?;
        if next.order >= read.order {
            return None;
        }
        let by_log = self.attempts().iter().any(|(_, step)| is_background(step.op));
        Some(match (read.in_transaction, by_log) {
            (true, _) => "old-snapshot-fill",
            (false, true) => "cdc-before-visible",
            (false, false) => "replica-lag-refill",
        })
    }

    /// Whether commits are followed by a reader of the log.
    fn has_log_reader(&self) -> bool {
        self.history.steps.iter().any(|step| step.kind == StepKind::DbReadLog)
    }

    /// The last commit's position in the log.
    fn last_position(&self) -> Option<u64> {
        let last = self.last?;
        let place = self.history.commits.iter().position(|commit| commit.order == last.order)?;
        Some(place as u64 + 1)
    }

    /// The rounds of background work that were given the record at a position, and what they
    /// then did to the key.
    fn dealt_with(&self, position: u64) -> Vec<&'a StepRecord> {
        let rounds: Vec<OpId> = self
            .history
            .steps
            .iter()
            .filter(|step| step.kind == StepKind::DbReadLog && step.version == position)
            .map(|step| step.op)
            .collect();
        let on_key = self.steps.iter().map(|(_, step)| *step);
        on_key.filter(|step| rounds.contains(&step.op) && invalidates(step.kind)).collect()
    }

    /// A reader of the log stored the entry, or should have removed it.
    fn by_the_log(&self) -> Option<&'static str> {
        if !self.has_log_reader() || !self.writer_left_it_to_others() {
            return None;
        }
        let dealt = self.dealt_with(self.last_position()?);
        let done = dealt.iter().any(|step| step.order != 0);
        if !is_background(self.install.op) {
            return (!done).then_some("cdc-gap");
        }
        let record = self
            .installer
            .iter()
            .map(|(_, step)| *step)
            .find(|step| step.kind == StepKind::DbReadLog && step.order < self.install.order)?;
        let earlier = self.dealt_with(record.version);
        let again = earlier.iter().any(|step| step.op != self.install.op && step.order != 0);
        Some(match (again, done) {
            (true, _) => "cdc-replay",
            (false, true) => "cdc-reorder",
            (false, false) => "cdc-gap",
        })
    }

    /// The last writer did not touch the key itself.
    fn writer_left_it_to_others(&self) -> bool {
        !self.writer.iter().any(|(_, s)| s.key == Some(self.key) && invalidates(s.kind))
    }

    fn bypassed(&self) -> Option<&'static str> {
        let bypass = self.last?.writer.client() == ClientId::BYPASS;
        (bypass && !self.has_log_reader()).then_some("bypass-write")
    }

    /// The store that installed it was sent, or sent again, long before it took effect.
    fn late_store(&self) -> Option<&'static str> {
        if self.install.executed > self.install.answered {
            return Some("delayed-request");
        }
        let tried = self.installer.iter().any(|(_, step)| {
            step.key == Some(self.key)
                && step.kind == self.install.kind
                && step.error.is_some()
                && step.sent < self.install.sent
        });
        (tried && self.install.value == self.install.op).then_some("lost-reply-cache")
    }

    /// The last writer sent nothing to the entry's key.
    fn never_sent(&self) -> &'static str {
        let Some(last) = &self.last else { return UNEXPLAINED };
        if let Some(hazard) = self.other_order() {
            return hazard;
        }
        let unanswered = self.writer.iter().any(|(_, step)| {
            step.kind.is_database()
                && step.kind.writes()
                && step.error.is_some_and(|error| !error.is_definite())
        });
        let elsewhere = |row: bool| {
            self.writer.iter().any(|(_, step)| {
                let other = step.key != Some(self.key) && (!row || step.key == Some(self.row));
                step.kind.is_cache() && invalidates(step.kind) && other
            })
        };
        match self.op(last.writer).map(|op| op.reported) {
            _ if self.left_to_relay() => "outbox-relay-stall",
            Some(Reported::Nothing) => "crash-between",
            Some(Reported::Error) if unanswered => "lost-reply-db",
            _ if elsewhere(true) => "derived-key-missed",
            _ if elsewhere(false) => "key-move-missed",
            _ if self.install.expires == Time::NEVER => "ttl-zero-forever",
            _ => "no-invalidation",
        }
    }

    /// The last writer noted its change in the outbox.
    pub(super) fn left_to_relay(&self) -> bool {
        self.writer.iter().any(|(_, step)| {
            step.kind == StepKind::DbInsert && step.key.is_none() && step.result == StepResult::Done
        })
    }

    /// The cache was written in one order and the database in another.
    fn other_order(&self) -> Option<&'static str> {
        let last = self.last?;
        let commit = self.history.steps.get(last.step.0 as usize)?;
        let by_writer = self.install.value == self.install.op;
        if is_background(commit.op) && (by_writer || is_background(self.install.op)) {
            return Some("write-behind-reorder");
        }
        None
    }

    /// The last writer's attempt did not reach the entry, or was refused.
    fn lost(&self, attempt: &StepRecord) -> &'static str {
        if let StepResult::CacheRefused(refusal) = attempt.result {
            match refusal {
                CacheRefusal::TooLarge => return "oversize-cas-keeps-old",
                CacheRefusal::OutOfMemory if keeps_old(attempt.kind) => return "oom-store-fail",
                _ => {}
            }
        }
        // No error was there to be swallowed, or to be told of.
        if attempt.result == StepResult::Pretended {
            return UNEXPLAINED;
        }
        if answered_with_error(attempt) && keeps_old(attempt.kind) {
            return "oom-store-fail";
        }
        if let Some(hazard) = self.went_elsewhere(attempt) {
            return hazard;
        }
        let op = self.op(attempt.op);
        let unseen = op.is_some_and(|op| attempt.answered > op.end);
        let told_ok = op.is_some_and(|op| op.reported == Reported::Ok);
        match stores(attempt.kind) {
            _ if unseen && told_ok => "noreply-loss",
            _ if self.happened(StepKind::CacheWarmRestart, 0, u64::MAX) => "warm-restart",
            _ if told_ok => "swallowed-error",
            true => "set-fails",
            false => "delete-fails",
        }
    }

    /// The last writer also tried another key, and succeeded there.
    fn went_elsewhere(&self, attempt: &StepRecord) -> Option<&'static str> {
        let other = self.writer.iter().map(|(_, step)| *step).find(|step| {
            step.kind == attempt.kind && step.key != Some(self.key) && step.order != 0
        })?;
        let copied = self.installer.iter().any(|(_, step)| {
            super::installs(step) && step.key == other.key && step.value == self.install.value
        });
        if copied {
            return Some("replica-set-partial");
        }
        if other.sent < attempt.sent {
            return None;
        }
        // Somebody else reached the node while the writer could not.
        let reached = self.history.steps.iter().any(|step| {
            step.kind.is_cache()
                && step.node == attempt.node
                && step.order != 0
                && step.op.client().is_ordinary()
                && step.op.client() != attempt.op.client()
                && self.windows_cover(step, attempt)
        });
        Some(if reached { "asymmetric-partition" } else { "failover-split" })
    }

    /// Whether a step took effect while the fault that struck an attempt lasted.
    fn windows_cover(&self, step: &StepRecord, attempt: &StepRecord) -> bool {
        let mut strikes = self.history.faults.iter().filter(|f| Some(f.rule) == attempt.fault);
        strikes.any(|fault| {
            fault.at <= step.executed && fault.until.is_none_or(|until| step.executed < until)
        })
    }

    /// The last writer's attempts took effect, and the entry is there all the same.
    fn in_vain(&self, attempts: &[Step<'a>]) -> &'static str {
        let Some(last) = &self.last else { return UNEXPLAINED };
        let done = |(_, step): &&Step<'a>| step.order != 0;
        let after: Vec<_> =
            attempts.iter().filter(done).filter(|(_, s)| s.order > last.order).collect();
        if after.is_empty() {
            return self.too_early(attempts);
        }
        if after.iter().all(|(_, step)| step.order > self.install.order) {
            return match after.iter().any(|(_, step)| step.kind == StepKind::CacheMetaDelete) {
                true => "stuck-stale",
                false => UNEXPLAINED,
            };
        }
        let deletes = after.iter().filter(|(_, s)| s.kind == StepKind::CacheDelete).count();
        let was_set = after.iter().any(|(_, s)| stores(s.kind) && s.value != OpId::NONE);
        if self.read.is_none() {
            return "set-set-reorder";
        }
        if let Some(hazard) = self.slow_fill(&after) {
            return hazard;
        }
        match deletes {
            2.. => "double-delete-gap",
            _ if was_set => "fill-vs-update-set",
            _ if self.was_evicted() => "stale-set-after-eviction",
            _ => "stale-set",
        }
    }

    /// All attempts took effect before the commit.
    fn too_early(&self, attempts: &[Step<'a>]) -> &'static str {
        let Some(last) = &self.last else { return UNEXPLAINED };
        if let Some(hazard) = self.other_order() {
            return hazard;
        }
        let set = attempts.iter().any(|(_, s)| stores(s.kind) && s.value != OpId::NONE);
        let commit = self.history.steps.get(last.step.0 as usize);
        let in_transaction = commit.is_some_and(|commit| commit.kind == StepKind::DbCommit);
        let aborted = self.writer.iter().any(|(_, step)| {
            let failed = matches!(step.result, StepResult::SqlFailed(_));
            step.kind.is_database() && (failed || answered_with_error(step))
        });
        match (set, in_transaction) {
            (true, _) if self.read.is_some() => "fill-vs-update-set",
            (true, _) if aborted => "deadlock-retry-reorder",
            (true, _) => "set-vs-db-order-cache-first",
            (false, true) => "invalidate-inside-txn",
            (false, false) => "delete-before-write",
        }
    }

    /// A fill that was meant to notice, by its kind of store, and did not.
    fn slow_fill(&self, after: &[&Step<'a>]) -> Option<&'static str> {
        let install = self.install;
        let (_, read) = self.read?;
        let before = install.order;
        let gets = |s: &StepRecord| matches!(s.kind, StepKind::CacheGet | StepKind::CacheMetaGet);
        if install.kind == StepKind::CacheCas {
            let token = self.installer_step(before, gets)?;
            return Some(match token.order > read.order {
                true => "cas-token-laundering",
                false if self.happened(StepKind::CacheRestart, token.order, before) => {
                    "cas-aba-restart"
                }
                false => UNEXPLAINED,
            });
        }
        if install.kind == StepKind::CacheAdd {
            let refused =
                |s: &StepRecord| s.kind == StepKind::CacheCas && s.result == StepResult::NotDone;
            if self.installer_step(before, refused).is_some() {
                return Some("cas-miss-fallback-set");
            }
            return self.lost_tombstone(after);
        }
        if self.lock_ran_out() {
            return Some("add-lock-expiry");
        }
        let hit = |s: &StepRecord| gets(s) && s.result == StepResult::Found;
        self.installer_step(before, hit).is_some().then_some("refresh-ahead-overwrite")
    }

    /// An `add` found the key free although a tombstone had been put there.
    fn lost_tombstone(&self, after: &[&Step<'a>]) -> Option<&'static str> {
        let mut marks = after.iter().map(|(_, step)| *step);
        let tombstone = marks.rfind(|s| stores(s.kind) && s.value == OpId::NONE)?;
        let before = self.install.order;
        let evicted = self.happened(StepKind::CacheEvict, tombstone.order, before)
            || self.happened(StepKind::CacheRestart, tombstone.order, before)
            || self.happened(StepKind::CacheFlushAll, tombstone.order, before);
        Some(if evicted { "eviction-mid-lease" } else { "tombstone-expiry" })
    }

    /// The installing operation held a lock, an `add` of another key, which expired first.
    fn lock_ran_out(&self) -> bool {
        self.installer.iter().any(|(_, step)| {
            step.kind == StepKind::CacheAdd
                && step.result == StepResult::Done
                && step.key != Some(self.key)
                && step.value == OpId::NONE
                && step.expires <= self.install.executed
        })
    }

    /// The miss that led to the fill was of an entry that had been evicted.
    fn was_evicted(&self) -> bool {
        let missed = |s: &StepRecord| s.result == StepResult::Missing && s.kind.is_cache();
        let Some(miss) = self.installer_step(self.install.order, missed) else { return false };
        let evictions = self.steps.iter().map(|(_, step)| *step);
        let last = evictions.filter(|s| s.kind == StepKind::CacheEvict && s.order < miss.order);
        let Some(last) = last.max_by_key(|step| step.order) else { return false };
        !self.happened(StepKind::CacheDelete, last.order, miss.order)
    }
}

/// The server answered with an error and did nothing.
fn answered_with_error(step: &StepRecord) -> bool {
    step.order == 0 && step.error.is_none() && step.answered != Time::NEVER
}

/// Whether a store of this kind leaves the old item when the server refuses it.
fn keeps_old(kind: StepKind) -> bool {
    stores(kind) && !matches!(kind, StepKind::CacheSet | StepKind::CacheMetaSet)
}

/// Whether a step of this kind puts something into the cache.
fn stores(kind: StepKind) -> bool {
    invalidates(kind) && !matches!(kind, StepKind::CacheDelete | StepKind::CacheMetaDelete)
}
