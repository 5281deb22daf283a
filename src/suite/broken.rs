//! What a test that failed says: evidence first, then how to see it again.

use std::fmt;
use std::path::PathBuf;

use super::{Checked, Unmet};
use crate::operation::OpId;
use crate::report::lanes;
use crate::report::text::shown;
use crate::run::timeline::{Interest, Timeline};
use crate::run::{self, Finding, Run};
use crate::scenario;
use crate::seed::Seed;

/// Why a check did not pass.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Something that must hold does not.
    #[error("{0}")]
    Broken(Box<Broken>),
    /// Some schedule within a bound goes wrong.
    #[error("{0}")]
    Violated(Box<super::Violation>),
    /// A limit was reached before every schedule was searched.
    #[error("unknown: {0}; allow more with `.schedules_at_most(n)` or ask for less")]
    Unknown(String),
    /// Nothing was tested, or not what was meant to be.
    #[error("not tested: {0}")]
    NotTested(String),
    /// The settings of the check contradict each other.
    #[error("the check cannot be made: {0}")]
    Settings(String),
    /// A run could not be completed.
    #[error("a run could not be completed: {0}")]
    Run(#[from] run::Error),
}

impl Problem {
    pub(super) fn settings(problems: Vec<scenario::Problem>) -> Problem {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Problem::Settings(texts.join("\n"))
    }
}

/// A counterexample.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The pattern.
    pub pattern: String,
    /// The metric whose requirement was not met.
    pub metric: String,
    /// What was wanted of it.
    pub wanted: String,
    /// What was measured, in nanoseconds for durations.
    pub measured: f64,
    /// The seed of the schedule.
    pub seed: u64,
    /// The operations of each client, as lines of a script.
    pub operations: Vec<Vec<String>>,
    /// The bad entry, when there is one.
    pub finding: Option<Finding>,
    /// What happened.
    pub timeline: Timeline,
    /// The file that shows it again; `None` when it could not be written.
    pub file: Option<PathBuf>,
}

impl Broken {
    pub(super) fn of(
        checked: &Checked,
        seed: Seed,
        run: &Run,
        unmet: Unmet,
        file: Option<PathBuf>,
    ) -> Broken {
        let rules = checked.rules();
        let finding = run::findings(run, seed, &rules).into_iter().next();
        let mut operations: Vec<OpId> = run.history.ops.iter().map(|op| op.id).collect();
        operations.dedup();
        let all = Interest { operations: &operations, key: None, faults: &rules };
        Broken {
            pattern: checked.name.clone(),
            metric: unmet.metric,
            wanted: unmet.wanted,
            measured: unmet.measured,
            seed: seed.0,
            operations: super::shrink::scripts(&checked.scenario),
            finding,
            timeline: Timeline::of(&run.history, &all),
            file,
        }
    }

    /// How many operations the counterexample has.
    pub fn size(&self) -> usize {
        self.operations.iter().map(Vec::len).sum()
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = shown(&self.metric, self.measured);
        writeln!(
            f,
            "{} is broken: {} is {measured}, wanted {}",
            self.pattern, self.metric, self.wanted
        )?;
        if let Some(finding) = &self.finding {
            let value = |writer: &Option<String>| writer.clone().unwrap_or("nothing".to_owned());
            writeln!(
                f,
                "  {} is {}: the cache holds the value of {}, the database that of {}",
                finding.key,
                finding.class,
                value(&finding.cached),
                value(&finding.current)
            )?;
            if let Some(hazard) = &finding.hazard {
                writeln!(f, "  hazard: {hazard} (staleproof explain {hazard})")?;
            }
        }
        for (client, script) in self.operations.iter().enumerate() {
            writeln!(f, "  c{client}: {}", script.join(", "))?;
        }
        for line in lanes::render(&self.timeline) {
            writeln!(f, "  {line}")?;
        }
        match &self.file {
            Some(file) => {
                let file = file.display();
                writeln!(f, "replay: staleproof::check(..).replays(\"{file}\") in a test, or")?;
                write!(f, "        staleproof run {file} with a registry that has the pattern")
            }
            None => write!(f, "replay: the same test with .from_seed({})", self.seed),
        }
    }
}
