//! Puts a bad entry into words, with the steps that matter.

use super::result::Finding;
use super::series::AuditRow;
use super::timeline::{Interest, Timeline};
use crate::check::audit::Entry;
use crate::check::cause::Cause;
use crate::history::record::{History, StepRecord};
use crate::operation::OpId;
use crate::seed::Seed;
use crate::step::{Remaining, StepId};
use crate::time::Time;

/// The finding for a bad entry of a run.
pub(super) fn describe(history: &History, seed: Seed, entry: &Entry, faults: &[String]) -> Finding {
    let cause = entry.cause.as_ref();
    let step = |id: Option<StepId>| id.and_then(|id| history.steps.get(id.0 as usize));
    let audit = history.phases.audit;
    Finding {
        seed: seed.0,
        key: history.keys.name(entry.key).to_string(),
        node: entry.node.0,
        class: entry.class.name().to_owned(),
        cached: entry.cached.map(|writer| writer.to_string()),
        current: entry.current.map(|writer| writer.to_string()),
        versions_behind: entry.behind,
        since_nanos: entry.since.map(Time::nanos),
        age_nanos: entry.age_nanos(audit),
        healed_at_nanos: entry.healed.map(Time::nanos),
        expires_in_seconds: match entry.remaining {
            Some(Remaining::Seconds(seconds)) => Some(seconds),
            _ => None,
        },
        never_heals: entry.remaining == Some(Remaining::Never),
        hazard: cause.map(|cause| cause.hazard.to_owned()),
        installed_by: step(cause.and_then(|cause| cause.installed)).map(in_words),
        superseded_by: superseded(history, cause),
        invalidation: cause.map(|cause| cause.invalidation.words().to_owned()),
        timeline: cause
            .map_or_else(Timeline::default, |cause| timeline(history, entry, cause, faults)),
    }
}

/// A finding as a row of the audit's table.
pub(super) fn row(finding: &Finding) -> AuditRow {
    let expires = match finding.expires_in_seconds {
        _ if finding.never_heals => Some("never".to_owned()),
        seconds => seconds.map(|seconds| format!("{seconds} s")),
    };
    let parts: Vec<String> = [
        ("installed by", &finding.installed_by),
        ("superseded by", &finding.superseded_by),
        ("invalidation", &finding.invalidation),
    ]
    .into_iter()
    .filter_map(|(label, text)| text.as_ref().map(|text| format!("{label} {text}")))
    .collect();
    AuditRow {
        key: finding.key.clone(),
        node: finding.node,
        class: finding.class.clone(),
        cached: finding.cached.clone(),
        current: finding.current.clone(),
        versions_behind: finding.versions_behind,
        age_nanos: finding.age_nanos,
        expires,
        hazard: finding.hazard.clone(),
        provenance: (!parts.is_empty()).then(|| parts.join("; ")),
    }
}

fn superseded(history: &History, cause: Option<&Cause>) -> Option<String> {
    let cause = cause?;
    let commit = history.steps.get(cause.commit?.0 as usize)?;
    Some(format!("{} of {} at {}", commit.kind.name(), cause.superseded?, commit.executed))
}

fn in_words(step: &StepRecord) -> String {
    format!("{} of {} at {}", step.kind.name(), step.op, step.executed)
}

/// The steps on the key by the operations that the cause names.
fn timeline(history: &History, entry: &Entry, cause: &Cause, faults: &[String]) -> Timeline {
    let of = |id: Option<StepId>| id.and_then(|id| history.steps.get(id.0 as usize)).map(|s| s.op);
    let actors = [of(cause.installed), of(cause.commit), of(cause.invalidated), entry.current];
    let operations: Vec<OpId> =
        actors.into_iter().flatten().filter(|op| *op != OpId::INITIAL).collect();
    Timeline::of(history, &Interest { operations: &operations, key: Some(entry.key), faults })
}
