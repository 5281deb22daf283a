//! What is explored: a small program, made from a scenario.

use std::sync::Arc;

use crate::check::{States, cause, reads};
use crate::entity::Entity;
use crate::fault::{Fault, What};
use crate::history::record::{History, OpRecord};
use crate::pattern::{Entry, Registry};
use crate::plan::Plan;
use crate::run::{Error, registered};
use crate::scenario::{Group, Profile, Property, Scenario};
use crate::schedule::{Bounds, NameOfRead, Named, Program, Track};
use crate::seed::Seed;

/// A small program and the bounds within which it is searched.
#[derive(Clone)]
pub struct Subject {
    /// The scenario: scripts, settings, faults.
    pub scenario: Scenario,
    /// Its pattern.
    pub entry: Entry,
    /// Its rows.
    pub entity: Arc<dyn Entity>,
    /// How much of what costs may happen.
    pub bounds: Bounds,
    /// What is asked of every schedule.
    pub properties: Vec<Property>,
    /// Whether every hazard is asked for by which something can go wrong; else findings have no
    /// names, which need not be searched for.
    pub name_hazards: bool,
    /// What of the ends of schedules is kept, to be compared with those of another search.
    pub ends: Ends,
}

/// What of the ends of schedules is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ends {
    /// Nothing.
    #[default]
    Ignored,
    /// What the servers held.
    Held,
    /// That, and what operations returned. It names who did what, so clients that ask the same
    /// are told apart.
    Returned,
}

/// Sizes of a small program, where the scenario does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Clients that read every key once.
    pub readers: Option<u32>,
    /// Clients that update every key once.
    pub writers: Option<u32>,
    /// Keys.
    pub keys: Option<u32>,
}

impl Sizes {
    fn is_given(self) -> bool {
        self.readers.is_some() || self.writers.is_some() || self.keys.is_some()
    }
}

impl Subject {
    /// The program of a scenario: its scripts, or else as many readers and writers as given
    /// here, in its `[explore]` section, or two of each on one key.
    pub fn of(scenario: &Scenario, registry: &Registry, sizes: Sizes) -> Result<Subject, Error> {
        let (entry, entity) = registered(scenario, registry)?;
        let mut scenario = scenario.clone();
        let explore = scenario.explore.clone();
        let scripted = scenario.workload.groups.iter().any(|group| group.script.is_some());
        if sizes.is_given() || !scripted {
            let readers = sizes.readers.or(explore.readers).unwrap_or(2);
            let writers = sizes.writers.or(explore.writers).unwrap_or(2);
            let keys = sizes.keys.or(explore.keys).unwrap_or(1);
            scenario.workload.groups = groups(readers, writers, keys);
            scenario.workload.rows = keys;
        }
        Ok(Subject::from_parts(scenario, entry, entity))
    }

    /// A scenario as it is, its drawn operations included: too big to be searched whole.
    pub fn whole(scenario: &Scenario, registry: &Registry) -> Result<Subject, Error> {
        let (entry, entity) = registered(scenario, registry)?;
        Ok(Subject::from_parts(scenario.clone(), entry, entity))
    }

    fn from_parts(mut scenario: Scenario, entry: &Entry, entity: &Arc<dyn Entity>) -> Subject {
        scenario.workload.arrivals_per_second = None;
        let explore = scenario.explore.clone();
        let faults = explore.faults.unwrap_or(u32::from(!scenario.faults.is_empty()));
        let mut properties = explore.property;
        if properties.is_empty() {
            properties = vec![Property::FinalState, Property::Reads];
        }
        let name_hazards = explore.hazard.is_some() || !scenario.accept.is_empty();
        let mut subject = Subject {
            entry: entry.clone(),
            entity: Arc::clone(entity),
            bounds: Bounds { faults: 0, advances: explore.advances },
            scenario,
            properties,
            name_hazards,
            ends: Ends::Ignored,
        };
        subject.allow_faults(faults);
        subject
    }

    /// Lets so many faults strike: the scenario's, or any of the usual ones where it has none.
    pub fn allow_faults(&mut self, faults: u32) {
        self.bounds.faults = faults;
        if faults > 0 && self.scenario.faults.is_empty() {
            self.scenario.faults = usual_faults();
        }
    }

