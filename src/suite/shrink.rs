//! From a run that went wrong to a small list of operations.
//!
//! Operations are taken away one by one, then faults, then pauses; after each removal the
//! *schedule is searched again* over some seeds, because the old one rarely fits what is left.

use std::path::PathBuf;

use super::{Broken, Checked, Problem, Unmet};
use crate::plan::Plan;
use crate::run::Run;
use crate::scenario::{Group, Scenario};
use crate::seed::Seed;
use crate::time::human;

/// Seeds that are tried for each candidate.
const SEEDS_PER_CANDIDATE: u64 = 60;
/// Candidates that are tried at most.
const CANDIDATES_MAX: u32 = 400;

/// A failure, as small as it was found.
struct Smallest<'a> {
    checked: &'a Checked,
    scenario: Scenario,
    seed: Seed,
    run: Run,
    unmet: Unmet,
    candidates_left: u32,
}

/// Shrinks a failure and writes it down.
pub(super) fn smallest(
    checked: &Checked,
    seed: Seed,
    run: Run,
    unmet: Unmet,
) -> Result<Broken, Problem> {
    let scenario = scripted(checked, seed);
    let mut found = Smallest {
        checked,
        scenario: checked.scenario.clone(),
        seed,
        run,
        unmet,
        candidates_left: CANDIDATES_MAX,
    };
    // The drawn operations as scripts take the same course; if they did not, nothing is shrunk.
    if found.improve(scenario)? {
        while found.one_operation_less()? {}
        while found.one_fault_less()? {}
        found.without_pauses()?;
    }
    let small = Checked { scenario: found.scenario.clone(), ..checked.clone() };
    let file = write(&small, found.seed, &found.unmet);
    Ok(Broken::of(&small, found.seed, &found.run, found.unmet, file))
}

impl Smallest<'_> {
    /// Whether a candidate fails too, in the seed at hand or another; if so it is kept.
    fn improve(&mut self, candidate: Scenario) -> Result<bool, Problem> {
        if self.candidates_left == 0 {
            return Ok(false);
        }
        self.candidates_left -= 1;
        let others = (0..SEEDS_PER_CANDIDATE).map(|n| Seed(self.checked.scenario.seed).of_run(n));
        for seed in std::iter::once(self.seed).chain(others) {
            let run = self.checked.run(&candidate, seed)?;
            let unmet = self.checked.broken(&run).filter(|u| u.metric == self.unmet.metric);
            if let Some(unmet) = unmet {
                *self = Smallest {
                    checked: self.checked,
                    scenario: candidate,
                    seed,
                    run,
                    unmet,
                    candidates_left: self.candidates_left,
                };
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn one_operation_less(&mut self) -> Result<bool, Problem> {
        let lines = scripts(&self.scenario);
        for (client, script) in lines.iter().enumerate() {
            for place in (0..script.len()).rev() {
                let mut fewer = lines.clone();
                fewer[client].remove(place);
                if self.improve(with_scripts(&self.scenario, fewer))? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn one_fault_less(&mut self) -> Result<bool, Problem> {
        for place in 0..self.scenario.faults.len() {
            let mut fewer = self.scenario.clone();
            fewer.faults.remove(place);
            if self.improve(fewer)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn without_pauses(&mut self) -> Result<(), Problem> {
        let lines = scripts(&self.scenario);
        let bare = |line: &String| line.split(" after ").next().unwrap_or(line).to_owned();
        let bare = lines.iter().map(|script| script.iter().map(bare).collect()).collect();
        self.improve(with_scripts(&self.scenario, bare)).map(drop)
    }
}

/// The operations of each client of a scenario that has scripts.
pub(super) fn scripts(scenario: &Scenario) -> Vec<Vec<String>> {
    scenario.workload.groups.iter().map(|g| g.script.clone().unwrap_or_default()).collect()
}

/// The scenario with these operations; clients that have none left stay, so that the others
/// keep their names and fates.
fn with_scripts(scenario: &Scenario, scripts: Vec<Vec<String>>) -> Scenario {
    let mut scenario = scenario.clone();
    scenario.workload.groups = scripts.into_iter().map(group).collect();
    scenario
}

fn group(script: Vec<String>) -> Group {
    Group { clients: 1, operations: None, mix: None, keys: None, think: None, script: Some(script) }
}

/// The operations that a seed draws, as scripts.
fn scripted(checked: &Checked, seed: Seed) -> Scenario {
    let Some(entity) = checked.rows_of() else { return checked.scenario.clone() };
    let plan = Plan::draw(&checked.scenario, seed, &**entity);
    let line = |number: usize, client: &crate::plan::ClientPlan| {
        let op = &client.ops[number];
        let rows = match client.several.get(&number) {
            Some(rows) => rows.iter().map(|row| row.0.to_string()).collect::<Vec<_>>().join(","),
            None => op.row().0.to_string(),
        };
        match op.wait {
            0 => format!("{} {rows}", op.kind.name()),
            wait => format!("{} {rows} after {}", op.kind.name(), human(wait)),
        }
    };
    let lines = plan
        .clients()
        .iter()
        .map(|client| (0..client.ops.len()).map(|number| line(number, client)).collect())
        .collect();
    with_scripts(&checked.scenario, lines)
}

/// Leaves the counterexample as a scenario file; a full disk costs the file, not the verdict.
fn write(checked: &Checked, seed: Seed, unmet: &Unmet) -> Option<PathBuf> {
    let mut scenario = checked.scenario.clone();
    scenario.claim = format!("{} of {} {}", unmet.metric, checked.name, unmet.wanted);
    scenario.seed = seed.0;
    scenario.runs = 1;
    scenario.expect.all = unmet.expectation();
    let text = toml::to_string(&scenario).ok()?;
    let head = "# A counterexample: it fails as long as the pattern is as it was.\n";
    std::fs::create_dir_all(&checked.folder).ok()?;
    let file = checked.folder.join(format!("{}-{}.toml", checked.name, seed.0));
    std::fs::write(&file, format!("{head}{text}")).ok()?;
    Some(file)
}
