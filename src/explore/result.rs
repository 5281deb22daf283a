//! What `staleproof explore` comes to for one scenario: plain data for every exporter.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::counterexample::Counterexample;
use super::finding::{Finding, Lasts};
use super::search::{Exploration, Limits, Verdict, Watch, deepen};
use super::smallest::{CANDIDATE_SCHEDULES_MAX, as_found, smallest_within};
use super::subject::Subject;
use super::untested;
use crate::scenario::{Expected, ExploreSettings, Window};
use crate::schedule::{Choice, RunError, Search};

/// The version of this format; a reader refuses others.
pub const EXPLORE_FORMAT: u32 = 1;

/// The result of exploring one scenario.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExploreResult {
    /// The format's version.
    pub format: u32,
    /// The scenario file, as it was named.
    pub scenario: String,
    /// The claim that was tested.
    pub claim: String,
    /// The pattern.
    pub pattern: String,
    /// What is asked of every schedule.
    pub properties: Vec<String>,
    /// `holds`, `violated` or `unknown`.
    pub verdict: String,
    /// Why the verdict is unknown.
    pub reason: Option<String>,
    /// The bound in words: clients, operations, keys, faults, pauses.
    pub bound: String,
    /// Whether every schedule within the bound was searched.
    pub exhausted: bool,
    /// Schedules run to their end.
    pub schedules: u64,
    /// Schedules given up because the rest had been searched elsewhere.
    pub pruned: u64,
    /// Different states.
    pub states: u64,
    /// Choices made over all executions.
    pub choices: u64,
    /// Steps of the longest schedule.
    pub longest: u64,
    /// Everything that some schedule within the bound came to.
    pub findings: Vec<Finding>,
    /// Whether all causes were searched by which something can go wrong; else only that of the
    /// smallest schedule has a name.
    #[serde(default)]
    pub causes_searched: bool,
    /// The smallest schedule for the finding that matters most.
    pub counterexample: Option<Counterexample>,
    /// Places of the pattern that some schedule reached.
    pub marks: Vec<String>,
    /// Rules of faults that took effect in no schedule.
    pub never_struck: Vec<String>,
    /// What was expected: `holds`, `violated`, or the hazard; nothing where none was.
    pub expected: Option<String>,
    /// Whether it came out as expected; `None` when nothing was expected, it is unknown, or it
    /// would have but was not tested.
    pub as_expected: Option<bool>,
    /// Why it counts as not tested.
    pub not_tested: Vec<String>,
}

/// Explores a program with fewer faults first, until one bound shows what is expected, or
/// anything where nothing is.
pub fn explore_scenario(
    subject: &Subject,
    name: &str,
    limits: Limits,
    watch: Watch<'_>,
) -> Result<ExploreResult, RunError> {
    explore_and_shrink(subject, name, limits, watch, &|_| true)
}

/// The same, where only findings that are `wanted` get a counterexample.
pub(super) fn explore_and_shrink(
    subject: &Subject,
    name: &str,
    limits: Limits,
    watch: Watch<'_>,
    wanted: &dyn Fn(&Finding) -> bool,
) -> Result<ExploreResult, RunError> {
    let settings = subject.scenario.explore.clone();
    let search = Search { reduce: true, switches: None };
    let hazard = settings.hazard.clone();
    let is_it = |finding: &Finding| finding.hazard == hazard;
    let enough = |exploration: &Exploration| match &hazard {
        Some(_) => exploration.findings.iter().any(|(finding, _)| is_it(finding)),
        None => !exploration.findings.is_empty(),
    };
    let (exploration, bounds) = deepen(subject, search, limits, watch, &enough)?;
    let mut subject = subject.clone();
    subject.bounds = bounds;
    let telling = most_telling(&exploration, hazard.as_deref()).filter(|(found, _)| wanted(found));
    let schedules = limits.schedules.min(CANDIDATE_SCHEDULES_MAX);
    let counterexample = match &telling {
        Some((finding, choices)) => {
            Some(match smallest_within(&subject, finding, schedules, watch)? {
                Some(smallest) => smallest,
                // There was no time left to look for a smaller one.
                None => {
                    let small = Some("there was no time left to look for it".to_owned());
                    as_found(&subject, finding, choices, small)?
                }
            })
        }
        None => None,
    };
    Ok(result(&subject, name, &settings, exploration, counterexample))
}

/// The finding that matters most: the expected hazard, else what lasts longest.
pub(super) fn most_telling(
    exploration: &Exploration,
    hazard: Option<&str>,
) -> Option<(Finding, Vec<Choice>)> {
    let rank = |(finding, _): &&(Finding, Vec<Choice>)| {
        let expected = hazard.is_some() && finding.hazard.as_deref() == hazard;
        (!expected, std::cmp::Reverse(finding.lasts), finding.kind, finding.key.clone())
    };
    exploration.findings.iter().min_by_key(rank).cloned()
}

