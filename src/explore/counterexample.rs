//! A counterexample: the program, the choices, and what is wrong at the end. It stands alone:
//! what made it is not needed to run it again.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::finding::Finding;
use super::subject::Subject;
use super::timing::Moments;
use crate::history::record::History;
use crate::operation::OpId;
use crate::pattern::Registry;
use crate::run::timeline::{Interest, Timeline, TimelineStep};
use crate::scenario::{Known, Profile, Property, Scenario, parse};
use crate::schedule::{Bounds, Choice};
use crate::time::human;

/// The version of this format; a reader refuses others.
pub const COUNTEREXAMPLE_FORMAT: u32 = 1;

/// Clients without a part in the schedule, at the most.
const IDLERS_MAX: u64 = 100;

/// A schedule that goes wrong.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Counterexample {
    /// The format's version.
    pub format: u32,
    /// The version of staleproof that found it.
    pub staleproof: String,
    /// What is wrong at the end.
    pub finding: Finding,
    /// What is asked of the schedule.
    pub properties: Vec<Property>,
    /// The program: who asks what, under which pattern, settings and faults.
    pub scenario: Scenario,
    /// The database whose rules it needs, as after `--database`.
    pub database: String,
    /// Faults and pauses of the schedule.
    pub faults: u32,
    /// Steps that may take longer than their timeouts.
    pub pauses: u32,
    /// Why there may be a smaller one: the limit that was reached. Nothing where every smaller
    /// program and schedule was searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub small: Option<String>,
    /// What happens, one thing after the other.
    #[schemars(with = "Vec<String>")]
    pub choices: Vec<Choice>,
    /// When each of them happens, in nanoseconds since the start; none where only their order
    /// counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<u64>,
    /// By node, how far its clock is into its second at the start, in nanoseconds; none where
    /// that decides nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<u64>,
    /// What each step did, for comparison and for people.
    pub timeline: Timeline,
}

/// Why a counterexample cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CounterexampleError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a counterexample, or one of another version.
    #[error("{path}: {problem}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

const NOT_ONE: &str = "this is not a counterexample, as `staleproof explore --out DIR` leaves it";

impl Counterexample {
    /// What a schedule of a program came to.
    pub(crate) fn new(
        subject: &Subject,
        finding: &Finding,
        choices: &[Choice],
        moments: Moments,
        history: &History,
    ) -> Counterexample {
        let faults = choices.iter().filter(|choice| choice.is_fault()).count() as u32;
        Counterexample {
            format: COUNTEREXAMPLE_FORMAT,
            staleproof: env!("CARGO_PKG_VERSION").to_owned(),
            finding: finding.clone(),
            properties: subject.properties.clone(),
            scenario: subject.scenario.clone(),
            database: match subject.scenario.database.profile {
                profile if profile == Profile::default() => "model".to_owned(),
                profile => format!("model:{profile}"),
            },
            faults,
            pauses: choices.iter().filter(|choice| choice.is_pause()).count() as u32,
            small: None,
            choices: choices.to_vec(),
            times: moments.times,
            phases: moments.phases,
            timeline: timeline(history, &subject.scenario),
        }
    }

