//! What is often said about caches, answered by searching: each question has a few small
//! programs (`folklore.toml`), and the answer follows from what the search of these came to.

use std::ops::ControlFlow;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matrix::Counterexamples;
use super::result::explore_and_shrink;
use super::search::{Exploration, Limits, explore};
use super::subject::{Sizes, Subject};
use super::{ExploreResult, Finding};
use crate::parallel;
use crate::pattern::Registry;
use crate::scenario::{Known, parse};
use crate::schedule::Search;

/// Schedules that one trial may take, reduced and whole.
const TRIAL_SCHEDULES_MAX: u64 = 100_000;

/// Questions, each with the trials that answer it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Folklore {
    /// The questions.
    pub question: Vec<Question>,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Question {
    /// Its name.
    pub id: String,
    /// In words.
    pub asks: String,
    /// What the trials must come to for `then` to be the answer.
    pub rule: Rule,
    /// The answer when they do.
    pub then: String,
    /// The answer when they do not.
    pub otherwise: String,
    /// The programs that are searched.
    pub trial: Vec<Trial>,
}

/// How an answer follows from the trials that decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Some of them is violated.
    AnyViolated,
    /// All of them are.
    AllViolated,
    /// One is violated and another holds.
    VerdictsDiffer,
    /// A larger share of all schedules goes wrong in the first than in the second.
    FirstIsWrongMoreOften,
}

/// One program of a question.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Trial {
    /// Its name within the question.
    pub name: String,
    /// What it is, in words.
    pub says: String,
    /// Whether the answer depends on it; others are there for comparison.
    #[serde(default)]
    pub decides: bool,
    /// The hazard that is asked about; without one, whatever goes wrong counts.
    #[serde(default)]
    pub hazard: Option<String>,
    /// The scenario, as in a file.
    pub scenario: String,
}

/// A question, answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// The question's name.
    pub id: String,
    /// The question.
    pub asks: String,
    /// The answer, or `unknown` where a limit was reached.
    pub answer: String,
    /// What it follows from.
    pub trials: Vec<Tried>,
}

/// What one program came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Tried {
    /// The trial's name.
    pub name: String,
    /// What it is.
    pub says: String,
    /// The pattern.
    pub pattern: String,
    /// Whether the answer depends on it.
    pub decides: bool,
    /// The bound of the program, in words.
    pub bound: String,
    /// `holds`, `violated` or `unknown`.
    pub verdict: String,
    /// What was found, in words.
    pub findings: Vec<String>,
    /// Different states that were searched.
    pub states: u64,
    /// Schedules of the whole program, nothing joined, and how many of them go wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
}

/// So many of so many schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Share {
    /// Schedules that go wrong.
    pub wrong: u64,
    /// All schedules.
    pub of: u64,
}

impl Folklore {
    /// The questions that are shipped.
    pub fn shipped() -> Folklore {
        Folklore::parse(include_str!("folklore.toml")).expect("a test reads it")
    }

    /// Questions from a text like `folklore.toml`.
    pub fn parse(text: &str) -> Result<Folklore, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// Searches every trial, on all cores, and answers; with the counterexamples, by
    /// `folklore/question/trial`.
    pub fn answer(&self, registry: &Registry) -> Result<(Vec<Answer>, Counterexamples), String> {
        let jobs: Vec<(&Question, &Trial)> = self
            .question
            .iter()
            .flat_map(|question| question.trial.iter().map(move |trial| (question, trial)))
            .collect();
        let tried = parallel::map(jobs.len(), |place| {
            let (question, trial) = jobs[place];
            search(question, trial, registry)
        });
        let mut tried = tried.into_iter();
        let mut counterexamples = Counterexamples::new();
        let mut answers = Vec::new();
        for question in &self.question {
            let mut trials = Vec::new();
            for trial in &question.trial {
                let (done, result) = tried.next().expect("one for each job")?;
                if let Some(counterexample) = result.counterexample {
                    let name = format!("folklore/{}/{}", question.id, trial.name);
                    counterexamples.insert(name, counterexample);
                }
                trials.push(done);
            }
            let (id, asks) = (question.id.clone(), question.asks.clone());
            answers.push(Answer { id, asks, answer: question.decide(&trials), trials });
        }
        Ok((answers, counterexamples))
    }
}

