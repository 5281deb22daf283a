//! A program to be scheduled from outside: plan, pattern and faults, started again and again.

use std::cell::Cell;
use std::sync::Arc;

use super::error::RunError;
use super::injector::Injector;
use super::monitor::Track;
use super::pace::{Paces, Timing};
use super::recorder::{Keep, Recorder};
use super::stepper::{Bounds, Stepper};
use super::world::{Parts, Rules, World};
use crate::backend::{Cache, Database};
use crate::entity::Entity;
use crate::pattern::{App, Entry, Opened};
use crate::plan::Plan;
use crate::scenario::{OnTimeout, Scenario};
use crate::seed::Seed;
use crate::step::{RowId, Table};

/// All that a run of a small program is made of, but for its servers.
pub struct Program<'a> {
    scenario: &'a Scenario,
    seed: Seed,
    plan: &'a Plan,
    entry: &'a Entry,
    entity: Arc<dyn Entity>,
    node_names: &'a [String],
    rules: Rules,
    rows: Vec<RowId>,
    twins: Vec<Option<usize>>,
    /// Whether of clients that ask the same only one order of beginning is looked at.
    pub symmetry: bool,
    /// Whether a search found that its pattern may treat one client unlike another: then none
    /// stands for another, and all that was left out for that has to be searched.
    pub named: Cell<bool>,
    /// How much of what costs may happen.
    pub bounds: Bounds,
    /// What the verdict is about.
    pub track: Track,
    /// How much of time is looked at.
    pub timing: Timing,
    /// Whether the moments of a schedule are to be told in the end.
    pub solves: bool,
}

impl<'a> Program<'a> {
    /// A program of this scenario's clients, settings and faults.
    pub fn new(
        scenario: &'a Scenario,
        seed: Seed,
        plan: &'a Plan,
        entry: &'a Entry,
        entity: Arc<dyn Entity>,
        node_names: &'a [String],
    ) -> Program<'a> {
        let rules = Rules {
            replica_lag: scenario.database.replica_lag,
            restart_after: std::time::Duration::ZERO,
            on_timeout: scenario.cache.on_timeout,
        };
        let rows = plan.row_ids().collect();
        let (bounds, track) = (Bounds::default(), Track::default());
        let twins = twins(scenario, plan, entry);
        Program {
            scenario,
            seed,
            plan,
            entry,
            entity,
            node_names,
            rules,
            rows,
            twins,
            symmetry: true,
            named: Cell::new(false),
            bounds,
            track,
            timing: Timing::Order,
            solves: false,
        }
    }

    /// Whether states of it may be taken for one when what can be seen of them agrees.
    pub fn can_merge(&self) -> bool {
        // Replies that wait unread on a connection are not in a state's fingerprint.
        self.scenario.cache.on_timeout == OnTimeout::Close
    }

    /// Whether its pattern keeps state that no step shows. Such a state cannot be copied, nor told
    /// from another, and steps that have nothing in common may still meet in it: neither states
    /// nor orders may be left out.
    pub fn hides_state(&self) -> bool {
        self.entry.traits.hidden_state
    }

    /// Starts the program on these servers, which are empty.
    pub(crate) fn start<'s>(
        &'s self,
        cache: &'s mut dyn Cache,
        database: &'s mut dyn Database,
    ) -> Result<Stepper<'s>, RunError> {
        let scenario = self.scenario;
        let keys = self.plan.rows().iter().map(|(_, row)| self.entity.key(Table(0), row.id));
        let app = App {
            entity: Arc::clone(&self.entity),
            ttl: scenario.cache.ttl(self.entity.ttl()),
            cache_retries: scenario.cache.retries,
            database_retries: scenario.database.retries,
            keys: keys.collect(),
            opened: Opened::default(),
            named: Default::default(),
        };
        let world = World::new(Parts {
            plan: self.plan,
            entry: self.entry,
            settings: &scenario.settings,
            seed: self.seed,
            app,
            rules: &self.rules,
            cache,
            database,
            node_names: self.node_names,
            injector: Injector::new(&scenario.faults, self.seed),
            recorder: Recorder::new(Keep::Steps, self.plan.operations()),
        })?;
        let (rules, rows) = (scenario.faults.len(), self.rows.clone());
        let twins = match self.symmetry && !self.hides_state() {
            true => self.twins.clone(),
            false => vec![None; self.twins.len()],
        };
        let paces = Paces {
            timing: self.timing,
            cache_timeout: scenario.cache.timeout,
            database_timeout: scenario.database.timeout,
            lag: scenario.database.replica_lag,
            solves: self.solves,
        };
        Stepper::new(world, self.bounds, self.track, twins, rules, rows, paces)
    }
}

/// By client of the world, background work first: the nearest client before it that asks the
/// same in the same order and that no rule tells from it. Processes must not tell them apart
/// either: all clients live in one, or each in its own.
fn twins(scenario: &Scenario, plan: &Plan, entry: &Entry) -> Vec<Option<usize>> {
    let background = if entry.traits.background { plan.processes() as usize } else { 0 };
    let count = plan.clients().len();
    let alone = background == 0 && plan.processes() as usize == count;
    let alike = plan.processes() == 1 || alone;
    let named = scenario.faults.iter().any(|fault| fault.clients.is_some());
    let mut twins = vec![None; background];
    for (place, client) in plan.clients().iter().enumerate() {
        let mut before = plan.clients()[..place].iter().enumerate().rev();
        let twin = before.find(|(_, other)| other.asks_the_same(client));
        let twin = twin.filter(|_| alike && !named);
        twins.push(twin.map(|(place, _)| place + background));
    }
    twins
}
