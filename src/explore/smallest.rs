//! The smallest schedule that goes wrong in a given way.
//!
//! Small is what has fewer, in this order: faults, pauses, operations, clients, rows, switches
//! from one client to another, choices; of what is alike in all of these the first in the order
//! of the choices, where clients and rows have their numbers in the order of first use.
//!
//! Programs are searched from below: all parts of the program by the number of their operations,
//! each whole, so that what is found is the smallest by proof. A schedule that was shrunk along,
//! or a program from which one thing after the other is taken, ends in a local minimum: to take
//! any one operation away may hide what two of them show. That a program does not show something
//! says nothing of its parts: what is left out may be what repairs the entry. Only what is too big
//! to be searched so is cut down one thing after the other, and is then called *small*.

use std::ops::ControlFlow;

use super::counterexample::Counterexample;
use super::finding::Finding;
use super::parts::{
    Part, Parts, fit_processes, in_order_of_use, is_same_program, names_clients, script,
    without_last_row, written_out,
};
use super::replay;
use super::search::{Exploration, Limits, Models, Watch, explore_until, node_names};
use super::subject::Subject;
use super::timing::moments;
use crate::schedule::{Bounds, Choice, RunError, Search, Servers};

/// How often clients may alternate in the smallest schedule at the most.
const SWITCHES_MAX: u32 = 12;
/// Schedules that the search for one candidate may take.
pub(super) const CANDIDATE_SCHEDULES_MAX: u64 = 200_000;
/// How many times as many all parts of a program may take together.
const CANDIDATES: u64 = 8;
/// Parts of a program that are searched with one bound: all of those of eight operations.
const PARTS_MAX: usize = 255;

/// Finds the smallest schedule of a program that shows a finding. `None` when the watch broke
/// off, or when the finding cannot be found again.
pub fn smallest(
    subject: &Subject,
    finding: &Finding,
    watch: Watch<'_>,
) -> Result<Option<Counterexample>, RunError> {
    smallest_within(subject, finding, CANDIDATE_SCHEDULES_MAX, watch)
}

/// The same, with at most so many schedules for each candidate.
pub(crate) fn smallest_within(
    subject: &Subject,
    finding: &Finding,
    schedules: u64,
    watch: Watch<'_>,
) -> Result<Option<Counterexample>, RunError> {
    let left = schedules.saturating_mul(CANDIDATES);
    let mut shrink = Shrink { finding, schedules, left, watch, limit: None };
    let by_cause = finding.hazard.is_some() && finding.kind.hazard().is_none();
    let whole = Subject { name_hazards: by_cause, ..written_out(subject) };
    let Some(choices) = shrink.search(&whole)? else { return Ok(None) };
    let found = match shrink.search_parts(&whole, &choices)? {
        Some(found) => found,
        None => shrink.cut_down(whole, choices)?,
    };
    as_found(&found.subject, finding, &found.choices, shrink.limit).map(Some)
}

/// A schedule of a program that shows a finding, as it is; `small` says why it may not be the
/// smallest.
pub(super) fn as_found(
    subject: &Subject,
    finding: &Finding,
    choices: &[Choice],
    small: Option<String>,
) -> Result<Counterexample, RunError> {
    let mut result = None;
    let names = node_names(subject);
    let moments = moments(subject, choices)?.unwrap_or_default();
    Models::at(subject, &moments.phases).with(&mut |cache, database| {
        let (replayed, history) = replay::run(subject, choices, &moments, &names, cache, database)?;
        // Its key may have another name than where the finding was first seen.
        let seen = replayed.findings.iter().find(|found| is_same(found, finding));
        let finding = seen.unwrap_or(finding);
        let example = Counterexample::new(subject, finding, choices, moments.clone(), &history);
        result = Some(Counterexample { small: small.clone(), ..example });
        Ok(())
    })?;
    Ok(result.expect("the servers ran it"))
}

/// Whether a finding is the one that is looked for, but for the key that it is about. Where no
/// hazard is looked for, any cause will do.
pub(crate) fn is_same(found: &Finding, wanted: &Finding) -> bool {
    found.kind == wanted.kind
        && found.lasts == wanted.lasts
        && (wanted.hazard.is_none() || found.hazard == wanted.hazard)
}

/// What a schedule costs of what is bounded.
fn spent(choices: &[Choice]) -> Bounds {
    let count = |costs: fn(&Choice) -> bool| choices.iter().filter(|c| costs(c)).count() as u32;
    Bounds {
        faults: count(|choice| choice.is_fault()),
        advances: count(|choice| choice.is_pause()),
    }
}

/// A program and its smallest schedule.
struct Found {
    subject: Subject,
    switches: u32,
    choices: Vec<Choice>,
}

