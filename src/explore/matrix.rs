//! Strategies × hazards: every strategy under every hazard's program, each cell exhausted
//! within the hazard's bound.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::counterexample::Counterexample;
use super::finding::{Finding, Lasts};
use super::folklore::Answer;
use super::result::explore_and_shrink;
use super::search::Limits;
use super::subject::{Sizes, Subject};
use crate::hazard;
use crate::parallel;
use crate::pattern::{Entry, Registry};
use crate::scenario::Scenario;

/// The version of this format; a reader refuses others.
pub const MATRIX_FORMAT: u32 = 1;

/// Schedules that one cell may take.
const CELL_SCHEDULES_MAX: u64 = 200_000;

/// Every strategy under every hazard.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Matrix {
    /// The format's version.
    pub format: u32,
    /// The strategies, in the order of the registry.
    pub strategies: Vec<String>,
    /// A row for each hazard, in the order of their names.
    pub hazards: Vec<HazardRow>,
    /// What is often said, answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folklore: Vec<Answer>,
}

/// One hazard under every strategy.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct HazardRow {
    /// The hazard's id: the name of its scenario.
    pub hazard: String,
    /// The pattern that its scenario shows it with.
    pub shown_with: String,
    /// The bound of the program, in words.
    pub bound: String,
    /// What is asked of every schedule.
    pub properties: Vec<String>,
    /// The cell of the pattern that shows it.
    pub own: Cell,
    /// The cells, by strategy.
    pub cells: BTreeMap<String, Cell>,
}

/// One strategy under one hazard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Cell {
    /// What came out.
    pub verdict: CellVerdict,
    /// For how long the worst finding of this hazard lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Lasts>,
    /// Other hazards that the same program showed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// Why it does not apply or is unknown; else, which of the hazard's faults had no step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Different states that were searched.
    pub states: u64,
    /// Steps of the smallest counterexample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
}

/// What a cell says.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum CellVerdict {
    /// Every schedule within the bound was searched, and none showed any hazard.
    Holds,
    /// None showed this hazard, but some showed others.
    Otherwise,
    /// Some schedule shows the hazard.
    Violated,
    /// The strategy takes no step that any of the hazard's faults could strike.
    NotApplicable,
    /// A limit was reached first.
    Unknown,
}

impl CellVerdict {
    /// The kebab-case name.
    pub fn name(self) -> &'static str {
        match self {
            CellVerdict::Holds => "holds",
            CellVerdict::Otherwise => "otherwise",
            CellVerdict::Violated => "violated",
            CellVerdict::NotApplicable => "not-applicable",
            CellVerdict::Unknown => "unknown",
        }
    }
}

/// What a change from one strategy to another does, by hazards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference<'a> {
    /// Violated before, and searched without a finding after.
    pub closed: Vec<&'a str>,
    /// Violated after only.
    pub opened: Vec<&'a str>,
    /// Violated before; after, no step is left that the hazard's fault strikes.
    pub evaded: Vec<&'a str>,
    /// Violated before; after, a limit was reached.
    pub undecided: Vec<&'a str>,
}

/// The counterexamples of a matrix, by `hazard/strategy`.
pub type Counterexamples = BTreeMap<String, Counterexample>;

/// What a scenario of a hazard is called, and what it says.
pub struct HazardScenario {
    /// The hazard's id.
    pub hazard: String,
    /// Its program.
    pub scenario: Scenario,
}

struct Job<'a> {
    hazard: &'a HazardScenario,
    /// `None` for the pattern of the scenario itself, with its settings.
    strategy: Option<&'a Entry>,
}

/// Fills in every cell, on all cores; `done` is told how many are.
pub fn matrix(
    hazards: &[HazardScenario],
    registry: &Registry,
    strategies: &[&Entry],
) -> Result<(Matrix, Counterexamples), String> {
    let mut jobs = Vec::new();
    for hazard in hazards {
        jobs.push(Job { hazard, strategy: None });
        jobs.extend(strategies.iter().map(|entry| Job { hazard, strategy: Some(entry) }));
    }
    let cells = parallel::map(jobs.len(), |place| fill(&jobs[place], registry));
    let mut rows: Vec<HazardRow> = Vec::new();
    let mut counterexamples = Counterexamples::new();
    for (job, cell) in jobs.iter().zip(cells) {
        let Filled { cell, bound, properties, counterexample } = cell?;
        let pattern = job.strategy.map_or(&job.hazard.scenario.pattern, |entry| &entry.name);
        if let Some(counterexample) = counterexample {
            let name = format!("{}/{pattern}", job.hazard.hazard);
            counterexamples.entry(name).or_insert(counterexample);
        }
        match job.strategy {
            None => rows.push(HazardRow {
                hazard: job.hazard.hazard.clone(),
                shown_with: pattern.clone(),
                bound,
                properties,
                own: cell,
                cells: BTreeMap::new(),
            }),
            Some(_) => {
                let row = rows.last_mut().expect("a row begins with its own pattern");
                row.cells.insert(pattern.clone(), cell);
            }
        }
    }
    let strategies = strategies.iter().map(|entry| entry.name.clone()).collect();
    let (format, folklore) = (MATRIX_FORMAT, Vec::new());
    Ok((Matrix { format, strategies, hazards: rows, folklore }, counterexamples))
}

