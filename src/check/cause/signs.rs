//! Steps without which a hazard has not that name: where a search has seen none of them, nothing
//! that is wrong there can be called so, and causes need not be told apart.

use std::collections::BTreeSet;

use crate::history::record::{History, StepKind};

/// Adds the kinds of steps that took effect in a history.
pub(crate) fn note(history: &History, steps: &mut BTreeSet<StepKind>) {
    steps.extend(history.steps.iter().filter(|step| step.order > 0).map(|step| step.kind));
}

/// Whether something can have the name where only such steps took effect.
pub(crate) fn allow(hazard: &str, steps: &BTreeSet<StepKind>) -> bool {
    needed(hazard).iter().all(|some| some.iter().any(|kind| steps.contains(kind)))
}

/// One of each list has to be there. Nothing is said of what is not listed.
fn needed(hazard: &str) -> &'static [&'static [StepKind]] {
    use StepKind::*;
    match hazard {
        "add-lock-expiry" | "tombstone-expiry" => &[&[CacheAdd]],
        "cas-aba-restart" => &[&[CacheCas], &[CacheRestart]],
        "cas-miss-fallback-set" => &[&[CacheCas], &[CacheAdd]],
        "cas-token-laundering" => &[&[CacheCas]],
        "cdc-gap" | "cdc-reorder" | "cdc-replay" => &[&[DbReadLog]],
        "double-delete-gap" => &[&[CacheDelete]],
        "eviction-mid-lease" => &[&[CacheAdd], &[CacheEvict, CacheRestart, CacheFlushAll]],
        "flush-then-old-fill" => &[&[CacheFlushAll]],
        "invalidate-inside-txn" => &[&[DbCommit]],
        "joined-old-load" | "local-l1-stale" => &[&[Local]],
        "old-snapshot-fill" => &[&[DbBegin]],
        "outbox-relay-stall" => &[&[DbInsert]],
        "stale-flag-ignored" | "stale-while-revalidate" | "stuck-stale" => &[&[CacheMetaDelete]],
        "stale-set-after-eviction" => &[&[CacheEvict]],
        "touch-extends-stale" => &[&[CacheGat, CacheTouch]],
        "warm-restart" => &[&[CacheWarmRestart]],
        _ => &[],
    }
}
