//! Searches a program and keeps what it finds.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::finding::Finding;
use super::judge::{self, Question};
use super::subject::{Ends, Subject};
use super::timing::{in_time, needed, with_enough};
use super::{untested, window};
use crate::backend::memcached_model::{Limits as NodeLimits, Nodes};
use crate::check::cause::signs;
use crate::fault::Fault;
use crate::history::record::{History, StepKind};
use crate::run::model;
use crate::scenario::{Scenario, Window};
use crate::schedule::{
    Bounds, Choice, Effort, Extent, OnServers, RunError, Search, Servers, Stepper, Timing, Visitor,
    exhaust, route,
};

/// The moment within its second at which a modelled node's clock stands at the start, where that
/// decides nothing.
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
    /// Rules of faults that took effect in some schedule.
    pub struck: Vec<bool>,
    /// The kinds of steps that took effect in some schedule.
    pub steps: BTreeSet<StepKind>,
    /// How often all that was asked was done and something was wrong: in a search that is not
    /// reduced and has no faults, the schedules that go wrong.
    pub wrong: u64,
    /// Fingerprints of the ends of schedules, of as much of them as the subject asks for.
    pub ends: BTreeSet<u128>,
    /// Which limit ended the search.
    pub(crate) gave_up: Option<String>,
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

/// The same, until a finding is the one that is looked for. Where switches are counted, until
/// there is no shorter schedule for it.
pub(crate) fn explore_until(
    subject: &Subject,
    search: Search,
    limits: Limits,
    watch: Watch<'_>,
    wanted: &mut dyn FnMut(&Finding) -> ControlFlow<()>,
) -> Result<Exploration, RunError> {
    let (mut exploration, extent) = with_enough(subject, |timing| {
        explore_timed(subject, &mut Models::of(subject), timing, search, limits, watch, wanted)
    })?;
    if extent.asks_time && exploration.verdict == Verdict::Holds {
        exploration.verdict = Verdict::Unknown(
            "the pattern asks for the time, and not all that it can be told was searched"
                .to_owned(),
        );
    }
    Ok(exploration)
}

/// The same on servers that are empty for each schedule and have the models' names. Only orders
/// are searched there: the clocks of servers cannot be moved to and fro.
pub(crate) fn explore_on(
    subject: &Subject,
    servers: &mut dyn Servers,
    search: Search,
    limits: Limits,
    watch: Watch<'_>,
) -> Result<Exploration, RunError> {
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let (mut exploration, extent) =
        explore_timed(subject, servers, Timing::Order, search, limits, watch, go_on)?;
    if needed(subject, &extent) > Timing::Order || extent.asks_time {
        exploration.verdict = Verdict::Unknown(
            "time decides here, and on servers only the order of steps can be searched".to_owned(),
        );
        exploration.findings.clear();
    }
    Ok(exploration)
}

fn explore_timed(
    subject: &Subject,
    servers: &mut dyn Servers,
    timing: Timing,
    search: Search,
    limits: Limits,
    watch: Watch<'_>,
    wanted: &mut dyn FnMut(&Finding) -> ControlFlow<()>,
) -> Result<(Exploration, Extent), RunError> {
    let plan = subject.plan();
    let node_names = node_names(subject);
    let mut program = subject.program(&plan, &node_names);
    program.track = subject.track();
    program.timing = timing;
    program.symmetry = search.reduce && subject.ends != Ends::Returned;
    let node_of = route(&node_names);
    let mut collector = Collector {
        subject,
        timed: timing > Timing::Order,
        doubtful: false,
        looked_at: Vec::new(),
        question: Question {
            name_hazards: subject.name_hazards,
            ..Question::of(subject, &node_of)
        },
        findings: Vec::new(),
        marks: Vec::new(),
        rules: &subject.scenario.faults,
        struck: vec![false; subject.scenario.faults.len()],
        steps: BTreeSet::new(),
        limits,
        watch,
        wanted,
        gave_up: None,
        found: false,
        longest: search.switches.map(|_| usize::MAX),
        wrong: 0,
        ends: (subject.ends != Ends::Ignored).then(BTreeSet::new),
    };
    let (mut effort, mut complete, mut extent) =
        exhaust(&program, search, servers, &mut collector)?;
    if program.named.get() {
        program.symmetry = false;
        let again;
        (effort, complete, again) = exhaust(&program, search, servers, &mut collector)?;
        extent.join(&again);
    }
    Ok((collector.exploration(complete, effort), extent))
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
    /// Nodes whose clocks stand somewhere within their second.
    pub fn of(subject: &Subject) -> Models<'_> {
        Models::at(subject, &[])
    }

    /// Nodes whose clocks are so far into their second at the start, where that is known.
    pub fn at<'a>(subject: &'a Subject, phases: &[u64]) -> Models<'a> {
        let cache = &subject.scenario.cache;
        let limits =
            NodeLimits { items: cache.items_max.map(|n| n as usize), bytes: cache.bytes_max };
        Models {
            scenario: &subject.scenario,
            limits,
            phases: phases_of(cache.nodes, phases),
            may_restart: subject.may_restart_nodes(),
        }
    }
}

