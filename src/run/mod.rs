//! Runs a scenario: draws, simulates, audits, measures and judges every run, and adds up.

pub mod accept;
pub(crate) mod audit;
mod cache_choice;
mod database_choice;
mod evidence;
mod finding;
mod host;
pub mod lint;
mod measure;
pub mod memory;
pub mod metrics;
mod result;
pub mod sample;
pub mod series;
mod servers;
pub mod timeline;
mod verdict;
mod visibility;

pub use cache_choice::{CacheChoice, CacheClient, Pace, Place, RealCache};
pub use database_choice::DatabaseChoice;
pub(crate) use host::Host;
pub use measure::Measure;
pub use result::{ClaimVerdict, Expectation, FORMAT, Finding, Outcome, ScenarioResult, Struck};
pub use sample::Sample;
pub use servers::Servers;
#[cfg(all(feature = "memcached", feature = "serve"))]
pub(crate) use servers::check_number;
pub(crate) use servers::model;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::backend::{BackendError, Clock, Means};
use crate::check::audit::{Audit, Entry as AuditEntry};
use crate::check::{States, exposure, healed, reads};
use crate::entity::Entity;
use crate::history::record::History;
use crate::pattern::{Entry, Registry};
use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::schedule::{RunError, Setup, route, simulate};
use crate::seed::Seed;
use crate::time::Time;

/// Findings that a result keeps; the counts tell of all.
const FINDINGS_MAX: usize = 20;

/// Why a scenario has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A run could not be completed.
    #[error("run with seed {seed}: {source}")]
    Run {
        /// The run's seed.
        seed: u64,
        /// Why.
        source: RunError,
    },
    /// Code that is not an operation of the pattern panicked.
    #[error(
        "run with seed {seed} panicked (see above): a mistake of staleproof, or of the pattern's \
         or the entity's code outside an operation"
    )]
    Panicked {
        /// The run's seed.
        seed: u64,
    },
    /// The scenario names a pattern or entity that the registry does not have.
    #[error("the registry has no {what} `{name}`")]
    Unregistered {
        /// Pattern or entity.
        what: &'static str,
        /// Its name.
        name: String,
    },
}

/// Who watches a scenario run.
pub trait Progress {
    /// A run is over; `false` asks to stop.
    fn run_done(&mut self, done: u64, of: u64) -> bool;

    /// What happened in a run that is over.
    fn ran(&mut self, _seed: Seed, _run: &Run) {}

    /// A run after the first one failed; those before it are judged all the same.
    fn failed(&mut self, _error: Error) {}
}

/// Nobody watches.
impl Progress for () {
    fn run_done(&mut self, _: u64, _: u64) -> bool {
        true
    }
}

/// One run, and everything that was found out about it.
pub struct Run {
    /// What happened.
    pub history: History,
    /// The audit.
    pub entries: Vec<AuditEntry>,
    /// Exposure; `None` where steps were not recorded.
    pub exposure: Option<exposure::Exposure>,
    /// What was measured.
    pub measure: Measure,
    /// What the cache was.
    pub cache: String,
    /// What the database was.
    pub database: String,
    /// Whose clock the expiry follows.
    pub clock: Clock,
    /// How the cache did what servers cannot be told to do.
    pub means: Means,
    /// What was asked of the cache and could not be done.
    pub untested: Vec<String>,
}

/// Runs a scenario once.
pub fn run_once(
    scenario: &Scenario,
    registry: &Registry,
    servers: &Servers,
    seed: Seed,
) -> Result<Run, Error> {
    let (entry, entity) = registered(scenario, registry)?;
    let failed = |source: RunError| Error::Run { seed: seed.0, source };
    let backend = |error: BackendError| failed(error.into());
    let plan = Plan::draw(scenario, seed, &**entity);
    let phases = host::phases(scenario, seed);
    let host = servers.host(scenario, entry.traits, &**entity, &plan, &phases);
    let Host { mut cache, mut database, node_names } = host.map_err(backend)?;
    let history = simulate(Setup {
        scenario,
        seed,
        plan: &plan,
        entry,
        entity: Arc::clone(entity),
        cache: &mut *cache,
        database: &mut *database,
        node_names: &node_names,
    })
    .map_err(failed)?;
    // A long run's plan takes as much memory as a good part of its history.
    drop(plan);
    let states = States::new(&history);
    let node_of = route(&node_names);
    let asked = Audit { history: &history, states: &states, entity: &**entity };
    let mut at_rest =
        audit::Servers { cache: &mut *cache, database: &mut *database, node_of: &node_of };
    let mut entries = audit::audit(&asked, &mut at_rest).map_err(backend)?;
    let exposure = exposure::measure(&history, &states);
    if let Some(exposure) = &exposure {
        healed::put_back(&asked, exposure, &mut entries);
    }
    let reads = reads::judge(&history, &states);
    let rules = scenario.faults.len();
    let measure = Measure::of(&history, &states, reads, &entries, exposure.as_ref(), rules);
    Ok(Run {
        measure,
        exposure,
        entries,
        history,
        cache: cache.describe(),
        database: database.describe(),
        clock: cache.clock(),
        means: cache.means(),
        untested: cache.untested().to_vec(),
    })
}

