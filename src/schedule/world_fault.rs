//! Faults of the world: what they are about, whether they would change anything, and how they are
//! carried out. One that changes nothing has not struck: it is not recorded, and none of its budget
//! is spent.

use super::choice::Choice;
use super::clock::Clock;
use super::error::RunError;
use super::stepper::Stepper;
use super::world::World;
use crate::fault::{Fault, What};
use crate::history::record::{FaultRecord, StepKind};
use crate::operation::{OpId, OpKind};
use crate::seed::{Purpose, below};
use crate::step::{CacheCommand, Footprint, Key, Location, NodeId, RowId, StepId, Table};

/// What makes a fault of the world happen.
#[derive(Clone, Copy)]
enum Trigger {
    /// A step of this client.
    Step(usize),
    /// The clock, for so many times before.
    Time(u64),
}

/// What a scheduler that chooses everything aims a fault of the world at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// All that the rule speaks of.
    All,
    Node(NodeId),
    Row(RowId),
}

impl Aim {
    /// What a choice of a fault of the world aims at.
    pub fn of(choice: Choice) -> Aim {
        match choice {
            Choice::WorldNode(_, node) => Aim::Node(node),
            Choice::WorldRow(_, row) => Aim::Row(row),
            _ => Aim::All,
        }
    }
}