/// By node, how far its clock is into its second at the start.
pub(crate) fn phases_of(nodes: u16, known: &[u64]) -> Vec<u64> {
    let phase = |node| known.get(node).copied().unwrap_or(CLOCK_PHASE_NANOS);
    (0..usize::from(nodes)).map(phase).collect()
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

/// How often a finding is looked at in time: how it came to be may depend on that.
const LOOKS_MAX: u32 = 4;

struct Collector<'a> {
    subject: &'a Subject,
    /// Whether choices have moments.
    timed: bool,
    /// A finding was not there when the choices happened at their moments.
    doubtful: bool,
    /// How often which finding was looked at in time.
    looked_at: Vec<(Finding, u32)>,
    question: Question<'a>,
    findings: Vec<(Finding, Vec<Choice>)>,
    marks: Vec<&'static str>,
    rules: &'a [Fault],
    struck: Vec<bool>,
    steps: BTreeSet<StepKind>,
    limits: Limits,
    watch: Watch<'a>,
    wanted: &'a mut dyn FnMut(&Finding) -> ControlFlow<()>,
    gave_up: Option<String>,
    found: bool,
    /// Choices of a schedule at the most, where the shortest is looked for.
    longest: Option<usize>,
    wrong: u64,
    ends: Option<BTreeSet<u128>>,
}

/// Notes which places were reached.
fn note(history: &History, marks: &mut Vec<&'static str>) {
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
}

impl Collector<'_> {
    /// What the search came to.
    fn exploration(self, complete: bool, effort: Effort) -> Exploration {
        let Collector { findings, marks, struck, steps, ends, wrong, doubtful, gave_up, .. } = self;
        let verdict = match (findings.is_empty(), complete, gave_up.clone()) {
            (false, ..) => Verdict::Violated,
            (true, true, _) if doubtful => Verdict::Unknown(
                "what was found was not found again at the moments that it needs; please report it"
                    .to_owned(),
            ),
            (true, true, _) => Verdict::Holds,
            (true, false, reason) => Verdict::Unknown(reason.unwrap_or_else(|| {
                "a schedule has more steps than a schedule may have; does the pattern run in \
                 circles?"
                    .to_owned()
            })),
        };
        let ends = ends.unwrap_or_default();
        Exploration {
            verdict,
            complete,
            effort,
            findings,
            marks,
            struck,
            steps,
            wrong,
            ends,
            gave_up,
        }
    }

    /// What is wrong when the choices happen at their moments, which hazards have to do with.
    fn look_in_time(
        &mut self,
        found: Vec<Finding>,
        choices: &[Choice],
    ) -> Result<Vec<Finding>, RunError> {
        let asked = self.subject.scenario.explore.hazard.as_deref();
        let missed = asked.is_some_and(|hazard| {
            !self.findings.iter().any(|(known, _)| known.hazard.as_deref() == Some(hazard))
        });
        let looks = |finding: &Finding| {
            let known = self.looked_at.iter().find(|(known, _)| known == finding);
            known.map_or(0, |(_, looks)| *looks)
        };
        // What is shorter than what is known cannot come often.
        let missed = missed || self.longest.is_some();
        if !missed && found.iter().all(|finding| looks(finding) >= LOOKS_MAX) {
            return Ok(Vec::new());
        }
        let mut seen = in_time(self.subject, choices)?.unwrap_or_default();
        if !self.subject.name_hazards {
            seen.iter_mut().for_each(|finding| {
                finding.hazard = finding.kind.hazard().map(ToOwned::to_owned);
            });
            seen.sort();
            seen.dedup();
        }
        for finding in found {
            if !seen.iter().any(|other| other.kind == finding.kind && other.key == finding.key) {
                self.doubtful = true;
                continue;
            }
            match self.looked_at.iter_mut().find(|(known, _)| *known == finding) {
                Some((_, looks)) => *looks += 1,
                None => self.looked_at.push((finding, 1)),
            }
        }
        Ok(seen)
    }
}