impl Found {
    /// What is compared among programs of as many operations, clients and rows.
    fn measure(&self) -> (u32, usize, &[Choice], Vec<Option<&[String]>>) {
        let groups = &self.subject.scenario.workload.groups;
        let scripts = groups.iter().map(|group| group.script.as_deref()).collect();
        (self.switches, self.choices.len(), &self.choices, scripts)
    }
}

struct Shrink<'a> {
    finding: &'a Finding,
    schedules: u64,
    /// Schedules that may still be searched from below.
    left: u64,
    watch: Watch<'a>,
    /// Why a smaller one may have been missed.
    limit: Option<String>,
}

impl Shrink<'_> {
    /// The smallest schedule of the smallest part of a program that shows the finding, of which
    /// one schedule is known; `None` when a limit is reached before one does.
    fn search_parts(
        &mut self,
        whole: &Subject,
        known: &[Choice],
    ) -> Result<Option<Found>, RunError> {
        let Some(parts) = Parts::of(whole) else { return Ok(self.give_up(whole)) };
        let most = spent(known);
        for faults in 0..=most.faults.min(whole.bounds.faults) {
            let pauses = if faults == most.faults { most.advances } else { whole.bounds.advances };
            for advances in 0..=pauses {
                let bounds = Bounds { faults, advances };
                let mut left = PARTS_MAX;
                for size in 1..=parts.operations() {
                    let Some(shown) = self.of_size(&parts, size, bounds, &mut left)? else {
                        return Ok(self.give_up(whole));
                    };
                    if !shown.is_empty() {
                        return self.smallest_of(&parts, &shown, bounds);
                    }
                }
            }
        }
        Ok(None)
    }

    fn give_up(&mut self, whole: &Subject) -> Option<Found> {
        let operations = whole.plan().operations();
        self.limit = Some(format!("{operations} operations have too many parts to search all"));
        None
    }

    /// Of the parts of so many operations that show the finding those with the fewest clients and
    /// rows; `None` when there are more parts than are left to be searched.
    fn of_size(
        &mut self,
        parts: &Parts,
        size: usize,
        bounds: Bounds,
        left: &mut usize,
    ) -> Result<Option<Vec<Part>>, RunError> {
        let mut of_size: Vec<Part> = parts.of_size(size).take(*left + 1).collect();
        if of_size.len() > *left {
            return Ok(None);
        }
        *left -= of_size.len();
        of_size.sort_by_key(|part| parts.measure(*part));
        let mut shown: Vec<Part> = Vec::new();
        for part in of_size {
            if shown.first().is_some_and(|known| parts.measure(*known) < parts.measure(part)) {
                break;
            }
            if self.left == 0 {
                return Ok(None);
            }
            if self.search(&within(parts.program(part), bounds))?.is_some() {
                shown.push(part);
            }
        }
        Ok(Some(shown))
    }

    /// The smallest schedule of parts of the same measure.
    fn smallest_of(
        &mut self,
        parts: &Parts,
        shown: &[Part],
        bounds: Bounds,
    ) -> Result<Option<Found>, RunError> {
        let mut smallest: Option<Found> = None;
        for part in shown {
            let most = smallest.as_ref().map_or(SWITCHES_MAX, |known| known.switches);
            let program = within(parts.program(*part), bounds);
            let Some(found) = self.straighten(program, most)? else { continue };
            let found = self.in_order(found)?;
            if smallest.as_ref().is_none_or(|known| found.measure() < known.measure()) {
                smallest = Some(found);
            }
        }
        if smallest.is_none() {
            self.limit.get_or_insert(format!("more than {SWITCHES_MAX} switches are needed"));
        }
        Ok(smallest)
    }

    /// A small schedule of a program from which one thing after the other was taken.
    fn cut_down(
        &mut self,
        mut subject: Subject,
        mut choices: Vec<Choice>,
    ) -> Result<Found, RunError> {
        loop {
            let mut smaller = None;
            for candidate in candidates(&subject, &choices) {
                if let Some(found) = self.search(&candidate)? {
                    smaller = Some((candidate, found));
                    break;
                }
            }
            match smaller {
                Some((candidate, found)) => (subject, choices) = (candidate, found),
                None => break,
            }
        }
        match self.straighten(subject.clone(), SWITCHES_MAX)? {
            Some(found) => self.in_order(found),
            None => Ok(Found { subject, switches: u32::MAX, choices }),
        }
    }

    /// The same program under names in the order of first use, if that changes nothing else.
    fn in_order(&mut self, mut found: Found) -> Result<Found, RunError> {
        // Under new names another schedule may come first, whose order of first use is another.
        for _ in 0..=found.subject.scenario.workload.groups.len() {
            let ordered = in_order_of_use(&found.subject, &found.choices);
            if is_same_program(&ordered, &found.subject) {
                break;
            }
            match self.straighten(ordered, found.switches)? {
                Some(renamed)
                    if (renamed.switches, renamed.choices.len())
                        == (found.switches, found.choices.len()) =>
                {
                    found = renamed;
                }
                // Rows are not all alike where they lie on several nodes.
                _ => break,
            }
        }
        Ok(found)
    }

    /// The schedule of the program with the fewest switches between clients, at most so many, of
    /// these the shortest, and of these the first.
    fn straighten(&mut self, subject: Subject, most: u32) -> Result<Option<Found>, RunError> {
        for switches in 0..=most {
            let search = Search { reduce: true, switches: Some(switches) };
            if let Some(choices) = self.look(&subject, search)? {
                return Ok(Some(Found { subject, switches, choices }));
            }
        }
        Ok(None)
    }

    /// A schedule of the program that shows the finding.
    fn search(&mut self, subject: &Subject) -> Result<Option<Vec<Choice>>, RunError> {
        self.look(subject, Search { reduce: true, switches: None })
    }

    fn look(&mut self, subject: &Subject, search: Search) -> Result<Option<Vec<Choice>>, RunError> {
        // Where nothing of its kind is wrong, no cause of it needs to be looked for.
        if subject.name_hazards && search.switches.is_none() {
            let any = Finding { hazard: None, ..self.finding.clone() };
            let nameless = Subject { name_hazards: false, ..subject.clone() };
            if self.look_for(&nameless, search, &any)?.is_none() {
                return Ok(None);
            }
        }
        self.look_for(subject, search, &self.finding.clone())
    }

    fn look_for(
        &mut self,
        subject: &Subject,
        search: Search,
        finding: &Finding,
    ) -> Result<Option<Vec<Choice>>, RunError> {
        let limits = Limits { schedules: self.schedules };
        let wanted = &mut |found: &Finding| match is_same(found, finding) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let exploration = explore_until(subject, search, limits, self.watch, wanted)?;
        let Exploration { findings, complete, gave_up, effort, .. } = exploration;
        self.left = self.left.saturating_sub(effort.schedules + effort.pruned);
        // It may be about one key or another.
        let same = findings.into_iter().filter(|(found, _)| is_same(found, finding));
        let found = same.min_by_key(|(_, choices)| choices.len());
        // Where the first is enough, a search that has found it ends there.
        if !complete && (found.is_none() || search.switches.is_some()) {
            let reason = gave_up.unwrap_or_else(|| "a schedule had too many steps".to_owned());
            self.limit.get_or_insert(format!("of a smaller program, {reason}"));
        }
        Ok(found.map(|(_, choices)| choices))
    }
}