impl World<'_> {
    /// A fault of the world that was not triggered by a step wants to happen.
    pub fn world_fault(&mut self, rule: u16, occurrence: u64) -> Result<(), RunError> {
        if !self.injector.judge_world(rule, self.state.now, occurrence) {
            return Ok(());
        }
        let target = match self.injector.fault(rule).nodes.as_deref() {
            Some([node]) => format!("node {node}"),
            _ => "the world".to_owned(),
        };
        self.note_world_fault(rule, target);
        if !self.change_the_world(rule, Trigger::Time(occurrence))? {
            self.injector.take_back(rule);
            self.state.recorder.did_not_strike(rule, None);
        }
        Ok(())
    }

    /// A step, which counts as struck, makes a fault of the world happen.
    pub(super) fn change_the_world_at(
        &mut self,
        rule: u16,
        client: usize,
        step: StepId,
    ) -> Result<(), RunError> {
        if !self.change_the_world(rule, Trigger::Step(client))? {
            self.injector.take_back(rule);
            self.state.recorder.did_not_strike(rule, Some(step));
        }
        Ok(())
    }

    /// A scheduler that chooses everything makes a fault of the world happen.
    pub(super) fn world_fault_now(&mut self, rule: u16, aim: Aim) -> Result<(), RunError> {
        let target = match aim {
            Aim::Row(row) => format!("row {}", row.0),
            Aim::Node(node) => format!("node {}", node.0),
            Aim::All => "the world".to_owned(),
        };
        self.note_world_fault(rule, target);
        let fault = self.injector.fault(rule).clone();
        let changed = match aim {
            Aim::Row(row) if fault.what.bypasses() => self.bypass(fault.what, row, None)?,
            Aim::Row(row) => self.evict(&self.evicted_key(&fault, row))?,
            _ if fault.what == What::Evict => self.evict(&self.evicted_key(&fault, RowId(0)))?,
            _ if fault.what == What::PurgeLog => self.purge_log(),
            aim => {
                let nodes = self.nodes_of(&fault, aim);
                for node in &nodes {
                    self.footprint.write(|| Location::Node(*node));
                }
                self.strike_nodes(&fault, &nodes)?
            }
        };
        if !changed {
            self.state.recorder.did_not_strike(rule, None);
        }
        Ok(())
    }

    fn note_world_fault(&mut self, rule: u16, target: String) {
        let (at, until, step) = (self.state.now, None, None);
        self.state.recorder.fault(FaultRecord { rule, at, until, target, step });
    }

    /// Carries out a fault of the world; says whether it changed anything.
    fn change_the_world(&mut self, rule: u16, trigger: Trigger) -> Result<bool, RunError> {
        let fault = self.injector.fault(rule).clone();
        match fault.what {
            What::PurgeLog => Ok(self.purge_log()),
            What::Evict => {
                let row = self.row_for(fault.row(), rule, trigger);
                self.evict(&self.evicted_key(&fault, row))
            }
            what if what.bypasses() => {
                let row = self.row_for(fault.row(), rule, trigger);
                let contents = self.detail(rule, trigger, 1);
                self.bypass(what, row, Some(contents))
            }
            _ => self.strike_nodes(&fault, &self.nodes_of(&fault, Aim::All)),
        }
    }

    fn nodes_of(&self, fault: &Fault, aim: Aim) -> Vec<NodeId> {
        match (aim, &fault.nodes) {
            (Aim::Node(node), _) => vec![node],
            (_, Some(list)) => list.iter().map(|node| NodeId(*node)).collect(),
            (_, None) => (0..self.fixed.nodes).map(|node| NodeId(node as u16)).collect(),
        }
    }

    fn strike_nodes(&mut self, fault: &Fault, nodes: &[NodeId]) -> Result<bool, RunError> {
        let now = self.state.now;
        let mut any = false;
        for node in nodes {
            let (changed, event) = match fault.what {
                What::RestartNode => {
                    (self.cache.restart(self.shown_time(), *node)?, Some(StepKind::CacheRestart))
                }
                What::FlushNode => (self.flush(*node)?, Some(StepKind::CacheFlushAll)),
                // What it held it still holds, under the clock of a new start.
                What::WarmRestart => {
                    let holds = self.cache.holds_items(now, *node)?;
                    (holds, Some(StepKind::CacheWarmRestart))
                }
                What::JumpClock => {
                    (self.cache.jump(now, *node, fault.by_seconds.unwrap_or(0))?, None)
                }
                what => unreachable!("{what} is not about nodes"),
            };
            any |= changed;
            if let Some(event) = event.filter(|_| changed) {
                self.state.recorder.node_event(event, *node, None, now);
            }
        }
        Ok(any)
    }

    fn flush(&mut self, node: NodeId) -> Result<bool, RunError> {
        let holds = self.cache.holds_items(self.state.now, node)?;
        let flush = CacheCommand::FlushAll { delay: None };
        let connection = self.connect(0, false);
        let mut footprint = Footprint::off();
        let origin = crate::backend::Origin::default();
        self.cache.execute(self.state.now, node, connection, origin, &flush, &mut footprint)?;
        Ok(holds)
    }

    fn purge_log(&mut self) -> bool {
        let Some(log) = &mut self.state.followers.log else { return false };
        let holds = log.holds_records();
        self.footprint.write(|| Location::CommitClock);
        log.purge();
        holds
    }

    fn evict(&mut self, key: &Key) -> Result<bool, RunError> {
        let node = self.node_of(key);
        self.footprint.write(|| Location::Item(node, key.clone()));
        let held = self.cache.evict(self.state.now, node, key)?;
        if held {
            let key = self.state.recorder.key(key);
            self.state.recorder.node_event(StepKind::CacheEvict, node, Some(key), self.state.now);
        }
        Ok(held)
    }

    fn node_of(&self, key: &Key) -> NodeId {
        self.fixed.ring.as_ref().map_or(NodeId(0), |ring| ring.node(key))
    }

    /// The key that an eviction is about, where that asks for a row this one.
    fn evicted_key(&self, fault: &Fault, row: RowId) -> Key {
        fault.evicted_key(|| self.fixed.app.entity.key(Table(0), row))
    }

    /// The row that a fault is about: the one it names, the triggering operation's, or any.
    fn row_for(&self, named: Option<RowId>, rule: u16, trigger: Trigger) -> RowId {
        let own = match trigger {
            Trigger::Step(client) => self.state.clients[client].current.rows.first().copied(),
            Trigger::Time(_) => None,
        };
        named.or(own).unwrap_or_else(|| {
            let rows = self.fixed.plan.rows();
            let draw = self.detail(rule, trigger, 0);
            rows.get(below(draw, rows.len() as u64) as usize).map_or(RowId(0), |(_, row)| row.id)
        })
    }

    /// A parameter of a strike: a function of its rule and of what triggered it, so that no other
    /// rule moves it.
    fn detail(&self, rule: u16, trigger: Trigger, which: u64) -> u64 {
        let (who, when) = match trigger {
            Trigger::Step(client) => {
                let current = &self.state.clients[client].current;
                (current.id.0, u64::from(current.steps))
            }
            Trigger::Time(occurrence) => (OpId::NONE.0, occurrence),
        };
        self.injector.seed(rule).draw(Purpose::FaultDetail, who, when << 1 | which)
    }

    /// Whether a fault of the world would change anything now. It looks at nothing that is not in
    /// the fault's own footprint: else a choice that is not offered here could be put to sleep for
    /// one that may make it possible. What cannot be seen may change.
    fn would_change(&self, rule: u16, aim: Aim, over: &[(NodeId, Key)]) -> bool {
        let (fault, now) = (self.injector.fault(rule), self.state.now);
        let node_would = |node: NodeId| match (fault.what, self.cache.modelled(node)) {
            (What::JumpClock, _) => fault.by_seconds != Some(0),
            (_, None) => true,
            (What::RestartNode, Some(node)) => node.has_something_to_lose(now),
            (_, Some(node)) => node.holds_items(now),
        };
        let holds = |key: Key| {
            let node = self.node_of(&key);
            let held = self.cache.modelled(node).is_none_or(|node| node.peek(now, &key).is_some());
            held && !over.contains(&(node, key))
        };
        match (fault.what, aim) {
            (What::Evict, Aim::Row(row)) => holds(self.evicted_key(fault, row)),
            (What::Evict, _) => holds(self.evicted_key(fault, RowId(0))),
            (What::PurgeLog, _) => {
                self.state.followers.log.as_ref().is_some_and(|log| log.holds_records())
            }
            (what, Aim::Row(row)) => {
                let how = written_by(what);
                self.database.would_change(Table(0), row, how).unwrap_or(true)
            }
            (_, aim) => self.nodes_of(fault, aim).into_iter().any(node_would),
        }
    }
}