/// The bad entries of a run in words, the first ones; `faults` are the rules in words.
pub fn findings(run: &Run, seed: Seed, faults: &[String]) -> Vec<Finding> {
    let bad = run.entries.iter().filter(|entry| entry.class.is_bad());
    bad.take(FINDINGS_MAX).map(|e| finding::describe(&run.history, seed, e, faults)).collect()
}

/// The pattern and the entity that a scenario names.
pub(crate) fn registered<'a>(
    scenario: &Scenario,
    registry: &'a Registry,
) -> Result<(&'a Entry, &'a Arc<dyn Entity>), Error> {
    let missing = |what, name: &str| Error::Unregistered { what, name: name.to_owned() };
    let entry =
        registry.find(&scenario.pattern).ok_or_else(|| missing("pattern", &scenario.pattern))?;
    let entity = registry
        .find_entity(&scenario.entity)
        .ok_or_else(|| missing("entity", &scenario.entity))?;
    Ok((entry, entity))
}

/// What is kept of all runs while they go on.
struct Tally {
    each: Vec<(u64, Measure)>,
    findings: Vec<Finding>,
    hazards: BTreeMap<String, u64>,
    marks: BTreeMap<String, u64>,
    visibility: visibility::Visibility,
    /// The run that is shown in detail, and whether it has a bad entry.
    shown: Option<(series::ShownRun, bool)>,
    cache: String,
    database: String,
    clock: Clock,
    means: Means,
    untested: Vec<String>,
    duration: Time,
    /// What went wrong by hazard, where the scenario accepts some of it.
    known: Option<accept::Known>,
}

/// Runs a scenario as often as it says, or until a run fails or whoever watches asks to stop,
/// and judges the runs that were completed.
///
/// # Errors
/// When no run was completed.
pub fn run(
    scenario: &Scenario,
    name: &str,
    registry: &Registry,
    servers: &Servers,
    progress: &mut dyn Progress,
) -> Result<ScenarioResult, Error> {
    let mut tally = Tally {
        each: Vec::new(),
        findings: Vec::new(),
        hazards: BTreeMap::new(),
        marks: BTreeMap::new(),
        visibility: visibility::Visibility::default(),
        shown: None,
        cache: String::new(),
        database: String::new(),
        clock: Clock::Virtual,
        means: Means::default(),
        untested: Vec::new(),
        duration: Time::ZERO,
        known: (!scenario.accept.is_empty()).then(accept::Known::default),
    };
    let rules: Vec<String> = scenario.faults.iter().map(ToString::to_string).collect();
    for number in 0..scenario.runs {
        let seed = Seed(scenario.seed).of_run(number);
        // A pattern that panics in an operation is a finding; what panics elsewhere must not
        // take along what other runs came to. Nothing of this run is used afterwards.
        let run = catch_unwind(AssertUnwindSafe(|| run_once(scenario, registry, servers, seed)))
            .unwrap_or(Err(Error::Panicked { seed: seed.0 }));
        let run = match run {
            Ok(run) => run,
            Err(error) if number == 0 => return Err(error),
            Err(error) => {
                progress.failed(error);
                break;
            }
        };
        progress.ran(seed, &run);
        tally.take(seed, run, &rules);
        if !progress.run_done(number + 1, scenario.runs) {
            break;
        }
    }
    let (entry, entity) = registered(scenario, registry)?;
    Ok(verdict::judge(scenario, name, entry, entity.ttl(), tally))
}

impl Tally {
    fn take(&mut self, seed: Seed, run: Run, rules: &[String]) {
        for entry in run.entries.iter().filter(|entry| entry.class.is_bad()) {
            let hazard = entry.cause.as_ref().map_or("not determined", |cause| cause.hazard);
            *self.hazards.entry(hazard.to_owned()).or_insert(0) += 1;
            if self.findings.len() < FINDINGS_MAX {
                self.findings.push(finding::describe(&run.history, seed, entry, rules));
            }
        }
        let states = States::new(&run.history);
        self.visibility.take(&run.history, &states);
        if let Some(known) = &mut self.known {
            known.take(&run, &states, seed);
        }
        let has_bad = run.measure.bad_entries() > 0;
        if self.shown.as_ref().is_none_or(|(_, bad)| has_bad && !bad) {
            self.shown = Some((series::shown_run(&run, &states, seed, rules), has_bad));
        }
        for (mark, count) in &run.history.marks {
            *self.marks.entry((*mark).to_owned()).or_insert(0) += count;
        }
        self.duration = self.duration.max(run.history.phases.quiescent);
        self.each.push((seed.0, run.measure));
        self.cache = run.cache;
        self.database = run.database;
        self.clock = run.clock;
        self.means = run.means;
        self.untested.extend(run.untested);
        self.untested.sort();
        self.untested.dedup();
    }
}