impl Visitor for Collector<'_> {
    fn quiescent(&mut self, stepper: &mut Stepper<'_>) -> Result<ControlFlow<()>, RunError> {
        if let Some(ends) = &mut self.ends {
            ends.insert(stepper.end());
        }
        let deadlocks = stepper.deadlocks();
        let (history, cache, database) = stepper.at_rest()?;
        note(history, &mut self.marks);
        untested::note(history, self.rules, &mut self.struck);
        signs::note(history, &mut self.steps);
        let mut found = judge::judge(history, cache, database, deadlocks, &self.question)?;
        if self.timed && !found.is_empty() {
            found = self.look_in_time(found, stepper.choices())?;
        }
        self.wrong += u64::from(!found.is_empty());
        let choices = stepper.choices();
        for finding in found {
            if (self.wanted)(&finding).is_break() {
                match &mut self.longest {
                    Some(longest) => {
                        *longest = choices.len().saturating_sub(1);
                        self.findings.retain(|(known, _)| *known != finding);
                    }
                    None => self.found = true,
                }
            }
            if !self.findings.iter().any(|(known, _)| *known == finding) {
                self.findings.push((finding, choices.to_vec()));
            }
        }
        Ok(if self.found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn longest(&self) -> usize {
        self.longest.unwrap_or(usize::MAX)
    }

    fn given_up(&mut self, stepper: &mut Stepper<'_>) {
        note(stepper.history(), &mut self.marks);
        untested::note(stepper.history(), self.rules, &mut self.struck);
        signs::note(stepper.history(), &mut self.steps);
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

/// Searches without names of hazards first: how entries came to be then tells no states apart,
/// which leaves a fraction of them. Only where something is wrong and names are asked for, all
/// causes are searched: not where the steps are missing without which there is no such name.
fn explore_as_asked(
    subject: &Subject,
    search: Search,
    limits: Limits,
    watch: Watch<'_>,
) -> Result<Exploration, RunError> {
    let nameless = Subject { name_hazards: false, ..subject.clone() };
    let exploration = explore(&nameless, search, limits, watch)?;
    if exploration.findings.is_empty() || !subject.name_hazards {
        return Ok(exploration);
    }
    // What it accepts is known by its causes alone.
    let asked = subject.scenario.explore.hazard.as_deref();
    let Some(hazard) = asked.filter(|_| subject.scenario.accept.is_empty()) else {
        return explore(subject, search, limits, watch);
    };
    if exploration.complete && !is_possible(hazard, &exploration) {
        return Ok(exploration);
    }
    let is_it = |finding: &Finding| finding.hazard.as_deref() == Some(hazard);
    let until = &mut |finding: &Finding| match is_it(finding) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let mut named = explore_until(subject, search, limits, watch, until)?;
    if named.complete {
        return Ok(named);
    }
    named.findings.retain(|(finding, _)| is_it(finding));
    let mut found = exploration;
    if named.findings.is_empty() {
        return Ok(Exploration { complete: false, gave_up: named.gave_up, ..found });
    }
    // One schedule that shows it is enough; what else is wrong is known without names.
    let is_known = |nameless: &Finding| {
        let same =
            |(finding, _): &(Finding, _)| Finding { hazard: None, ..finding.clone() } == *nameless;
        named.findings.iter().any(same)
    };
    found.findings.retain(|(finding, _)| !is_known(finding));
    found.findings.extend(named.findings);
    Ok(found)
}

/// Whether some schedule of a complete search may show a hazard under its name, and the search
/// was not for the causes that decide it.
fn is_possible(hazard: &str, exploration: &Exploration) -> bool {
    let mut kinds = exploration.findings.iter().map(|(finding, _)| finding.kind);
    signs::allow(hazard, &exploration.steps)
        && kinds.any(|kind| kind.allows(hazard) && kind.hazard().is_none())
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
        let exploration = explore_as_asked(&subject, search, limits, watch)?;
        let unknown = matches!(exploration.verdict, Verdict::Unknown(_));
        if faults == most || unknown || enough(&exploration) {
            return Ok((exploration, subject.bounds));
        }
    }
    unreachable!("the last round returns")
}