pub(super) fn result(
    subject: &Subject,
    name: &str,
    settings: &ExploreSettings,
    exploration: Exploration,
    counterexample: Option<Counterexample>,
) -> ExploreResult {
    let mut findings: Vec<Finding> = exploration.findings.into_iter().map(|(f, _)| f).collect();
    name_cause(&mut findings, counterexample.as_ref());
    findings.sort();
    let (verdict, reason) = match exploration.verdict {
        Verdict::Holds => ("holds", None),
        Verdict::Violated => ("violated", None),
        Verdict::Unknown(reason) => ("unknown", Some(reason)),
    };
    let never_struck = untested::never(subject, &exploration.struck);
    let marks: Vec<String> = exploration.marks.iter().map(|mark| (*mark).to_owned()).collect();
    let mut not_tested = Vec::new();
    if verdict == "holds" {
        not_tested.extend(unreached(subject, settings, &marks));
        not_tested.extend(untested::reasons(subject, &never_struck));
    }
    if exploration.effort.choices == 0 {
        not_tested.push("there is nothing to be scheduled".to_owned());
    }
    let expected = settings.hazard.clone().or(settings.expect.map(|expect| match expect {
        Expected::Holds => "holds".to_owned(),
        Expected::Violated => "violated".to_owned(),
    }));
    let met = match (&settings.hazard, settings.expect) {
        (Some(hazard), _) => Some(findings.iter().any(|f| f.hazard.as_ref() == Some(hazard))),
        (None, Some(Expected::Holds)) => Some(verdict == "holds"),
        (None, Some(Expected::Violated)) => Some(verdict == "violated"),
        (None, None) => None,
    };
    ExploreResult {
        format: EXPLORE_FORMAT,
        scenario: name.to_owned(),
        claim: subject.scenario.claim.clone(),
        pattern: subject.scenario.pattern.clone(),
        properties: subject.properties.iter().map(|p| p.name().to_owned()).collect(),
        as_expected: met.filter(|met| match met {
            true => not_tested.is_empty(),
            false => verdict != "unknown",
        }),
        verdict: verdict.to_owned(),
        reason,
        bound: subject.bound(),
        exhausted: exploration.complete,
        schedules: exploration.effort.schedules,
        pruned: exploration.effort.pruned,
        states: exploration.effort.states,
        choices: exploration.effort.choices,
        longest: exploration.effort.depth,
        findings,
        causes_searched: subject.name_hazards,
        counterexample,
        marks,
        never_struck: never_struck.iter().map(ToString::to_string).collect(),
        expected,
        not_tested,
    }
}

/// Why a scenario that holds was not tested: places that no schedule reached.
fn unreached(subject: &Subject, settings: &ExploreSettings, marks: &[String]) -> Vec<String> {
    // A mark is a place of the defence, or of the scenario's own pattern.
    let own = settings.defence.as_ref().is_none_or(|name| *name == subject.scenario.pattern);
    let mark = settings.mark.as_deref().filter(|_| own);
    let wanted = mark.into_iter().chain(settings.window.map(Window::mark));
    let missed = wanted.filter(|wanted| !marks.iter().any(|mark| mark == wanted));
    missed.map(|wanted| format!("no schedule reached the mark `{wanted}`")).collect()
}

/// Where no cause was searched, that of a finding is that of its smallest schedule.
fn name_cause(findings: &mut [Finding], smallest: Option<&Counterexample>) {
    let Some(Counterexample { finding, .. }) = smallest else { return };
    let nameless = Finding { hazard: None, ..finding.clone() };
    if let Some(found) = findings.iter_mut().find(|found| **found == nameless) {
        found.hazard.clone_from(&finding.hazard);
    }
}

impl ExploreResult {
    /// The chance that two different states were taken for one is below 2 to the minus this: n
    /// states have fewer than n * n / 2 pairs, and each pair is alike in 128 bits as good as random
    /// with a chance of 2^-128. `None` where no states were merged.
    pub fn collision_bits(&self) -> Option<u32> {
        let bits_of_states = u64::BITS - self.states.saturating_sub(1).leading_zeros();
        (self.states > 0).then(|| 129 - 2 * bits_of_states)
    }

    /// How long the worst finding lasts; `None` without findings.
    pub fn worst(&self) -> Option<Lasts> {
        self.findings.iter().map(|finding| finding.lasts).max()
    }
}
