//! Which rules of faults took effect in some schedule, and what is not tested where one did not.

use super::subject::Subject;
use crate::fault::Fault;
use crate::history::record::History;

/// Notes the rules that took effect in a schedule.
pub(super) fn note(history: &History, rules: &[Fault], struck: &mut [bool]) {
    for fault in &history.faults {
        let rule = usize::from(fault.rule);
        // Where a lasting fault begins is recorded too; it takes effect when it keeps a step out.
        struck[rule] |= fault.step.is_some() || !rules[rule].what.lasts();
    }
}

/// The rules that could have struck within the bound and took effect in no schedule.
pub(super) fn never(subject: &Subject, struck: &[bool]) -> Vec<Fault> {
    if subject.bounds.faults == 0 {
        return Vec::new();
    }
    let rules = subject.scenario.faults.iter().zip(struck);
    rules.filter(|(_, struck)| !**struck).map(|(rule, _)| rule.clone()).collect()
}

/// What such rules leave not tested. Of the usual faults, which nobody asked for one by one, some
/// fit no step of most patterns: what counts is that any of them took effect.
pub(super) fn reasons(subject: &Subject, never: &[Fault]) -> Vec<String> {
    match subject.has_usual_faults() && never.len() < subject.scenario.faults.len() {
        true => Vec::new(),
        false => never.iter().map(Fault::never_took_effect).collect(),
    }
}
