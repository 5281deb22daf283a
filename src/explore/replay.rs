//! Runs a recorded schedule again, choice by choice, on any servers.

use super::counterexample::{Counterexample, outline, timeline};
use super::finding::Finding;
use super::judge::{self, Question};
use super::search::{Models, node_names, phases_of};
use super::subject::Subject;
use super::timing::Moments;
use crate::backend::{Cache, Database};
use crate::pattern::Registry;
use crate::run::timeline::{Timeline, TimelineStep};
use crate::run::{Error, Servers};
use crate::schedule::{Choice, RunError, Servers as _, route};

/// What a replay came to.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// What happened.
    pub timeline: Timeline,
    /// What is wrong at the end.
    pub findings: Vec<Finding>,
    /// Where it left the recorded schedule.
    pub divergence: Option<Divergence>,
    /// The first statement that waited for a lock, which may be why.
    pub waited: Option<String>,
}

/// The first difference from a recorded schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The number of the choice, from 1; or of the step whose outcome differs.
    pub number: usize,
    /// What was recorded.
    pub recorded: String,
    /// What happened instead.
    pub happened: String,
}

impl Counterexample {
    /// Runs the schedule on these empty servers, whose nodes have these names.
    pub fn replay_on(
        &self,
        subject: &Subject,
        node_names: &[String],
        cache: &mut dyn Cache,
        database: &mut dyn Database,
    ) -> Result<Replayed, RunError> {
        let (mut replayed, _) =
            run(subject, &self.choices, &self.moments(), node_names, cache, database)?;
        let recorded = match self.timeline.steps.is_empty() {
            true => self.timeline_on_models(subject)?,
            false => self.timeline.clone(),
        };
        let first = first_difference(&recorded, &replayed.timeline);
        let Some((place, difference)) = first else { return Ok(replayed) };
        // An answer that the client made up leads away from the schedule only later.
        let same_kind = |one: &TimelineStep, other: &TimelineStep| one.kind == other.kind;
        let (of_one, of_other) = (recorded.steps.get(place), replayed.timeline.steps.get(place));
        let made_up = match (of_one, of_other) {
            (Some(one), Some(other)) if same_kind(one, other) => cache.lossy(&one.kind),
            _ => None,
        };
        if let Some(why) = made_up {
            let happened = format!("{}, which is the client's: {why}", difference.happened);
            replayed.divergence = Some(Divergence { happened, ..difference });
        } else if replayed.divergence.is_none() {
            let before = replayed.waited.iter().map(|waited| format!("; before, {waited}"));
            let happened = difference.happened.clone() + &before.collect::<String>();
            replayed.divergence = Some(Divergence { happened, ..difference });
        }
        Ok(replayed)
    }

    /// What each step does on the models, on which the schedule was found.
    fn timeline_on_models(&self, subject: &Subject) -> Result<Timeline, RunError> {
        let names = node_names(subject);
        let mut timeline = Timeline::default();
        Models::at(subject, &self.phases).with(&mut |cache, database| {
            let moments = self.moments();
            timeline = run(subject, &self.choices, &moments, &names, cache, database)?.0.timeline;
            Ok(())
        })?;
        Ok(timeline)
    }

    /// Whether a replay came to the same finding after the same schedule.
    pub fn is_confirmed_by(&self, replayed: &Replayed) -> bool {
        replayed.divergence.is_none() && replayed.findings.contains(&self.finding)
    }
}

/// Runs choices one after the other, at their moments where these are known; stops at one that is
/// not offered. Also says what had been chosen when the history was over.
pub(crate) fn run(
    subject: &Subject,
    choices: &[Choice],
    moments: &Moments,
    node_names: &[String],
    cache: &mut dyn Cache,
    database: &mut dyn Database,
) -> Result<(Replayed, crate::history::record::History), RunError> {
    let plan = subject.plan();
    let mut program = subject.program(&plan, node_names);
    // What was chosen is offered, whichever of clients that ask the same came first.
    program.symmetry = false;
    let mut stepper = program.start(cache, database)?;
    stepper.follow(&moments.times);
    let (mut divergence, mut waited) = (None, None);
    for (number, choice) in choices.iter().enumerate() {
        let offered = stepper.options();
        // What is said about time follows from the moments.
        let is_offered = offered.contains(choice) || offered.iter().any(|o| o.is_part_of(*choice));
        if !is_offered && !choice.is_about_time() {
            let list: Vec<String> = offered.iter().map(ToString::to_string).collect();
            let waits: String =
                stepper.waiting_for_locks().iter().map(|waits| format!("{waits}; ")).collect();
            let happened = format!("{waits}only these can happen: {}", list.join(", "));
            let recorded = choice.to_string();
            divergence = Some(Divergence { number: number + 1, recorded, happened });
            break;
        }
        stepper.take(*choice)?;
        waited = waited.or_else(|| stepper.waiting_for_locks().into_iter().next());
    }
    let node_of = route(node_names);
    let question = Question::of(subject, &node_of);
    let deadlocks = stepper.deadlocks();
    let (history, cache, database) = stepper.at_rest()?;
    let findings = match divergence {
        None => judge::judge(history, cache, database, deadlocks, &question)?,
        Some(_) => Vec::new(),
    };
    let timeline = timeline(history, &subject.scenario);
    let history = history.clone();
    Ok((Replayed { timeline, findings, divergence, waited }, history))
}

/// The first step whose outcome differs, and its place; times do not count.
fn first_difference(recorded: &Timeline, happened: &Timeline) -> Option<(usize, Divergence)> {
    let lines = |timeline: &Timeline| timeline.steps.iter().map(outline).collect::<Vec<_>>();
    let (recorded, happened) = (lines(recorded), lines(happened));
    let nothing = || "nothing".to_owned();
    let place = (0..recorded.len().max(happened.len()))
        .find(|place| recorded.get(*place) != happened.get(*place))?;
    let recorded = recorded.get(place).cloned().unwrap_or_else(nothing);
    let happened = happened.get(place).cloned().unwrap_or_else(nothing);
    Some((place, Divergence { number: place + 1, recorded, happened }))
}

impl Counterexample {
    /// Runs the schedule on servers of the user's choice; also says what they were.
    pub fn replay(
        &self,
        registry: &Registry,
        servers: &Servers,
    ) -> Result<(Replayed, String), Error> {
        let subject = self.subject(registry)?;
        let seed = subject.scenario.seed;
        let failed = |source: RunError| Error::Run { seed, source };
        let phases = phases_of(subject.scenario.cache.nodes, &self.phases);
        let (traits, plan) = (subject.entry.traits, subject.plan());
        let host = servers.host(&subject.scenario, traits, &*subject.entity, &plan, &phases);
        let mut host = host.map_err(|error| failed(error.into()))?;
        let names = host.node_names.clone();
        let replayed = self.replay_on(&subject, &names, &mut *host.cache, &mut *host.database);
        let what = format!("{} and {}", host.cache.describe(), host.database.describe());
        Ok((replayed.map_err(failed)?, what))
    }
}
