//! What was wrong when the last operation of the workload had returned, and was over because its
//! entry expired before everything had come to rest.
//!
//! Until then late requests and background work go on, if need be past the earliest expiry, and the
//! audit comes too late to see such an entry. It is no proof that nothing was wrong: the entry was
//! *bounded*. So it counts as if the audit had come before, and is said to have healed by expiry.

use super::audit::{Audit, Entry};
use super::exposure::{Exposure, Interval};
use crate::history::record::Phases;
use crate::time::Time;

/// The intervals that an expiry ended after the workload and before rest.
pub fn intervals<'a>(
    exposure: &'a Exposure,
    phases: &Phases,
) -> impl Iterator<Item = &'a Interval> + use<'a> {
    let (workload, rest) = (phases.faults_end, phases.quiescent);
    exposure.intervals.iter().filter(move |interval| {
        let ended = interval.until.is_some_and(|until| workload < until && until <= rest);
        interval.expired && interval.from <= workload && ended
    })
}

/// Whether entries may have expired between the end of the workload and rest.
pub fn may_have(phases: &Phases) -> bool {
    phases.first_expiry.is_some_and(|at| at <= phases.quiescent)
}

/// Puts what has expired back among the entries of an audit.
pub fn put_back(audit: &Audit<'_>, exposure: &Exposure, entries: &mut [Entry]) {
    for interval in intervals(exposure, &audit.history.phases) {
        let found = entries.iter_mut().find(|entry| entry.key == interval.key);
        // What is wrong again counts as that.
        let Some(entry) = found.filter(|entry| !entry.class.is_bad()) else { continue };
        *entry = audit.as_it_was(entry, interval);
        audit.explain(entry);
        entry.since = Some(interval.from);
    }
}

impl Entry {
    /// For how long it had been wrong at the audit, or when it expired before.
    pub fn age_nanos(&self, audit: Time) -> Option<u64> {
        let until = self.healed.unwrap_or(audit);
        self.since.map(|since| until.since(since).as_nanos() as u64)
    }
}
