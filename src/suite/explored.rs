//! Exhaustive: every schedule of so many readers and writers, instead of a sample of seeds.

use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::{Checked, Problem};
use crate::explore::{Counterexample, Limits, Sizes, Subject, explore_scenario};
use crate::report::lanes;
use crate::scenario::Property;

/// A pattern whose every schedule within a bound is searched; see [`Checked::explore`].
#[derive(Clone)]
pub struct Explored {
    checked: Checked,
    sizes: Sizes,
    faults: u32,
    properties: Vec<Property>,
    schedules_max: u64,
}

/// A schedule that breaks a property.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The pattern.
    pub pattern: String,
    /// Everything that some schedule within the bound came to, in words.
    pub findings: Vec<String>,
    /// The bound, in words.
    pub bound: String,
    /// The smallest schedule; `None` when shrinking it took too long.
    pub counterexample: Option<Counterexample>,
    /// Its file; `None` when it could not be written.
    pub file: Option<PathBuf>,
}

impl Checked {
    /// Searches every schedule of so many readers and writers on one row, each of one
    /// operation: `staleproof::check(my_pattern).explore(2, 2).holds()`. Scripts given before
    /// replace them. Faults given before may strike once, see [`Explored::faults_at_most`].
    pub fn explore(self, readers: u32, writers: u32) -> Explored {
        let scripted = !self.scenario.workload.groups.is_empty();
        let sizes = match scripted {
            true => Sizes::default(),
            false => Sizes { readers: Some(readers), writers: Some(writers), keys: Some(1) },
        };
        let faults = u32::from(!self.scenario.faults.is_empty());
        let properties = vec![Property::FinalState];
        Explored { checked: self, sizes, faults, properties, schedules_max: 2_000_000 }
    }
}

impl Explored {
    /// How many faults may strike in one schedule: of those given, else of the usual ones.
    pub fn faults_at_most(mut self, faults: u32) -> Explored {
        self.faults = faults;
        self
    }

    /// How many rows each reader and writer goes through, one when not given.
    pub fn rows(mut self, rows: u32) -> Explored {
        self.sizes.keys = Some(rows);
        self
    }

    /// What is asked of each schedule; by default what cache and database hold in the end.
    pub fn properties(mut self, properties: impl IntoIterator<Item = Property>) -> Explored {
        self.properties = properties.into_iter().collect();
        self
    }

    /// Schedules after which the search gives up, 2,000,000 when not given.
    pub fn schedules_at_most(mut self, schedules: u64) -> Explored {
        self.schedules_max = schedules;
        self
    }

    /// Panics unless every schedule within the bound keeps every property.
    ///
    /// # Panics
    ///
    /// That is what it is for; the message has the smallest schedule that goes wrong.
    #[track_caller]
    pub fn holds(&self) {
        if let Err(problem) = self.verdict() {
            panic!("{problem}");
        }
    }

    /// Panics unless some schedule goes wrong, and hands it out.
    ///
    /// # Panics
    ///
    /// When all schedules hold, or a limit was reached first.
    #[track_caller]
    pub fn is_broken(&self) -> Violation {
        match self.verdict() {
            Err(Problem::Violated(violation)) => *violation,
            Err(problem) => panic!("{problem}"),
            Ok(()) => panic!("every schedule within the bound holds"),
        }
    }

    /// What came of it, for properties.
    pub fn verdict(&self) -> Result<(), Problem> {
        self.checked.validate()?;
        let scenario = &self.checked.scenario;
        let mut subject = Subject::of(scenario, &self.checked.registry, self.sizes)?;
        subject.allow_faults(self.faults);
        subject.properties = self.properties.clone();
        let name = &self.checked.name;
        let limits = Limits { schedules: self.schedules_max };
        let run = |source| crate::run::Error::Run { seed: scenario.seed, source };
        let result = explore_scenario(&subject, name, limits, &mut |_| ControlFlow::Continue(()))
            .map_err(run)?;
        match result.verdict.as_str() {
            "holds" if result.not_tested.is_empty() => Ok(()),
            "holds" => Err(Problem::NotTested(result.not_tested.join("; "))),
            "unknown" => Err(Problem::Unknown(result.reason.unwrap_or_default())),
            _ => Err(Problem::Violated(Box::new(Violation {
                pattern: name.clone(),
                findings: result.findings.iter().map(ToString::to_string).collect(),
                bound: result.bound,
                file: result.counterexample.as_ref().and_then(|example| self.write(example)),
                counterexample: result.counterexample,
            }))),
        }
    }

    /// Leaves the counterexample; a full disk costs the file, not the verdict.
    fn write(&self, example: &Counterexample) -> Option<PathBuf> {
        std::fs::create_dir_all(&self.checked.folder).ok()?;
        let kind = example.finding.kind.name();
        let file = self.checked.folder.join(format!("{}-{kind}.json", self.checked.name));
        std::fs::write(&file, example.to_json()).ok()?;
        Some(file)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} is broken within {}:", self.pattern, self.bound)?;
        for finding in &self.findings {
            writeln!(f, "  {finding}")?;
        }
        if let Some(example) = &self.counterexample {
            writeln!(f, "the smallest schedule ({}):", example.finding)?;
            for line in lanes::render(&example.timeline) {
                writeln!(f, "  {line}")?;
            }
        }
        match &self.file {
            Some(file) => write!(
                f,
                "replay: staleproof replay {} with a registry that has the pattern",
                file.display()
            ),
            None => write!(f, "replay: the same test; nothing in it is left to chance"),
        }
    }
}