    /// Reads the counterexamples of a file: one, by the file's name, or many by their own.
    pub fn load(path: &Path) -> Result<Vec<(String, Counterexample)>, CounterexampleError> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| CounterexampleError::Unreadable { path: name(), source })?;
        let malformed = |problem: String| CounterexampleError::Malformed { path: name(), problem };
        if path.extension().is_some_and(|ending| ending == "toml") {
            let shown = "a scenario is shown again with `staleproof run`; replay takes what \
                         `staleproof explore --out DIR` leaves";
            return Err(malformed(shown.to_owned()));
        }
        let value: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| malformed(format!("{NOT_ONE}: {error}")))?;
        match value {
            serde_json::Value::Object(many) if !many.contains_key("format") && !many.is_empty() => {
                let one = |(name, value)| match Counterexample::of_json(value) {
                    Ok(example) => Ok((name, example)),
                    Err(problem) => Err(malformed(format!("`{name}`: {problem}"))),
                };
                many.into_iter().map(one).collect()
            }
            value => match Counterexample::of_json(value) {
                Ok(example) => Ok(vec![(name(), example)]),
                Err(problem) => Err(malformed(problem)),
            },
        }
    }

    fn of_json(value: serde_json::Value) -> Result<Counterexample, String> {
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format == u64::from(COUNTEREXAMPLE_FORMAT) => {
                serde_json::from_value(value)
                    .map_err(|error| format!("this is not a whole counterexample: {error}"))
            }
            Some(format) => Err(format!(
                "a counterexample of format {format}; this version reads format \
                 {COUNTEREXAMPLE_FORMAT}: find it again with `staleproof explore`"
            )),
            None => Err(format!("{NOT_ONE}: it has no `format`")),
        }
    }

    /// As a file has it.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain data can be written");
        text.push('\n');
        text
    }

    /// On one line, without the timeline, for files of many.
    pub fn to_line(&self) -> String {
        let bare = Counterexample { timeline: Timeline::default(), ..self.clone() };
        serde_json::to_string(&bare).expect("plain data can be written")
    }

    /// What is wrong with its program, which somebody may have edited.
    pub fn problems(&self, known: &Known<'_>) -> Vec<String> {
        // Its scripts have taken the place of the sizes that it was searched with.
        let mut scenario = self.scenario.clone();
        let sizes = &mut scenario.explore;
        (sizes.readers, sizes.writers, sizes.keys) = (None, None, None);
        let text = match toml::to_string(&scenario) {
            Ok(text) => text,
            Err(error) => return vec![error.to_string()],
        };
        match parse(Path::new("scenario"), &text, known) {
            Ok(_) => self.idlers().into_iter().collect(),
            Err(problems) => {
                problems.iter().map(|p| format!("`{}`: {}", p.line, p.message)).collect()
            }
        }
    }

    /// Whoever takes part takes a step. A few may take none; many would keep a replay busy with
    /// clients that no schedule was ever found for.
    fn idlers(&self) -> Option<String> {
        let groups = &self.scenario.workload.groups;
        let clients = match groups.is_empty() {
            true => u64::from(self.scenario.workload.clients),
            false => groups.iter().map(|group| u64::from(group.clients)).sum(),
        };
        let choices = self.choices.len() as u64;
        (clients > choices + IDLERS_MAX).then(|| {
            format!(
                "{clients} clients for {choices} choices: most have no part in the schedule; \
                 take them out"
            )
        })
    }

    /// The operations of which a step takes longer than its timeout, and for how long each pauses
    /// at the least, in nanoseconds.
    fn pauses_spent(&self) -> Vec<(OpId, u64)> {
        let client = |choice: &Choice| match choice {
            Choice::Step(op, _) | Choice::Strike(_, op, _) | Choice::StrikeAfter(_, op, _) => {
                Some(op.client())
            }
            _ => None,
        };
        let at = |place: usize| self.times.get(place).copied().unwrap_or(0);
        let pause = |(place, choice): (usize, &Choice)| {
            let Choice::Late(op, _) = choice else { return None };
            let own = |place: &usize| client(&self.choices[*place]) == Some(op.client());
            let before = (0..place).rev().find(own).map_or(0, at);
            let mut next = (place..self.choices.len()).filter(own).map(at);
            let effect = next.next().unwrap_or(before);
            let after = next.next().unwrap_or(effect);
            Some((*op, (effect - before).max(after - effect)))
        };
        self.choices.iter().enumerate().filter_map(pause).collect()
    }

    /// What it needs beside servers: another database's rules than SQLite's, pauses that are longer
    /// than a timeout, and the times at which its choices happen.
    pub fn needs(&self) -> Vec<String> {
        let profile = self.scenario.database.profile;
        let rules = (profile != Profile::default())
            .then(|| format!("the rules of database {}", self.database));
        let spent = self.pauses_spent().into_iter();
        let pauses =
            spent.map(|(op, pause)| format!("a pause longer than {} in {op}", human(pause)));
        let times = (!self.times.is_empty()).then(|| "its steps at these times".to_owned());
        rules.into_iter().chain(pauses).chain(times).collect()
    }

    /// When its choices happen.
    pub(crate) fn moments(&self) -> Moments {
        Moments { times: self.times.clone(), phases: self.phases.clone() }
    }

    /// The program that it is about.
    pub fn subject(&self, registry: &Registry) -> Result<Subject, crate::run::Error> {
        let mut subject = Subject::of(&self.scenario, registry, super::Sizes::default())?;
        subject.bounds = Bounds { faults: self.faults, advances: self.pauses };
        subject.properties = self.properties.clone();
        Ok(subject)
    }
}

/// Every step of a history.
pub(crate) fn timeline(history: &History, scenario: &Scenario) -> Timeline {
    let mut operations: Vec<OpId> = history.ops.iter().map(|op| op.id).collect();
    operations.extend(history.steps.iter().map(|step| step.op));
    operations.sort_unstable();
    operations.dedup();
    let faults: Vec<String> = scenario.faults.iter().map(ToString::to_string).collect();
    Timeline::of(history, &Interest { operations: &operations, key: None, faults: &faults })
}

/// What a step did, without the times, which differ from one server to another.
pub(crate) fn outline(step: &TimelineStep) -> String {
    let value = step.value.as_deref().unwrap_or("");
    let note = step.note.as_deref().unwrap_or("");
    let key = step.key.as_deref().unwrap_or("");
    format!("{} {} {key} {} {value} {note}", step.actor, step.kind, step.result)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
