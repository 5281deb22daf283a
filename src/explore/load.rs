//! What costs the database too much although nothing is old: selects that a cache should have
//! saved.

use super::finding::{Finding, Kind, Lasts};
use crate::history::record::{History, KeyId, OpRecord, Source, StepKind, StepRecord, StepResult};
use crate::operation::{OpId, OpKind};
use crate::step::Win;

/// Loads of the same row that were under way together, and entries that were never served.
pub(super) fn judge(history: &History, found: &mut Vec<Finding>) {
    let mut note = |kind: Kind, key: KeyId| {
        let about = Finding::about(kind, history.keys.name(key).to_string(), Lasts::Transient);
        found.push(Finding { hazard: kind.hazard().map(ToOwned::to_owned), ..about });
    };
    let misses: Vec<&OpRecord> = history
        .ops
        .iter()
        .filter(|op| op.kind == OpKind::Read && op.source == Source::Miss)
        .collect();
    for (place, one) in misses.iter().enumerate() {
        let together = |other: &&OpRecord| {
            other.key == one.key && other.start <= one.end && one.start <= other.end
        };
        if misses[..place].iter().copied().any(|other| together(&other)) {
            note(Kind::Herd, one.key);
        }
    }
    for key in never_kept(history) {
        note(Kind::NeverKept, key);
    }
}

/// Keys under which a row was stored, and the next look found nothing though nobody had removed
/// it and no second had passed.
fn never_kept(history: &History) -> Vec<KeyId> {
    let mut steps: Vec<&StepRecord> =
        history.steps.iter().filter(|step| step.order > 0 && step.kind.is_cache()).collect();
    steps.sort_unstable_by_key(|step| step.order);
    let mut keys: Vec<KeyId> = steps.iter().filter_map(|step| step.key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| {
        // What concerns the whole node concerns the key.
        let of_key: Vec<&&StepRecord> =
            steps.iter().filter(|step| step.key.is_none_or(|own| own == *key)).collect();
        of_key.windows(2).any(|pair| {
            let (stored, looked) = (pair[0], pair[1]);
            stored.value != OpId::NONE
                && stored.kind.writes()
                && stored.result == StepResult::Done
                && looks(looked.kind)
                && matches!(looked.result, StepResult::Missing | StepResult::Lease(Win::Won))
                && looked.value == OpId::NONE
                && looked.executed.0 - stored.executed.0 < 1_000_000_000
        })
    });
    keys
}

fn looks(kind: StepKind) -> bool {
    matches!(kind, StepKind::CacheGet | StepKind::CacheGat | StepKind::CacheMetaGet)
}