/// What a bypass does to its row.
pub(super) fn written_by(what: What) -> OpKind {
    match what {
        What::BypassDelete => OpKind::Delete,
        What::BypassInsert => OpKind::Insert,
        _ => OpKind::Update,
    }
}

impl Stepper<'_> {
    /// The ways in which a fault of the world can take effect now. One that is about nodes and
    /// names none strikes each in turn.
    pub(super) fn world_faults(&self, rule: u16, options: &mut Vec<Choice>) {
        let over = self.progress.clock.as_ref().map(Clock::over).unwrap_or_default();
        let first = options.len();
        let fault = self.world.fault(rule);
        match fault.row() {
            _ if fault.is_about_nodes() => match (&fault.nodes, self.world.nodes()) {
                (None, 2..) => {
                    let nodes = (0..self.world.nodes() as u16).map(NodeId);
                    options.extend(nodes.map(|node| Choice::WorldNode(rule, node)));
                }
                _ => options.push(Choice::World(rule)),
            },
            _ if !fault.is_about_rows() => options.push(Choice::World(rule)),
            Some(row) => options.push(Choice::WorldRow(rule, row)),
            None => options.extend(self.rows.iter().map(|row| Choice::WorldRow(rule, *row))),
        }
        let offered = options.split_off(first);
        let would_change = |choice: &Choice| self.world.would_change(rule, Aim::of(*choice), &over);
        options.extend(offered.into_iter().filter(would_change));
    }

    /// A fault of the world happens.
    pub(super) fn strike_the_world(&mut self, rule: u16, choice: Choice) -> Result<(), RunError> {
        let aim = Aim::of(choice);
        self.restart_clocks(rule, aim);
        self.world.world_fault_now(rule, aim)
    }
}
