//! Puts a bad entry into words, with the steps that matter.

use super::result::Finding;
use crate::check::audit::Entry;
use crate::check::cause::Cause;
use crate::history::record::{History, StepRecord, StepResult};
use crate::operation::OpId;
use crate::seed::Seed;
use crate::step::{Remaining, StepId};
use crate::time::Time;

/// Steps shown of a timeline at most.
const TIMELINE_STEPS_MAX: usize = 24;

/// The finding for a bad entry of a run.
pub(super) fn describe(history: &History, seed: Seed, entry: &Entry) -> Finding {
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
        age_nanos: entry.since.map(|since| audit.since(since).as_nanos() as u64),
        expires_in_seconds: match entry.remaining {
            Some(Remaining::Seconds(seconds)) => Some(seconds),
            _ => None,
        },
        never_heals: entry.remaining == Some(Remaining::Never),
        hazard: cause.map(|cause| cause.hazard.to_owned()),
        installed_by: step(cause.and_then(|cause| cause.installed)).map(in_words),
        superseded_by: superseded(history, cause),
        invalidation: cause.map(|cause| cause.invalidation.words().to_owned()),
        timeline: cause.map_or_else(Vec::new, |cause| timeline(history, entry, cause)),
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

/// The steps on the key by the operations that the cause names, in the order in which they
/// took effect.
fn timeline(history: &History, entry: &Entry, cause: &Cause) -> Vec<String> {
    let of = |id: Option<StepId>| id.and_then(|id| history.steps.get(id.0 as usize)).map(|s| s.op);
    let actors = [of(cause.installed), of(cause.commit), of(cause.invalidated), entry.current];
    let mut steps: Vec<(usize, &StepRecord)> = history
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.key == Some(entry.key) || step.key.is_none())
        .filter(|(_, step)| actors.contains(&Some(step.op)))
        .collect();
    steps.sort_by_key(|(number, step)| (step.executed.min(step.sent_or_executed()), *number));
    let lines = steps.iter().map(|(_, step)| line(history, step));
    let mut lines: Vec<String> = lines.take(TIMELINE_STEPS_MAX).collect();
    if steps.len() > TIMELINE_STEPS_MAX {
        lines.push(format!("... and {} more", steps.len() - TIMELINE_STEPS_MAX));
    }
    lines
}

fn line(history: &History, step: &StepRecord) -> String {
    let at = step.sent_or_executed().to_string();
    let who = step.op.to_string();
    let key = step.key.map_or_else(String::new, |key| history.keys.name(key).to_string());
    let mut line = format!("{at:>12}  {who:<12} {:<14} {key}", step.kind.name());
    match step.result {
        StepResult::Pending => line.push_str("  not executed"),
        StepResult::Missing => line.push_str("  nothing there"),
        StepResult::NotDone => line.push_str("  nothing to do"),
        StepResult::Exists => line.push_str("  changed since"),
        StepResult::CacheRefused(error) => line.push_str(&format!("  {error:?}")),
        StepResult::SqlFailed(error) => line.push_str(&format!("  {}", error.name())),
        _ if step.value != OpId::NONE => {
            line.push_str(&format!("  value of {}", step.value));
        }
        _ => {}
    }
    if let Some(error) = step.error {
        line.push_str(&format!("  ({} for the caller)", error.name()));
    } else if step.answered == Time::NEVER && step.op != OpId::NONE {
        line.push_str("  (no answer seen)");
    }
    if step.fault.is_some() {
        line.push_str("  << fault");
    }
    line
}

impl StepRecord {
    /// When it took effect, or else when it was sent.
    fn sent_or_executed(&self) -> Time {
        if self.executed == Time::NEVER { self.sent } else { self.executed }
    }
}
