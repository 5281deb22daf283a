//! What is measured in one run, and how the measurements of several add up.

use hdrhistogram::Histogram;

use crate::check::audit::{Class, Entry};
use crate::check::exposure::Exposure;
use crate::check::incidents::overwrote_unseen;
use crate::check::reads::Reads;
use crate::check::{States, healed};
use crate::history::record::{Effect, History, Reported, Source, StepKind};
use crate::metric::Latency;
use crate::operation::{OpKind, Outcome};
use crate::step::Remaining;
use crate::time::Time;

/// Counts and distributions of one run, or of several added up.
#[derive(Clone, Debug)]
pub struct Measure {
    /// Runs in this measure.
    pub runs: u64,
    /// What reads returned.
    pub reads: Reads,
    /// Entries at the audit, by class, in the order of [`Class::ALL`].
    pub classes: [u64; Class::ALL.len()],
    /// Bad entries that will never heal by themselves.
    pub permanent: u64,
    /// The oldest bad entry's age at the audit, in nanoseconds.
    pub entry_age_nanos: u64,
    /// Entries that were wrong when the workload ended and expired before rest; `None` where some
    /// may have and nobody knows.
    pub healed: Option<u64>,
    /// Exposure; `None` where it was not measured, in one run at least.
    pub exposure: Option<(u64, u64)>,
    /// Writes that returned.
    pub writes: u64,
    /// Operations by outcome.
    pub failed: u64,
    /// Operations whose outcome nobody can know.
    pub unknown: u64,
    /// Operations that reported a failure although the database had changed.
    pub misreported: u64,
    /// Acknowledged writes of which the database never knew.
    pub lost_writes: u64,
    /// Read-modify-writes that overwrote a write they had not seen.
    pub lost_updates: u64,
    /// Operations whose pattern panicked.
    pub panics: u64,
    /// Faults that struck, by rule.
    pub strikes: Vec<u64>,
    /// Selects of reads; with steps only.
    pub selects: u64,
    /// Steps of reads and of writes.
    pub read_steps: u64,
    /// Steps of writes.
    pub write_steps: u64,
    /// In nanoseconds, in the order of [`Latency`].
    pub latencies: [Histogram<u64>; 4],
    /// The longest that a run took, in virtual time.
    pub duration: Time,
}

fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three significant digits are allowed")
}

impl Measure {
    /// Nothing measured yet.
    pub fn empty(rules: usize) -> Measure {
        Measure {
            runs: 0,
            reads: Reads::default(),
            classes: [0; Class::ALL.len()],
            permanent: 0,
            entry_age_nanos: 0,
            healed: Some(0),
            exposure: Some((0, 0)),
            writes: 0,
            failed: 0,
            unknown: 0,
            misreported: 0,
            lost_writes: 0,
            lost_updates: 0,
            panics: 0,
            strikes: vec![0; rules],
            selects: 0,
            read_steps: 0,
            write_steps: 0,
            latencies: std::array::from_fn(|_| histogram()),
            duration: Time::ZERO,
        }
    }

    /// Measures one run.
    pub fn of(
        history: &History,
        states: &States,
        reads: Reads,
        entries: &[Entry],
        exposure: Option<&Exposure>,
        rules: usize,
    ) -> Measure {
        let mut measure = Measure::empty(rules);
        measure.runs = 1;
        measure.reads = reads;
        measure.exposure = exposure.map(|e| (e.total_nanos, e.longest_nanos));
        measure.healed = match exposure {
            Some(exposure) => Some(healed::intervals(exposure, &history.phases).count() as u64),
            None => (!healed::may_have(&history.phases)).then_some(0),
        };
        measure.duration = history.phases.quiescent;
        for entry in entries {
            measure.entry(entry, history.phases.audit);
        }
        for fault in &history.faults {
            measure.strikes[usize::from(fault.rule)] += 1;
        }
        measure.operations(history, states);
        measure.selects = match history.steps_kept {
            true => count_selects(history),
            false => measure.reads.reads - measure.reads.hits,
        };
        measure
    }

    fn entry(&mut self, entry: &Entry, audit: Time) {
        self.classes[entry.class as usize] += 1;
        if !entry.class.is_bad() {
            return;
        }
        self.permanent += u64::from(entry.remaining == Some(Remaining::Never));
        self.entry_age_nanos = self.entry_age_nanos.max(entry.age_nanos(audit).unwrap_or(0));
    }

