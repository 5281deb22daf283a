//! The smallest schedule that goes wrong in a given way.
//!
//! Clients, operations, keys and faults are removed while *the schedule is searched again* for
//! each candidate: a schedule that was shrunk along ends in a local minimum far more often.
//! Then, for the smallest program, the schedule in which clients alternate least often, and of
//! these the shortest, and the first in the order of the choices.

use std::ops::ControlFlow;

use super::counterexample::Counterexample;
use super::finding::Finding;
use super::replay;
use super::search::{Exploration, Limits, Models, Watch, explore_until, node_names};
use super::subject::Subject;
use super::timing::moments;
use crate::operation::OpKind;
use crate::scenario::Group;
use crate::schedule::{Choice, RunError, Search, Servers};

/// How often clients may alternate in the smallest schedule at the most.
const SWITCHES_MAX: u32 = 12;
/// Schedules that the search for one candidate may take.
pub(super) const CANDIDATE_SCHEDULES_MAX: u64 = 200_000;

/// Shrinks a program in which a finding was seen, and finds the smallest schedule that shows
/// it. `None` when the watch broke off, or when the finding cannot be found again.
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
    let mut shrink = Shrink { finding, schedules, watch };
    let mut subject = scripted(subject);
    let Some(mut choices) = shrink.search(&subject)? else { return Ok(None) };
    loop {
        let mut smaller = None;
        for candidate in candidates(&subject, &choices) {
            if let Some(found) = shrink.search(&candidate)? {
                smaller = Some((candidate, found));
                break;
            }
        }
        match smaller {
            Some((candidate, found)) => (subject, choices) = (candidate, found),
            None => break,
        }
    }
    let choices = shrink.straighten(&subject)?.unwrap_or(choices);
    as_found(&subject, finding, &choices).map(Some)
}

/// A schedule of a program that shows a finding, as it is.
pub(super) fn as_found(
    subject: &Subject,
    finding: &Finding,
    choices: &[Choice],
) -> Result<Counterexample, RunError> {
    let mut result = None;
    let names = node_names(subject);
    let moments = moments(subject, choices)?.unwrap_or_default();
    Models::at(subject, &moments.phases).with(&mut |cache, database| {
        let (replayed, history) = replay::run(subject, choices, &moments, &names, cache, database)?;
        // Its key may have another name than where the finding was first seen.
        let seen = replayed.findings.iter().find(|found| is_same(found, finding));
        let finding = seen.unwrap_or(finding);
        result = Some(Counterexample::new(subject, finding, choices, moments.clone(), &history));
        Ok(())
    })?;
    Ok(result.expect("the servers ran it"))
}

struct Shrink<'a> {
    finding: &'a Finding,
    schedules: u64,
    watch: Watch<'a>,
}

impl Shrink<'_> {
    fn same(&self, found: &Finding) -> bool {
        is_same(found, self.finding)
    }

    /// A schedule of the program that shows the finding.
    fn search(&mut self, subject: &Subject) -> Result<Option<Vec<Choice>>, RunError> {
        let search = Search { reduce: true, switches: None };
        let exploration = self.look(subject, search)?;
        Ok(self.first(exploration))
    }

    fn look(&mut self, subject: &Subject, search: Search) -> Result<Exploration, RunError> {
        let limits = Limits { schedules: self.schedules };
        let finding = self.finding.clone();
        let same = |found: &Finding| is_same(found, &finding);
        explore_until(subject, search, limits, self.watch, &mut |found| match same(found) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    }

    fn first(&self, exploration: Exploration) -> Option<Vec<Choice>> {
        let mut found = exploration.findings.into_iter();
        found.find(|(found, _)| self.same(found)).map(|(_, choices)| choices)
    }

    /// The schedule of the program with the fewest switches between clients.
    fn straighten(&mut self, subject: &Subject) -> Result<Option<Vec<Choice>>, RunError> {
        for switches in 0..=SWITCHES_MAX {
            let search = Search { reduce: true, switches: Some(switches) };
            let exploration = self.look(subject, search)?;
            if let Some(choices) = self.first(exploration) {
                return Ok(Some(choices));
            }
        }
        Ok(None)
    }
}

/// Whether two findings are the same, but for the key that they are about.
pub(crate) fn is_same(one: &Finding, other: &Finding) -> bool {
    one.kind == other.kind && one.hazard == other.hazard && one.lasts == other.lasts
}

/// The same program with every client's operations written out, and no client without any.
fn scripted(subject: &Subject) -> Subject {
    let mut scripted = subject.clone();
    let plan = subject.plan();
    let workload = &mut scripted.scenario.workload;
    workload.groups = Vec::new();
    for client in plan.clients() {
        let lines = plan.script(client);
        if !lines.is_empty() {
            workload.groups.push(script(lines));
        }
    }
    workload.rows_per_read = 1;
    scripted
}

pub(super) fn script(lines: Vec<String>) -> Group {
    Group { clients: 1, operations: None, mix: None, keys: None, think: None, script: Some(lines) }
}

/// Programs that are smaller by one client, operation, fault or pause, the smallest first.
fn candidates(subject: &Subject, choices: &[Choice]) -> Vec<Subject> {
    let mut candidates = Vec::new();
    let groups = &subject.scenario.workload.groups;
    for place in 0..groups.len() {
        if groups.len() > 1 && !is_named(subject) {
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
    candidates.extend(fewer_rows(subject));
    candidates
}

/// Whether a rule names clients by their numbers, which removing one would change.
fn is_named(subject: &Subject) -> bool {
    subject.scenario.faults.iter().any(|fault| fault.clients.is_some())
}

fn fit_processes(subject: &mut Subject) {
    let clients = subject.scenario.workload.groups.len() as u32;
    let processes = &mut subject.scenario.workload.processes;
    *processes = (*processes).min(clients.max(1));
}

/// One fault less, or only the rules that struck.
fn fewer_faults(subject: &Subject, choices: &[Choice]) -> Vec<Subject> {
    let mut fewer = Vec::new();
    let struck = choices.iter().filter(|choice| choice.is_fault()).count() as u32;
    if subject.bounds.faults > 0 {
        let mut candidate = subject.clone();
        candidate.bounds.faults = struck.min(subject.bounds.faults - 1);
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

/// The last row left out, when nobody asks for it.
fn fewer_rows(subject: &Subject) -> Option<Subject> {
    let rows = subject.scenario.workload.rows;
    let asked = |kind: OpKind, row: u64| kind != OpKind::Insert && row + 1 == u64::from(rows);
    let plan = subject.plan();
    let needed = plan.clients().iter().flat_map(|client| &client.ops);
    let unasked = !needed.clone().any(|op| asked(op.kind, op.row().0));
    (rows > 1 && unasked).then(|| {
        let mut candidate = subject.clone();
        candidate.scenario.workload.rows -= 1;
        candidate
    })
}
