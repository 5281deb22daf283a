//! Searches a program and keeps what it finds.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::finding::Finding;
use super::judge::{self, Question};
use super::subject::{Ends, Subject};
use super::window;
use crate::backend::memcached_model::{Limits as NodeLimits, Nodes};
use crate::history::record::History;
use crate::run::model;
use crate::scenario::{Scenario, Window};
use crate::schedule::{
    Bounds, Choice, Effort, OnServers, RunError, Search, Servers, Stepper, Visitor, exhaust, route,
};

/// The moment within its second at which a modelled node's clock stands at the start: an item
/// of TTL n lives for n - 0.5 seconds.
pub(crate) const CLOCK_PHASE_NANOS: u64 = 500_000_000;

/// When to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Schedules at the most.
    pub schedules: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { schedules: u64::MAX }
    }
}

/// What a search came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No schedule within the bounds breaks a property.
    Holds,
    /// Some schedule does.
    Violated,
    /// A limit was reached first.
    Unknown(String),
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// The verdict.
    pub verdict: Verdict,
    /// Whether every schedule within the bounds was searched.
    pub complete: bool,
    /// What it took.
    pub effort: Effort,
    /// Every finding, each with the first schedule in which it was seen.
    pub findings: Vec<(Finding, Vec<Choice>)>,
    /// Places of the pattern that some schedule reached, and windows that some entered.
    pub marks: Vec<&'static str>,
    /// Rules of faults that struck in some schedule.
    pub struck: Vec<bool>,
    /// How often all that was asked was done and something was wrong: in a search that is not
    /// reduced and has no faults, the schedules that go wrong.
    pub wrong: u64,
    /// Fingerprints of the ends of schedules, of as much of them as the subject asks for.
    pub ends: BTreeSet<u128>,
}

/// Who watches: says whether to go on.
pub type Watch<'a> = &'a mut dyn FnMut(&Effort) -> ControlFlow<String>;

/// Searches all schedules of a program on the models.
pub fn explore(
    subject: &Subject,
    search: Search,
    limits: Limits,
    watch: Watch<'_>,
) -> Result<Exploration, RunError> {
    explore_until(subject, search, limits, watch, &mut |_| ControlFlow::Continue(()))
}

/// The same, until a finding is the one that is looked for.
pub(crate) fn explore_until(
    subject: &Subject,
    search: Search,
    limits: Limits,
    watch: Watch<'_>,
    wanted: &mut dyn FnMut(&Finding) -> ControlFlow<()>,
) -> Result<Exploration, RunError> {
    explore_on(subject, &mut Models::of(subject), search, limits, watch, wanted)
}

/// The same on servers that are empty for each schedule and have the models' names.
pub(crate) fn explore_on(
    subject: &Subject,
    servers: &mut dyn Servers,
    search: Search,
    limits: Limits,
    watch: Watch<'_>,
    wanted: &mut dyn FnMut(&Finding) -> ControlFlow<()>,
) -> Result<Exploration, RunError> {
    let plan = subject.plan();
    let node_names = node_names(subject);
    let mut program = subject.program(&plan, &node_names);
    program.track = subject.track();
    program.symmetry = search.reduce && subject.ends != Ends::Returned;
    let node_of = route(&node_names);
    let mut collector = Collector {
        question: Question::of(subject, &node_of),
        findings: Vec::new(),
        marks: Vec::new(),
        struck: vec![false; subject.scenario.faults.len()],
        limits,
        watch,
        wanted,
        gave_up: None,
        found: false,
        wrong: 0,
        ends: (subject.ends != Ends::Ignored).then(BTreeSet::new),
    };
    let (effort, complete) = exhaust(&program, search, servers, &mut collector)?;
    let verdict = match (collector.findings.is_empty(), complete, collector.gave_up) {
        (false, ..) => Verdict::Violated,
        (true, true, _) => Verdict::Holds,
        (true, false, reason) => Verdict::Unknown(reason.unwrap_or_else(|| {
            "a schedule has more steps than a schedule may have; does the pattern run in circles?"
                .to_owned()
        })),
    };
    let Collector { findings, marks, struck, ends, wrong, .. } = collector;
    let ends = ends.unwrap_or_default();
    Ok(Exploration { verdict, complete, effort, findings, marks, struck, wrong, ends })
}

/// The names of the modelled nodes, by which clients route.
pub(crate) fn node_names(subject: &Subject) -> Vec<String> {
    (0..subject.scenario.cache.nodes).map(|node| format!("node{node}:11211")).collect()
}

/// The models, fresh for each execution.
pub(crate) struct Models<'a> {
    scenario: &'a Scenario,
    limits: NodeLimits,
    phases: Vec<u64>,
    may_restart: bool,
}