    /// Whether its faults are the usual ones, and none of its own.
    pub(super) fn has_usual_faults(&self) -> bool {
        self.scenario.faults == usual_faults()
    }

    /// What of the past matters for the question.
    pub fn track(&self) -> Track {
        let asks = |property: Property| self.properties.contains(&property);
        Track {
            writes: true,
            reads: asks(Property::Reads),
            views: asks(Property::Reads) && self.plan().reads_several(),
            results: self.ends == Ends::Returned || asks(Property::Load),
            real_time: [Property::Linearizability, Property::Sessions, Property::Load]
                .into_iter()
                .any(asks),
            causes: self.name_hazards.then_some(NameOfRead(name_of_read)),
        }
    }

    /// Whether a fault restarts cache nodes.
    pub(crate) fn may_restart_nodes(&self) -> bool {
        self.scenario.faults.iter().any(|fault| fault.what == What::RestartNode)
    }

    /// The plan of the program.
    pub fn plan(&self) -> Plan {
        Plan::draw(&self.scenario, Seed(self.scenario.seed), &*self.entity)
    }

    /// What is scheduled, of that plan and on nodes of these names.
    pub(crate) fn program<'a>(&'a self, plan: &'a Plan, node_names: &'a [String]) -> Program<'a> {
        let (seed, entity) = (Seed(self.scenario.seed), Arc::clone(&self.entity));
        let mut program = Program::new(&self.scenario, seed, plan, &self.entry, entity, node_names);
        program.bounds = self.bounds;
        program
    }

    /// The bounds in words: clients, keys, operations, faults.
    pub fn bound(&self) -> String {
        let plan = self.plan();
        let count = |n: usize, one: &str, many: &str| match n {
            1 => format!("1 {one}"),
            n => format!("{n} {many}"),
        };
        let mut parts = vec![
            count(plan.clients().len(), "client", "clients"),
            count(plan.operations(), "operation", "operations"),
            count(plan.row_ids().count(), "key", "keys"),
            count(self.bounds.faults as usize, "fault", "faults"),
        ];
        if self.bounds.advances > 0 {
            parts.push(count(self.bounds.advances as usize, "pause", "pauses"));
        }
        let profile = self.scenario.database.profile;
        if profile != Profile::default() {
            parts.push(format!("database model:{profile}"));
        }
        parts.join(", ")
    }
}

/// What is wrong with a read, as far as it is known when it ends.
fn name_of_read(history: &History, read: &OpRecord) -> Named {
    let states = States::new(history);
    let parts: Vec<&OpRecord> = history.ops.iter().filter(|op| op.id == read.id).collect();
    let torn = (parts.len() > 1).then(|| cause::of_torn_read(history, &states, &parts)).flatten();
    let wrong = reads::judge_one(read, &states) != reads::Judgement::Fresh;
    let hazard = wrong.then(|| cause::of_read(history, &states, read)).flatten();
    Named { wrong, hazard: hazard.map(|(hazard, _)| hazard), torn }
}

fn groups(readers: u32, writers: u32, keys: u32) -> Vec<Group> {
    let group = |clients: u32, verb: &str| Group {
        clients,
        operations: None,
        mix: None,
        keys: None,
        think: None,
        script: Some((0..keys).map(|key| format!("{verb} {key}")).collect()),
    };
    let all = [group(readers, "read"), group(writers, "update")];
    all.into_iter().filter(|group| group.clients > 0).collect()
}

/// What commonly goes wrong between an application and its servers. Writes behind the
/// application's back and clock jumps are left out: they have to be asked for.
fn usual_faults() -> Vec<Fault> {
    let on = |what, steps: &str| Fault::on(what, steps).expect("the steps exist");
    vec![
        on(What::Refuse, "cache.*"),
        on(What::LoseRequest, "cache.write"),
        on(What::LoseReply, "cache.write"),
        on(What::DeliverLate, "cache.write"),
        on(What::Fail, "db.*"),
        on(What::LoseReply, "db.commit"),
        on(What::Cancel, "*"),
        on(What::Crash, "*"),
        Fault::new(What::Evict),
        Fault::new(What::RestartNode),
    ]
}
