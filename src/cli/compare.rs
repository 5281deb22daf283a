//! `staleproof compare`: two results side by side; also `run --baseline`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, output, print};
use crate::report::compare::{self, Judged, Same};
use crate::run::ScenarioResult;

#[derive(Args)]
pub(super) struct Arguments {
    /// Results from before
    before: PathBuf,
    /// Results from after
    after: PathBuf,
    /// Two patterns under one workload, rather than one scenario before and after
    #[arg(long)]
    patterns: bool,
    /// By how much a cost may rise, in percent
    #[arg(long, default_value_t = 20, value_name = "PERCENT")]
    tolerance: u32,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let read = |path: &Path| output::read(&[path]);
    let (before, after) = match (read(&arguments.before), read(&arguments.after)) {
        (Ok(before), Ok(after)) => (before, after),
        (before, after) => return before.err().max(after.err()).unwrap_or(Exit::WrongInput),
    };
    let same = if arguments.patterns { Same::Workload } else { Same::Scenario };
    let one_each = before.len() == 1 && after.len() == 1;
    let mut exit = Exit::AsExpected;
    for new in &after {
        let old = before.iter().find(|old| one_each || old.scenario == new.scenario);
        let Some(old) = old else {
            let (file, name) = (arguments.before.display(), &new.scenario);
            complain!("{file}: has no result of `{name}`; compare files of the same scenarios");
            exit = exit.max(Exit::WrongInput);
            continue;
        };
        exit = exit.max(one(old, new, same, arguments.tolerance, &arguments.before));
    }
    exit
}

/// Compares a result with an older one and prints what differs.
fn one(
    old: &ScenarioResult,
    new: &ScenarioResult,
    same: Same,
    tolerance: u32,
    file: &Path,
) -> Exit {
    if let Err(problem) = compare::comparable(old, new, same) {
        complain!("{}: {problem}", file.display());
        return Exit::WrongInput;
    }
    let differences = compare::compare(old, new, f64::from(tolerance) / 100.0);
    let exit = print(&compare::render(old, new, &differences, output::colour()));
    match differences.iter().any(|difference| difference.judged == Judged::Worse) {
        true => exit.max(Exit::Differs),
        false => exit,
    }
}

/// The tolerance of `run --baseline`, in percent.
const BASELINE_TOLERANCE: u32 = 20;

/// A baseline that was read before the first run.
pub(super) struct Baseline {
    file: PathBuf,
    results: Vec<ScenarioResult>,
}

impl Baseline {
    /// Reads a baseline; every scenario that will be run must be in it.
    pub fn read<'a>(
        file: &Path,
        scenarios: impl Iterator<Item = &'a Path>,
    ) -> Result<Baseline, Exit> {
        let results = output::read(&[file])?;
        let baseline = Baseline { file: file.to_owned(), results };
        let mut missing = false;
        for name in scenarios.map(|path| path.display().to_string()) {
            if baseline.find(&name).is_none() {
                let known: Vec<&str> =
                    baseline.results.iter().map(|result| result.scenario.as_str()).collect();
                complain!(
                    "{}: is a baseline of other scenarios ({}) and has none of `{name}`; write \
                     one with `staleproof run {name} --format json > FILE`",
                    file.display(),
                    known.join(", ")
                );
                missing = true;
            }
        }
        if missing { Err(Exit::WrongInput) } else { Ok(baseline) }
    }

    fn find(&self, scenario: &str) -> Option<&ScenarioResult> {
        self.results.iter().find(|result| result.scenario == scenario)
    }

    /// Compares what was run with the baseline.
    pub fn compare(&self, results: &[ScenarioResult]) -> Exit {
        let mut exit = Exit::AsExpected;
        for new in results {
            let Some(old) = self.find(&new.scenario) else { continue };
            exit = exit.max(one(old, new, Same::Scenario, BASELINE_TOLERANCE, &self.file));
        }
        exit
    }
}