fn within(mut subject: Subject, bounds: Bounds) -> Subject {
    subject.bounds = bounds;
    subject
}

/// Programs that are smaller by one client, operation, fault or pause, the smallest first.
fn candidates(subject: &Subject, choices: &[Choice]) -> Vec<Subject> {
    let mut candidates = Vec::new();
    let groups = &subject.scenario.workload.groups;
    for place in 0..groups.len() {
        if groups.len() > 1 && !names_clients(subject) {
            let mut candidate = subject.clone();
            candidate.scenario.workload.groups.remove(place);
            fit_processes(&mut candidate);
            candidates.push(candidate);
        }
    }
    for (place, group) in groups.iter().enumerate() {
        let lines = group.script.as_deref().unwrap_or(&[]);
        for line in (0..lines.len()).rev() {
            if lines.len() > 1 {
                let mut candidate = subject.clone();
                let mut left = lines.to_vec();
                left.remove(line);
                candidate.scenario.workload.groups[place] = script(left);
                candidates.push(candidate);
            }
        }
    }
    candidates.extend(fewer_faults(subject, choices));
    if subject.bounds.advances > 0 {
        let mut candidate = subject.clone();
        candidate.bounds.advances -= 1;
        candidates.push(candidate);
    }
    candidates.extend(without_last_row(subject));
    candidates
}

/// One fault less, or only the rules that struck.
fn fewer_faults(subject: &Subject, choices: &[Choice]) -> Vec<Subject> {
    let mut fewer = Vec::new();
    if subject.bounds.faults > 0 {
        let mut candidate = subject.clone();
        candidate.bounds.faults = spent(choices).faults.min(subject.bounds.faults - 1);
        fewer.push(candidate);
    }
    let used: Vec<u16> = choices.iter().filter_map(|choice| choice.rule()).collect();
    let rules = subject.scenario.faults.len();
    if (0..rules as u16).any(|rule| !used.contains(&rule)) {
        let mut candidate = subject.clone();
        let mut number = 0..;
        candidate.scenario.faults.retain(|_| used.contains(&number.next().expect("endless")));
        fewer.push(candidate);
    }
    fewer
}
