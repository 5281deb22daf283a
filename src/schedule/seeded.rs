//! The seeded scheduler: virtual time, and latencies drawn from the scenario.
//!
//! A queue of events with a first-in first-out tie-break. Every latency is a function
//! of seed, operation and step, so a change elsewhere moves nothing here.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

use super::error::RunError;
use super::injector::Injector;
use super::network::FlightInfo;
use super::queue::Queue;
use super::recorder::{Keep, Recorder};
use super::world::{Enabled, Parts, Rules, World};
use crate::backend::{Cache, Database};
use crate::entity::Entity;
use crate::history::record::{Effect, History, StepKind};
use crate::operation::OpId;
use crate::pattern::{App, Entry, Opened};
use crate::plan::Plan;
use crate::scenario::{CacheSettings, DatabaseSettings, Record, Scenario};
use crate::seed::{Purpose, Seed};
use crate::step::{ConnectionId, Table};
use crate::time::Time;

/// What a run needs.
pub struct Setup<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// The run's seed.
    pub seed: Seed,
    /// What will be asked.
    pub plan: &'a Plan,
    /// The pattern.
    pub entry: &'a Entry,
    /// The rows.
    pub entity: Arc<dyn Entity>,
    /// The cache, empty.
    pub cache: &'a mut dyn Cache,
    /// The database, without our tables.
    pub database: &'a mut dyn Database,
    /// The names of the cache nodes, as clients route by them.
    pub node_names: &'a [String],
}

/// Events after the last operation before background work counts as never resting.
const HEALING_EVENTS_MAX: u64 = 10_000_000;

/// What is due. Small, as each is moved about a few times.
#[derive(Clone, Copy, Debug)]
enum Event {
    Begin { client: u32 },
    Execute { flight: u32 },
    Deliver { flight: u32 },
    Expire { flight: u32 },
    Wake { flight: u32 },
    Disconnect { connection: ConnectionId },
    Tick { client: u32 },
    World { rule: u16, occurrence: u32 },
}

impl Event {
    /// Whether the run cannot be over while it is due.
    fn is_work(self) -> bool {
        !matches!(self, Event::Tick { .. } | Event::World { .. })
    }
}

struct Seeded<'a> {
    world: World<'a>,
    scenario: &'a Scenario,
    /// In nanoseconds, as every step needs them.
    cache_timeout: u64,
    database_timeout: u64,
    seed: Seed,
    events: Queue<Event>,
    work: usize,
    enabled: Vec<Enabled>,
    /// Background clients whose last round found nothing, since the load ended.
    idle: FxHashSet<usize>,
    /// Counts the rounds of background work that found something.
    worked: u64,
    /// For rounds under way that began with nothing else under way: what `worked` was then.
    /// An idle round that began earlier may have looked before the last change.
    began: FxHashMap<usize, u64>,
}

/// Runs a plan to its end: load, then healing. The audit is the caller's.
pub fn simulate(setup: Setup<'_>) -> Result<History, RunError> {
    let scenario = setup.scenario;
    let ttl = scenario.cache.ttl(setup.entity.ttl());
    let keep = match scenario.record {
        Record::Steps => Keep::Steps,
        Record::Operations => Keep::Operations,
    };
    let keys = setup.plan.rows().iter().map(|(_, row)| setup.entity.key(Table(0), row.id));
    let app = App {
        entity: Arc::clone(&setup.entity),
        ttl,
        cache_retries: scenario.cache.retries,
        database_retries: scenario.database.retries,
        keys: keys.collect(),
        opened: Opened::with_places(),
        named: Default::default(),
    };
    let rules = Rules {
        replica_lag: scenario.database.replica_lag,
        restart_after: scenario.workload.restart_after,
        on_timeout: scenario.cache.on_timeout,
    };
    let world = World::new(Parts {
        plan: setup.plan,
        entry: setup.entry,
        settings: &scenario.settings,
        seed: setup.seed,
        app,
        rules: &rules,
        cache: setup.cache,
        database: setup.database,
        node_names: setup.node_names,
        injector: Injector::new(&scenario.faults, setup.seed),
        recorder: Recorder::new(keep, setup.plan.operations()),
    })?;
    let mut seeded = Seeded {
        world,
        scenario,
        cache_timeout: (Time::ZERO + scenario.cache.timeout).0,
        database_timeout: (Time::ZERO + scenario.database.timeout).0,
        seed: setup.seed,
        events: Queue::new(),
        work: 0,
        enabled: Vec::new(),
        idle: FxHashSet::default(),
        worked: 0,
        began: FxHashMap::default(),
    };
    seeded.plan_world_faults();
    seeded.load()?;
    let faults_end = seeded.world.now();
    let first_expiry = seeded.world.next_expiry();
    seeded.world.disarm();
    seeded.heal(&setup.entry.name)?;
    let quiescent = seeded.world.now();
    let mut history = seeded.world.into_history();
    history.phases.faults_end = faults_end;
    history.phases.first_expiry = first_expiry;
    history.phases.quiescent = quiescent;
    history.phases.audit = quiescent;
    settle(&mut history);
    Ok(history)
}

