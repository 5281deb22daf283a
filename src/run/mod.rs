//! Runs a scenario: draws, simulates, audits, measures and judges every run, and adds up.

mod finding;
mod measure;
pub mod metrics;
mod result;
mod servers;
mod verdict;

pub use measure::Measure;
pub use result::{ClaimVerdict, Expectation, FORMAT, Finding, Outcome, ScenarioResult, Struck};
pub use servers::{CacheChoice, DatabaseChoice, Servers};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::{BackendError, Cache, Clock, Origin};
use crate::check::audit::{self, Subject};
use crate::check::{States, exposure, reads};
use crate::entity::Entity;
use crate::history::record::History;
use crate::pattern::{Entry, Registry};
use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::schedule::{RunError, Setup, route, simulate};
use crate::seed::Seed;
use crate::step::{CacheCommand, ConnectionId, Footprint, Table};
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
    pub entries: Vec<audit::Entry>,
    /// What was measured.
    pub measure: Measure,
    /// What the cache was.
    pub cache: String,
    /// What the database was.
    pub database: String,
    /// Whose clock the expiry follows.
    pub clock: Clock,
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
    let mut cache = servers.cache(scenario, seed).map_err(backend)?;
    let mut database = servers.database(entry.traits).map_err(backend)?;
    let plan = Plan::draw(scenario, seed, &**entity);
    let node_names = servers.node_names(scenario);
    if cache.clock() == Clock::Real {
        clear(&mut *cache, &plan, &**entity, &node_names).map_err(backend)?;
    }
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
    let mut subject = Subject {
        cache: &mut *cache,
        database: &mut *database,
        entity: &**entity,
        node_of: &node_of,
    };
    let entries = audit::audit(&history, &states, &mut subject).map_err(backend)?;
    let exposure = exposure::measure(&history, &states);
    let reads = reads::judge(&history, &states);
    let rules = scenario.faults.len();
    let measure = Measure::of(&history, &states, reads, &entries, exposure.as_ref(), rules);
    Ok(Run {
        measure,
        entries,
        history,
        cache: cache.describe(),
        database: database.describe(),
        clock: cache.clock(),
    })
}

/// A real server may hold entries of an earlier run; only our own keys are removed.
fn clear(
    cache: &mut dyn Cache,
    plan: &Plan,
    entity: &dyn Entity,
    node_names: &[String],
) -> Result<(), BackendError> {
    let node_of = route(node_names);
    for row in plan.row_ids() {
        let key = entity.key(Table(0), row);
        let node = node_of(&key);
        let delete = CacheCommand::Delete { key };
        let (connection, origin) = (ConnectionId(u32::MAX), Origin::default());
        cache.execute(Time::ZERO, node, connection, origin, &delete, &mut Footprint::off())?;
    }
    Ok(())
}

fn registered<'a>(
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
    cache: String,
    database: String,
    clock: Clock,
    duration: Time,
}

/// Runs a scenario as often as it says, or until whoever watches asks to stop, and judges the
/// runs that were completed.
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
        cache: String::new(),
        database: String::new(),
        clock: Clock::Virtual,
        duration: Time::ZERO,
    };
    for number in 0..scenario.runs {
        let seed = Seed(scenario.seed).of_run(number);
        let run = run_once(scenario, registry, servers, seed)?;
        tally.take(seed, run);
        if !progress.run_done(number + 1, scenario.runs) {
            break;
        }
    }
    let (entry, entity) = registered(scenario, registry)?;
    Ok(verdict::judge(scenario, name, entry, entity.ttl(), tally))
}

impl Tally {
    fn take(&mut self, seed: Seed, run: Run) {
        for entry in run.entries.iter().filter(|entry| entry.class.is_bad()) {
            let hazard = entry.cause.as_ref().map_or("not determined", |cause| cause.hazard);
            *self.hazards.entry(hazard.to_owned()).or_insert(0) += 1;
            if self.findings.len() < FINDINGS_MAX {
                self.findings.push(finding::describe(&run.history, seed, entry));
            }
        }
        for (mark, count) in &run.history.marks {
            *self.marks.entry((*mark).to_owned()).or_insert(0) += count;
        }
        self.duration = self.duration.max(run.history.phases.quiescent);
        self.each.push((seed.0, run.measure));
        self.cache = run.cache;
        self.database = run.database;
        self.clock = run.clock;
    }
}
