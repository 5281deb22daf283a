//! Known findings: everything that went wrong in a run, by hazard, held to the bounds that a
//! scenario accepts.
//!
//! How long a finding lasts: a read's age; for a bad entry the time for which it had been wrong
//! at the audit and what is left until it expires. What does not end by itself (an entry that
//! never expires, a lost update) has no length, and only `"any"` accepts it.

use std::collections::BTreeMap;

use super::Run;
use super::result::Expectation;
use crate::check::States;
use crate::check::audit::Entry;
use crate::check::incidents::{self, Incident, Kind};
use crate::check::reads::{self, Judgement};
use crate::operation::OpKind;
use crate::scenario::{Bound, Scenario};
use crate::seed::Seed;
use crate::step::Remaining;
use crate::time::Time;

/// The scope of an expectation that comes from `[accept]`.
pub const SCOPE: &str = "accept";

/// What is said of incidents whose cause the history does not tell.
const UNKNOWN: &str = "not determined";

/// Bad reads of a run whose causes are looked for; each asks the whole history.
const READS_MAX: usize = 5_000;

/// The worst finding of a hazard.
struct Worst {
    /// `None` when it does not end by itself.
    nanos: Option<u64>,
    seed: u64,
    count: u64,
}

/// What went wrong in all runs, by hazard.
#[derive(Default)]
pub(super) struct Known {
    worst: BTreeMap<&'static str, Worst>,
    incomplete: Vec<String>,
}

impl Known {
    /// Adds what went wrong in a run.
    pub fn take(&mut self, run: &Run, states: &States, seed: Seed) {
        if !run.history.steps_kept {
            self.incomplete.push("accepted findings need `record = \"steps\"`".to_owned());
            return;
        }
        let incidents = incidents::find(&run.history, states, &run.entries, READS_MAX);
        let bad_reads = |incident: &&Incident| incident.op.is_some() && incident.kind.is_read();
        if incidents.iter().filter(bad_reads).count() >= READS_MAX {
            self.incomplete.push(format!(
                "the run with seed {} has more than {READS_MAX} bad reads; their causes were \
                 looked for up to there",
                seed.0
            ));
        }
        for incident in &incidents {
            let nanos = length(incident, run, states);
            let hazard = incident.hazard.unwrap_or(UNKNOWN);
            let new = || Worst { nanos, seed: seed.0, count: 0 };
            let worst = self.worst.entry(hazard).or_insert_with(new);
            worst.count += 1;
            let longer = match (worst.nanos, nanos) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some(old), Some(new)) => new > old,
            };
            if longer {
                (worst.nanos, worst.seed) = (nanos, seed.0);
            }
        }
    }

    /// Each accepted hazard and each one that was found, held to the bounds.
    pub fn judge(&self, scenario: &Scenario) -> Vec<Expectation> {
        let expectation = |hazard: &str, wanted: &str, worst: Option<&Worst>, met| Expectation {
            scope: SCOPE.to_owned(),
            metric: hazard.to_owned(),
            wanted: wanted.to_owned(),
            measured: Some(match worst {
                None => 0.0,
                Some(worst) => worst.nanos.map_or(u64::MAX as f64, |nanos| nanos as f64),
            }),
            met: Some(met),
            seed: worst.map(|worst| worst.seed),
        };
        let mut all: Vec<Expectation> = scenario
            .accept
            .iter()
            .map(|(hazard, text)| {
                let bound = Bound::parse(text).expect("checked when the scenario was loaded");
                let worst = self.worst.get(hazard.as_str());
                let met = worst.is_none_or(|worst| bound.allows(worst.nanos));
                expectation(hazard, text, worst, met)
            })
            .collect();
        let foreign =
            self.worst.iter().filter(|(hazard, _)| !scenario.accept.contains_key(**hazard));
        all.extend(foreign.map(|(hazard, worst)| {
            let wanted = format!("none ({} found)", worst.count);
            expectation(hazard, &wanted, Some(worst), false)
        }));
        all
    }

    /// Why a pass would say less than it seems to.
    pub fn incomplete(&self) -> Vec<String> {
        let mut reasons = self.incomplete.clone();
        reasons.dedup();
        reasons
    }
}

fn length(incident: &Incident, run: &Run, states: &States) -> Option<u64> {
    match (incident.kind, incident.op) {
        (Kind::Entry(_), _) => {
            let of_key = run.entries.iter().filter(|entry| entry.key == incident.key);
            let bad = of_key.filter(|entry| entry.class.is_bad());
            let audit = run.history.phases.audit;
            bad.map(|entry| of_entry(entry, audit))
                .try_fold(0, |longest, nanos| nanos.map(|nanos: u64| longest.max(nanos)))
        }
        (Kind::StaleRead, Some(id)) => {
            let reads = run
                .history
                .ops
                .iter()
                .filter(|op| op.id == id && op.key == incident.key && op.kind == OpKind::Read);
            reads
                .filter_map(|op| match reads::judge_one(op, states) {
                    Judgement::Stale { age_nanos, .. } => Some(age_nanos),
                    _ => None,
                })
                .max()
        }
        _ => None,
    }
}

/// From when it went wrong until it will have expired.
fn of_entry(entry: &Entry, audit: Time) -> Option<u64> {
    let Some(Remaining::Seconds(seconds)) = entry.remaining else { return None };
    Some(entry.age_nanos(audit)?.saturating_add(u64::from(seconds) * 1_000_000_000))
}