struct Filled {
    cell: Cell,
    bound: String,
    properties: Vec<String>,
    counterexample: Option<Counterexample>,
}

fn fill(job: &Job<'_>, registry: &Registry) -> Result<Filled, String> {
    let hazard = &job.hazard.hazard;
    let mut scenario = job.hazard.scenario.clone();
    if let Some(entry) = job.strategy
        && entry.name != scenario.pattern
    {
        scenario.pattern.clone_from(&entry.name);
        let defence = scenario.explore.defence.as_ref() == Some(&entry.name);
        scenario.settings = match defence {
            true => scenario.explore.defence_settings.clone(),
            false => BTreeMap::new(),
        };
    }
    let name = format!("{hazard} under {}", scenario.pattern);
    scenario.explore.hazard = Some(hazard.clone());
    (scenario.explore.mark, scenario.explore.window) = (None, None);
    let subject = Subject::of(&scenario, registry, Sizes::default())
        .map_err(|error| format!("{name}: {error}"))?;
    let limits = Limits { schedules: CELL_SCHEDULES_MAX };
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let is_it = |finding: &Finding| finding.hazard.as_ref() == Some(hazard);
    let result = explore_and_shrink(&subject, &name, limits, go_on, &is_it)
        .map_err(|error| format!("{name}: {error}"))?;
    let lasts = result.findings.iter().filter(|found| is_it(found)).map(|found| found.lasts).max();
    let mut others: Vec<String> = result
        .findings
        .iter()
        .filter(|finding| !is_it(finding))
        .map(|finding| match &finding.hazard {
            Some(hazard) => hazard.clone(),
            None => finding.kind.name().to_owned(),
        })
        .collect();
    others.sort();
    others.dedup();
    let never_struck = subject.bounds.faults > 0 && !result.never_struck.is_empty();
    let without = never_struck
        .then(|| format!("no step for `{}` to strike", result.never_struck.join("`, `")));
    let (verdict, reason) = match (lasts.is_some(), result.verdict.as_str()) {
        (true, _) => (CellVerdict::Violated, None),
        (false, "unknown") => (CellVerdict::Unknown, result.reason.clone()),
        // What others were found until then says nothing about this one.
        (false, _) if !result.exhausted => {
            let reason = format!("{CELL_SCHEDULES_MAX} schedules were searched");
            (CellVerdict::Unknown, Some(reason))
        }
        (false, _)
            if never_struck && result.never_struck.len() == subject.scenario.faults.len() =>
        {
            (CellVerdict::NotApplicable, without)
        }
        (false, _) if others.is_empty() => (CellVerdict::Holds, without),
        (false, _) => (CellVerdict::Otherwise, without),
    };
    let counterexample = result.counterexample.filter(|_| verdict == CellVerdict::Violated);
    let steps = counterexample.as_ref().map(|example| example.choices.len() as u64);
    let cell = Cell { verdict, lasts, others, reason, states: result.states, steps };
    Ok(Filled { cell, bound: result.bound, properties: result.properties, counterexample })
}

impl Matrix {
    /// The cell of a strategy under a hazard.
    pub fn cell(&self, hazard: &str, strategy: &str) -> Option<&Cell> {
        self.hazards.iter().find(|row| row.hazard == hazard)?.cells.get(strategy)
    }

    /// How many cells say what, in the order of [`CellVerdict`].
    pub fn counts(&self) -> BTreeMap<CellVerdict, usize> {
        let mut counts = BTreeMap::new();
        for cell in self.hazards.iter().flat_map(|row| row.cells.values()) {
            *counts.entry(cell.verdict).or_insert(0) += 1;
        }
        counts
    }

    /// Where the search contradicts the catalogue: strategies that it calls open to a hazard and
    /// that hold, or calls a defence and that are violated, as (hazard, strategy, verdict).
    pub fn against_catalogue(&self) -> Vec<(&str, &str, CellVerdict)> {
        let mut found = Vec::new();
        for row in &self.hazards {
            let Some(reasoned) = hazard::find(&row.hazard) else { continue };
            for (strategy, cell) in &row.cells {
                let surprising = match cell.verdict {
                    CellVerdict::Violated => &reasoned.defences,
                    CellVerdict::Holds | CellVerdict::Otherwise => &reasoned.vulnerable,
                    CellVerdict::NotApplicable | CellVerdict::Unknown => continue,
                };
                if surprising.contains(strategy) {
                    found.push((row.hazard.as_str(), strategy.as_str(), cell.verdict));
                }
            }
        }
        found
    }

    /// The hazards in which two strategies differ.
    pub fn difference(&self, one: &str, other: &str) -> Difference<'_> {
        use CellVerdict::{NotApplicable, Unknown, Violated};
        let mut difference = Difference::default();
        for row in &self.hazards {
            let verdict = |name: &str| row.cells.get(name).map(|cell| cell.verdict);
            let list = match (verdict(one), verdict(other)) {
                (Some(Violated), Some(NotApplicable)) => &mut difference.evaded,
                (Some(Violated), Some(Unknown)) => &mut difference.undecided,
                (Some(Violated), Some(Violated)) => continue,
                (Some(Violated), Some(_)) => &mut difference.closed,
                (_, Some(Violated)) => &mut difference.opened,
                _ => continue,
            };
            list.push(row.hazard.as_str());
        }
        difference
    }
}