impl Models<'_> {
    pub fn of(subject: &Subject) -> Models<'_> {
        let cache = &subject.scenario.cache;
        let limits =
            NodeLimits { items: cache.items_max.map(|n| n as usize), bytes: cache.bytes_max };
        Models {
            scenario: &subject.scenario,
            limits,
            phases: vec![CLOCK_PHASE_NANOS; usize::from(cache.nodes)],
            may_restart: subject.may_restart_nodes(),
        }
    }
}

impl Servers for Models<'_> {
    fn with(&mut self, run: OnServers<'_>) -> Result<(), RunError> {
        let mut cache = Nodes::new(self.limits, &self.phases);
        if self.may_restart {
            cache.may_restart();
        }
        run(&mut cache, &mut *model(self.scenario))
    }
}

struct Collector<'a> {
    question: Question<'a>,
    findings: Vec<(Finding, Vec<Choice>)>,
    marks: Vec<&'static str>,
    struck: Vec<bool>,
    limits: Limits,
    watch: Watch<'a>,
    wanted: &'a mut dyn FnMut(&Finding) -> ControlFlow<()>,
    gave_up: Option<String>,
    found: bool,
    wrong: u64,
    ends: Option<BTreeSet<u128>>,
}

/// Notes which places were reached and which faults struck.
fn note(history: &History, marks: &mut Vec<&'static str>, struck: &mut [bool]) {
    for window in Window::ALL {
        if !marks.contains(&window.mark()) && window::entered(window, history) {
            marks.push(window.mark());
        }
    }
    for (mark, _) in &history.marks {
        if !marks.contains(mark) {
            marks.push(mark);
        }
    }
    for fault in &history.faults {
        struck[usize::from(fault.rule)] = true;
    }
}

impl Visitor for Collector<'_> {
    fn quiescent(&mut self, stepper: &mut Stepper<'_>) -> Result<ControlFlow<()>, RunError> {
        if let Some(ends) = &mut self.ends {
            ends.insert(stepper.end());
        }
        let deadlocks = stepper.deadlocks();
        let (history, cache, database) = stepper.at_rest();
        note(history, &mut self.marks, &mut self.struck);
        let found = judge::judge(history, cache, database, deadlocks, &self.question)?;
        self.wrong += u64::from(!found.is_empty());
        for finding in found {
            if (self.wanted)(&finding).is_break() {
                self.found = true;
            }
            if !self.findings.iter().any(|(known, _)| *known == finding) {
                self.findings.push((finding, stepper.choices().to_vec()));
            }
        }
        Ok(if self.found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn given_up(&mut self, stepper: &mut Stepper<'_>) {
        note(stepper.at_rest().0, &mut self.marks, &mut self.struck);
    }

    fn schedule_done(&mut self, effort: &Effort) -> ControlFlow<()> {
        if effort.schedules + effort.pruned >= self.limits.schedules {
            self.gave_up = Some(format!("{} schedules were searched", self.limits.schedules));
            return ControlFlow::Break(());
        }
        match (self.watch)(effort) {
            ControlFlow::Break(reason) => {
                self.gave_up = Some(reason);
                ControlFlow::Break(())
            }
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
        }
    }
}

/// Searches without naming hazards first: how entries came to be then tells no states apart,
/// which leaves a fraction of them, and where nothing is wrong there is nothing to be named.
fn explore_in_two(
    subject: &Subject,
    search: Search,
    limits: Limits,
    watch: Watch<'_>,
) -> Result<Exploration, RunError> {
    if subject.name_hazards {
        let nameless = Subject { name_hazards: false, ..subject.clone() };
        let any = &mut |_: &Finding| ControlFlow::Break(());
        let exploration = explore_until(&nameless, search, limits, watch, any)?;
        if exploration.findings.is_empty() {
            return Ok(exploration);
        }
    }
    explore(subject, search, limits, watch)
}

/// A search without faults, then with one, and so on up to the bound: the first that finds
/// enough. What needs fewer faults is found first.
pub fn deepen(
    subject: &Subject,
    search: Search,
    limits: Limits,
    watch: Watch<'_>,
    enough: &dyn Fn(&Exploration) -> bool,
) -> Result<(Exploration, Bounds), RunError> {
    let most = subject.bounds.faults;
    let mut subject = subject.clone();
    for faults in 0..=most {
        subject.bounds.faults = faults;
        let exploration = explore_in_two(&subject, search, limits, watch)?;
        let unknown = matches!(exploration.verdict, Verdict::Unknown(_));
        if faults == most || unknown || enough(&exploration) {
            return Ok((exploration, subject.bounds));
        }
    }
    unreachable!("the last round returns")
}