    fn operations(&mut self, history: &History, states: &States) {
        for op in history.ops.iter().filter(|op| op.id.client().is_ordinary()) {
            let latency = op.end.since(op.start).as_nanos() as u64;
            self.failed += u64::from(op.outcome == Outcome::Failed);
            self.unknown += u64::from(op.outcome == Outcome::Unknown);
            self.panics += u64::from(op.reported == Reported::Panic);
            if op.kind == OpKind::Read {
                self.read_steps += u64::from(op.steps);
                if op.outcome == Outcome::Ok {
                    self.read_latency(op.source, latency);
                }
                continue;
            }
            self.write_steps += u64::from(op.steps);
            self.writes += 1;
            let had_effect = op.effect == Effect::Committed;
            self.misreported += u64::from(op.reported == Reported::Error && had_effect);
            if op.outcome == Outcome::Ok {
                self.took(Latency::Write, latency);
                self.lost_writes += u64::from(op.reported == Reported::Ok && !had_effect);
            }
            if op.kind == OpKind::Modify && had_effect {
                self.lost_updates += u64::from(overwrote_unseen(op, states));
            }
        }
    }

    fn took(&mut self, of: Latency, nanos: u64) {
        note(&mut self.latencies[of as usize], nanos);
    }

    fn read_latency(&mut self, source: Source, latency: u64) {
        self.took(Latency::Read, latency);
        match source {
            Source::Hit => self.took(Latency::Hit, latency),
            Source::Miss => self.took(Latency::Miss, latency),
            _ => {}
        }
    }

    /// Adds another run's measure.
    pub fn add(&mut self, other: &Measure) {
        self.runs += other.runs;
        let (mine, theirs) = (&mut self.reads, &other.reads);
        mine.reads += theirs.reads;
        mine.hits += theirs.hits;
        mine.misses += theirs.misses;
        mine.stale += theirs.stale;
        mine.stale_hits += theirs.stale_hits;
        mine.ahead += theirs.ahead;
        mine.phantom += theirs.phantom;
        mine.wrong += theirs.wrong;
        mine.ages.extend(&theirs.ages);
        mine.versions_behind = mine.versions_behind.max(theirs.versions_behind);
        for (mine, theirs) in self.classes.iter_mut().zip(other.classes) {
            *mine += theirs;
        }
        self.permanent += other.permanent;
        self.entry_age_nanos = self.entry_age_nanos.max(other.entry_age_nanos);
        self.healed = self.healed.zip(other.healed).map(|(mine, theirs)| mine + theirs);
        let exposures = self.exposure.zip(other.exposure);
        self.exposure = exposures.map(|((total, longest), (t, l))| (total + t, longest.max(l)));
        self.writes += other.writes;
        self.failed += other.failed;
        self.unknown += other.unknown;
        self.misreported += other.misreported;
        self.lost_writes += other.lost_writes;
        self.lost_updates += other.lost_updates;
        self.panics += other.panics;
        for (mine, theirs) in self.strikes.iter_mut().zip(&other.strikes) {
            *mine += theirs;
        }
        self.selects += other.selects;
        self.read_steps += other.read_steps;
        self.write_steps += other.write_steps;
        for (mine, theirs) in self.latencies.iter_mut().zip(&other.latencies) {
            mine.add(theirs).expect("histograms that grow by themselves can be added");
        }
        self.duration = self.duration.max(other.duration);
    }

    /// Entries of one class.
    pub fn entries(&self, class: Class) -> u64 {
        self.classes[class as usize]
    }

    /// Entries that would serve readers something wrong.
    pub fn bad_entries(&self) -> u64 {
        Class::ALL.iter().filter(|class| class.is_bad()).map(|class| self.entries(*class)).sum()
    }
}

fn note(histogram: &mut Histogram<u64>, nanos: u64) {
    histogram.record(nanos).expect("a histogram that grows by itself takes any number");
}

/// Selects by operations that read.
fn count_selects(history: &History) -> u64 {
    let writers: rustc_hash::FxHashSet<_> =
        history.ops.iter().filter(|op| op.kind != OpKind::Read).map(|op| op.id).collect();
    let selects = history.steps.iter().filter(|step| step.kind == StepKind::DbSelect);
    selects.filter(|step| step.op.client().is_ordinary() && !writers.contains(&step.op)).count()
        as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_run_did_not_measure_is_not_measured_of_all() {
        let run = |exposure| Measure { exposure, ..Measure::empty(0) };
        let whole = |exposures: [Option<(u64, u64)>; 2]| {
            let mut whole = Measure::empty(0);
            exposures.into_iter().for_each(|exposure| whole.add(&run(exposure)));
            whole.exposure
        };
        assert_eq!(whole([Some((3, 2)), Some((5, 4))]), Some((8, 4)));
        assert_eq!(whole([None, Some((0, 0))]), None);
        assert_eq!(whole([Some((0, 0)), None]), None);
    }
}