impl Question {
    /// The answer that follows from the trials.
    fn decide(&self, trials: &[Tried]) -> String {
        let deciding: Vec<&Tried> = trials.iter().filter(|trial| trial.decides).collect();
        let come_to = |verdict: &str| deciding.iter().filter(|t| t.verdict == verdict).count();
        let (violated, unknown) = (come_to("violated"), come_to("unknown"));
        let is_so = match self.rule {
            Rule::AnyViolated if violated > 0 => Some(true),
            Rule::AllViolated if violated + unknown < deciding.len() => Some(false),
            _ if unknown > 0 || deciding.is_empty() => None,
            Rule::AnyViolated => Some(false),
            Rule::AllViolated => Some(true),
            Rule::VerdictsDiffer => Some(violated > 0 && violated < deciding.len()),
            Rule::FirstIsWrongMoreOften => match deciding[..] {
                [one, other, ..] => one.share.zip(other.share).map(|(one, other)| {
                    // Shares are compared without division.
                    u128::from(one.wrong) * u128::from(other.of)
                        > u128::from(other.wrong) * u128::from(one.of)
                }),
                _ => None,
            },
        };
        match is_so {
            Some(true) => self.then.clone(),
            Some(false) => self.otherwise.clone(),
            None => "unknown: a limit was reached".to_owned(),
        }
    }
}

fn search(
    question: &Question,
    trial: &Trial,
    registry: &Registry,
) -> Result<(Tried, ExploreResult), String> {
    let name = format!("{}/{}", question.id, trial.name);
    let known = Known {
        patterns: registry.patterns().iter().map(|entry| entry.name.as_str()).collect(),
        entities: registry.entities().iter().map(|entity| entity.name()).collect(),
        metrics: &[],
    };
    let mut scenario = parse(Path::new(&name), &trial.scenario, &known).map_err(|problems| {
        problems.iter().map(ToString::to_string).collect::<Vec<String>>().join("\n")
    })?;
    scenario.explore.hazard = scenario.explore.hazard.or_else(|| trial.hazard.clone());
    let subject = Subject::of(&scenario, registry, Sizes::default())
        .map_err(|error| format!("{name}: {error}"))?;
    let counts = is_asked(trial);
    let limits = Limits { schedules: TRIAL_SCHEDULES_MAX };
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let result = explore_and_shrink(&subject, &name, limits, go_on, &counts)
        .map_err(|error| format!("{name}: {error}"))?;
    let verdict = match (result.findings.iter().any(counts), result.exhausted) {
        (true, _) => "violated",
        (false, true) => "holds",
        (false, false) => "unknown",
    };
    let share = match question.rule {
        Rule::FirstIsWrongMoreOften if trial.decides => share(&subject, limits),
        _ => None,
    };
    let tried = Tried {
        name: trial.name.clone(),
        says: trial.says.clone(),
        pattern: scenario.pattern.clone(),
        decides: trial.decides,
        bound: result.bound.clone(),
        verdict: verdict.to_owned(),
        findings: result.findings.iter().map(ToString::to_string).collect(),
        states: result.states,
        share,
    };
    Ok((tried, result))
}

/// What of the findings a trial asks about.
fn is_asked(trial: &Trial) -> impl Fn(&Finding) -> bool + Copy {
    |finding| trial.hazard.is_none() || finding.hazard == trial.hazard
}

/// How many of all schedules go wrong, none of them joined with another; `None` at a limit.
fn share(subject: &Subject, limits: Limits) -> Option<Share> {
    let whole = Search { reduce: false, switches: None };
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let Exploration { complete, wrong, effort, .. } =
        explore(subject, whole, limits, go_on).ok()?;
    complete.then_some(Share { wrong, of: effort.schedules })
}