impl Seeded<'_> {
    fn plan_world_faults(&mut self) {
        for (rule, fault) in self.scenario.faults.iter().enumerate() {
            let timed = fault.at.is_some() || fault.every.is_some();
            if timed && fault.on.is_none() && !fault.what.lasts() {
                let first = fault.at.or(fault.every).unwrap_or_default();
                let event = Event::World { rule: rule as u16, occurrence: 0 };
                self.push(Time::ZERO + first, event);
            }
        }
    }

    fn load(&mut self) -> Result<(), RunError> {
        self.schedule();
        while self.world.active() > 0 {
            let Some(event) = self.pop() else { break };
            self.happen(event)?;
        }
        Ok(())
    }

    /// Faults have stopped; what is under way ends, and background work goes on until one
    /// round of all found nothing.
    fn heal(&mut self, pattern: &str) -> Result<(), RunError> {
        self.idle.clear();
        let background = self.world.background();
        let mut rounds = 0;
        while self.work > 0 || self.idle.len() < background {
            let Some(event) = self.pop() else { break };
            self.happen(event)?;
            rounds += 1;
            if rounds > HEALING_EVENTS_MAX {
                let pattern = pattern.to_owned();
                return Err(RunError::NeverIdle { pattern, rounds });
            }
        }
        Ok(())
    }

    #[inline]
    fn push(&mut self, at: Time, event: Event) {
        self.work += usize::from(event.is_work());
        self.events.push(at, event);
    }

    #[inline]
    fn pop(&mut self) -> Option<Event> {
        let (at, event) = self.events.pop()?;
        self.work -= usize::from(event.is_work());
        self.world.advance(at);
        Some(event)
    }

    fn happen(&mut self, event: Event) -> Result<(), RunError> {
        match event {
            Event::Begin { client } => self.world.begin(client as usize)?,
            Event::Execute { flight } => self.world.execute(flight as usize)?,
            Event::Deliver { flight } => self.world.deliver(flight as usize)?,
            Event::Expire { flight } => self.world.expire(flight as usize)?,
            Event::Wake { flight } => self.world.wake(flight as usize)?,
            Event::Disconnect { connection } => self.world.disconnect(connection)?,
            Event::Tick { client } => {
                let client = client as usize;
                if self.world.active() == 0 && self.world.is_at_rest() {
                    self.began.insert(client, self.worked);
                }
                self.world.tick(client)?;
            }
            Event::World { rule, occurrence } => {
                self.world.world_fault(rule, u64::from(occurrence))?;
                if let Some(every) = self.scenario.faults[usize::from(rule)].every {
                    let occurrence = occurrence.saturating_add(1);
                    self.push(self.world.now() + every, Event::World { rule, occurrence });
                }
            }
        }
        self.schedule();
        Ok(())
    }

    /// Gives everything that has become possible its time.
    fn schedule(&mut self) {
        self.world.take_enabled(&mut self.enabled);
        let now = self.world.now();
        for place in 0..self.enabled.len() {
            match self.enabled[place] {
                Enabled::Begin { client, after } => {
                    let at = self.world.next_begin(client).max(now + after);
                    self.push(at, Event::Begin { client: client as u32 });
                }
                Enabled::Execute { flight, late } => self.schedule_execute(flight, late),
                Enabled::Deliver { flight } => self.schedule_deliver(flight),
                Enabled::Expire { flight } => {
                    let at = self.deadline(&self.world.flight_info(flight)).max(now);
                    self.push(at, Event::Expire { flight: flight as u32 });
                }
                Enabled::Wake { flight, after } => {
                    self.push(now + after, Event::Wake { flight: flight as u32 })
                }
                Enabled::Disconnect { connection } => {
                    self.push(now, Event::Disconnect { connection });
                }
                Enabled::Tick { client, idle } => {
                    let began = self.began.remove(&client);
                    if !idle {
                        self.worked += 1;
                        self.idle.clear();
                    } else if began == Some(self.worked) {
                        self.idle.insert(client);
                    }
                    let pause =
                        if idle { self.scenario.workload.tick_every } else { Duration::ZERO };
                    self.push(now + pause, Event::Tick { client: client as u32 });
                }
            }
        }
        self.enabled.clear();
    }

    fn schedule_execute(&mut self, flight: usize, late: Option<Duration>) {
        let now = self.world.now();
        let info = self.world.flight_info(flight);
        let at = match late {
            Some(delay) => now + delay,
            None => {
                let draw = self.seed.draw(Purpose::Request, info.op.0, u64::from(info.number));
                let way = request(&self.scenario.cache, &self.scenario.database, info.kind, draw);
                now.plus_nanos(way) + info.held_up
            }
        };
        let at = self.world.arrive_in_order(flight, at);
        self.push(at, Event::Execute { flight: flight as u32 });
        let deadline = self.deadline(&info);
        if late.is_none() && at > deadline && info.kind != StepKind::Local {
            self.world.also_pending(flight);
            self.push(deadline, Event::Expire { flight: flight as u32 });
        }
    }

    fn schedule_deliver(&mut self, flight: usize) {
        let now = self.world.now();
        let info = self.world.flight_info(flight);
        let draw = self.seed.draw(Purpose::Reply, info.op.0, u64::from(info.number));
        let spread = match info.kind {
            StepKind::Local => None,
            kind if kind.is_cache() => Some(self.scenario.cache.reply),
            _ => Some(self.scenario.database.reply),
        };
        let way = spread.map_or(0, |spread| spread.sample(draw));
        let at = self.world.reply_in_order(flight, now.plus_nanos(way));
        let deadline = self.deadline(&info);
        match at > deadline {
            true => self.push(deadline.max(now), Event::Expire { flight: flight as u32 }),
            false => self.push(at, Event::Deliver { flight: flight as u32 }),
        }
    }

    /// When the caller of a step gives up waiting.
    fn deadline(&self, info: &FlightInfo) -> Time {
        match info.kind {
            StepKind::Local => Time::NEVER,
            kind if kind.is_cache() => info.sent.plus_nanos(self.cache_timeout),
            _ => info.sent.plus_nanos(self.database_timeout),
        }
    }
}

/// The time from sending a step to its taking effect, in nanoseconds.
fn request(cache: &CacheSettings, database: &DatabaseSettings, kind: StepKind, draw: u64) -> u64 {
    let spread = match kind {
        StepKind::Local => return 0,
        kind if kind.is_cache() => cache.request,
        StepKind::DbInsert | StepKind::DbUpdate | StepKind::DbDelete => database.write,
        StepKind::DbCommit | StepKind::DbRollback => database.commit,
        _ => database.select,
    };
    spread.sample(draw)
}

/// What each operation did to the database is known only now: its write may have landed
/// after it had returned.
pub(super) fn settle(history: &mut History) {
    let writers: FxHashSet<OpId> = history.commits.iter().map(|commit| commit.writer).collect();
    for op in &mut history.ops {
        if op.kind.writes() && writers.contains(&op.id) {
            op.effect = Effect::Committed;
        }
    }
}
