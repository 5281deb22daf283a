//! Faults of the world, cancellations and deaths.

use super::actor::{Actor, Task};
use super::client::Current;
use super::error::RunError;
use super::injector::Strike;
use super::memory::Memory;

use super::world::{Enabled, World};
use crate::backend::Submitted;
use crate::fault::What;
use crate::history::record::{
    CommitRecord, Effect, FaultRecord, OpRecord, Reported, Source, StepKind, StepResult,
};
use crate::operation::{ClientId, OpId, OpKind, Outcome};
use crate::seed::{Purpose, below};
use crate::step::{
    CacheCommand, Command, DbCommand, DbReply, Footprint, Location, NodeId, RowId, Table,
};
use crate::time::Time;

/// What makes a fault of the world happen.
#[derive(Clone, Copy)]
pub(super) enum Trigger {
    /// A step of this client.
    Step(usize),
    /// The clock, or the scheduler, for so many times before.
    Time(u64),
}

impl World<'_> {
    /// A cancellation or crash strikes before its step is sent.
    pub(super) fn calamity_at(&mut self, client: usize, strike: Strike) -> Result<(), RunError> {
        match strike.what {
            What::Crash => self.crash(client),
            _ => self.cancel(client),
        }
    }

    /// A rule strikes after its step took effect.
    pub(super) fn strike_after(&mut self, rule: u16, client: usize) -> Result<(), RunError> {
        match self.injector.fault(rule).what {
            What::Crash => self.crash(client),
            What::Cancel => self.cancel(client),
            _ => self.change_the_world(rule, Trigger::Step(client)),
        }
    }

    /// The operation's future is dropped: destructors run, connections with a reply
    /// outstanding are closed, the client goes on.
    pub(super) fn cancel(&mut self, client: usize) -> Result<(), RunError> {
        let was_idle = self.drop_future(client)?;
        self.actors[client].port.clear();
        self.end_abruptly(client);
        self.orphan_flights();
        self.abandon_transaction(client);
        self.go_on(client, was_idle, std::time::Duration::ZERO);
        Ok(())
    }

    /// Drops a client's future; says whether there was none. What its destructors send is on its
    /// way, without anybody who waits for it; an inert port takes nothing.
    fn drop_future(&mut self, client: usize) -> Result<bool, RunError> {
        let task = std::mem::replace(&mut self.actors[client].task, Task::Idle);
        let was_idle = matches!(task, Task::Idle);
        drop(task);
        self.send_all(client)?;
        Ok(was_idle)
    }

    /// A client whose operation ended abruptly begins its next one. One that was idle, since its
    /// operation had not waited for its last step, has that enabled already.
    fn go_on(&mut self, client: usize, was_idle: bool, after: std::time::Duration) {
        if !was_idle {
            self.enabled.push(match self.state.clients[client].id.is_ordinary() {
                true => Enabled::Begin { client, after },
                false => Enabled::Tick { client, idle: true },
            });
        }
    }

    fn end_abruptly(&mut self, client: usize) {
        if self.state.clients[client].current.kind.is_some() {
            self.record_op(client, Reported::Nothing, &[]);
        }
        self.note_move(client);
        let state = &mut self.state.clients[client];
        state.epoch += 1;
        state.waiting = 0;
    }

    /// Steps of operations that ended abruptly have nobody waiting for them; a connection
    /// with a reply outstanding is not used again. One pass serves all clients of a process.
    fn orphan_flights(&mut self) {
        for place in 0..self.state.network.flights.len() {
            let Some(flight) = &mut self.state.network.flights[place] else { continue };
            if flight.epoch != self.state.clients[flight.client].epoch && !flight.settled {
                flight.settled = true;
                let connection = flight.connection;
                if (connection.0 as usize) < self.state.network.connections.len()
                    && !self.reuses(connection)
                {
                    self.give_up(connection);
                }
            }
        }
    }

    /// A process dies: its handle goes inert first, so that no destructor has an effect;
    /// then its futures, memory and connections vanish. A new process takes its place.
    pub(super) fn crash(&mut self, client: usize) -> Result<(), RunError> {
        let process = self.state.clients[client].process;
        for member in 0..self.state.clients.len() {
            if self.state.clients[member].process != process {
                continue;
            }
            self.actors[member].port.make_inert();
            let was_idle = self.drop_future(member)?;
            self.end_abruptly(member);
            self.close_all(member);
            self.revive(member, was_idle);
        }
        self.orphan_flights();
        self.state.processes[process].memory = Memory::default();
        self.state.processes[process].pattern = self.start_pattern()?;
        Ok(())
    }

    fn close_all(&mut self, client: usize) {
        let state = &self.state.clients[client];
        let open: Vec<_> = state
            .cache_connections
            .iter()
            .flatten()
            .chain(&state.database_connection)
            .chain(&state.second_connection)
            .copied()
            .collect();
        for connection in open {
            self.give_up(connection);
        }
    }

    fn revive(&mut self, client: usize, was_idle: bool) {
        let moved = self.actors[client].moved;
        self.actors[client] = Actor { moved, ..Actor::new(self.fixed.seed, &self.fixed.app) };
        self.state.clients[client].current = Current::default();
        self.go_on(client, was_idle, self.fixed.rules.restart_after);
    }

    /// A fault of the world that was not triggered by a step wants to happen.
    pub fn world_fault(&mut self, rule: u16, occurrence: u64) -> Result<(), RunError> {
        if !self.injector.judge_world(rule, self.state.now, occurrence) {
            return Ok(());
        }
        let target = match self.injector.fault(rule).nodes.as_deref() {
            Some([node]) => format!("node {node}"),
            _ => "the world".to_owned(),
        };
        let (at, until, step) = (self.state.now, None, None);
        self.state.recorder.fault(FaultRecord { rule, at, until, target, step });
        self.change_the_world(rule, Trigger::Time(occurrence))
    }

    /// Carries out a fault of the world.
    pub(super) fn change_the_world(&mut self, rule: u16, trigger: Trigger) -> Result<(), RunError> {
        let fault = self.injector.fault(rule).clone();
        let nodes: Vec<NodeId> = match &fault.nodes {
            Some(list) => list.iter().map(|node| NodeId(*node)).collect(),
            None => (0..self.fixed.nodes).map(|node| NodeId(node as u16)).collect(),
        };
        match fault.what {
            What::RestartNode => {
                for node in nodes {
                    self.cache.restart(self.shown_time(), node)?;
                    self.state.recorder.node_event(
                        StepKind::CacheRestart,
                        node,
                        None,
                        self.state.now,
                    );
                }
            }
            What::FlushNode => {
                for node in nodes {
                    self.flush(node)?;
                }
            }
            What::JumpClock => {
                for node in nodes {
                    self.cache.jump(self.state.now, node, fault.by_seconds.unwrap_or(0))?;
                }
            }
            What::WarmRestart => {
                for node in nodes {
                    let kind = StepKind::CacheWarmRestart;
                    self.state.recorder.node_event(kind, node, None, self.state.now);
                }
            }
            What::PurgeLog => {
                if let Some(log) = &mut self.state.followers.log {
                    self.footprint.write(|| Location::CommitClock);
                    log.purge();
                }
            }
            What::Evict => {
                let row = self.row_for(fault.row(), rule, trigger);
                self.evict(row)?;
            }
            what if what.bypasses() => {
                let row = self.row_for(fault.row(), rule, trigger);
                let contents = self.detail(rule, trigger, 1);
                self.bypass(what, row, Some(contents))?;
            }
            what => unreachable!("{what} strikes steps and is carried out there"),
        }
        Ok(())
    }

    fn flush(&mut self, node: NodeId) -> Result<(), RunError> {
        let flush = CacheCommand::FlushAll { delay: None };
        let connection = self.connect(0, false);
        let mut footprint = Footprint::off();
        let origin = crate::backend::Origin::default();
        self.cache.execute(self.state.now, node, connection, origin, &flush, &mut footprint)?;
        self.state.recorder.node_event(StepKind::CacheFlushAll, node, None, self.state.now);
        Ok(())
    }

    pub(super) fn evict(&mut self, row: RowId) -> Result<(), RunError> {
        let key = self.fixed.app.entity.key(Table(0), row);
        let node = self.fixed.ring.as_ref().map_or(NodeId(0), |ring| ring.node(&key));
        self.footprint.write(|| Location::Item(node, key.clone()));
        if self.cache.evict(self.state.now, node, &key)? {
            let key = self.state.recorder.key(&key);
            self.state.recorder.node_event(StepKind::CacheEvict, node, Some(key), self.state.now);
        }
        Ok(())
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

    /// Somebody changes a row with SQL, behind the application's back. What they write is drawn
    /// so, or where a scheduler chooses everything depends on the statements before.
    pub(super) fn bypass(
        &mut self,
        what: What,
        id: RowId,
        drawn: Option<u64>,
    ) -> Result<(), RunError> {
        self.state.bypass.count += 1;
        let writer = OpId::new(ClientId::BYPASS, self.state.bypass.count);
        let table = Table(0);
        let (plan, entity) = (self.fixed.plan, &*self.fixed.app.entity);
        let columns = || match drawn {
            Some(draw) => plan.contents_drawn(id, draw, entity),
            None => plan.contents_of(id, writer, entity),
        };
        let (command, kind) = match what {
            What::BypassDelete => (DbCommand::Delete { table, id, writer }, OpKind::Delete),
            What::BypassInsert => {
                (DbCommand::Insert { table, id, writer, columns: columns() }, OpKind::Insert)
            }
            _ => {
                let columns = columns();
                let update = DbCommand::Update { table, id, writer, columns, if_version: None };
                (update, OpKind::Update)
            }
        };
        let connection = self.bypass_connection();
        let reply = match self.database.submit(connection, &command, &mut self.footprint)? {
            Submitted::Done(reply) => reply,
            Submitted::Blocked => {
                // Whoever sits at the console gives up on a locked row.
                self.database.close(connection, &mut self.footprint)?;
                self.state.bypass.connection = None;
                DbReply::Error(crate::step::SqlError::LockTimeout)
            }
        };
        self.record_bypass(&command, kind, &reply);
        self.wake_blocked()
    }

    fn bypass_connection(&mut self) -> crate::step::ConnectionId {
        match self.state.bypass.connection {
            Some(connection) => connection,
            None => {
                let connection = self.connect(0, true);
                self.state.bypass.connection = Some(connection);
                connection
            }
        }
    }

    fn record_bypass(&mut self, command: &DbCommand, kind: OpKind, reply: &DbReply) {
        let id = command.row().expect("a bypass names its row").1;
        let key = self.row_key(id);
        let changed = matches!(reply, DbReply::Written(written) if written.affected > 0);
        let version = match reply {
            DbReply::Written(written) => written.version.unwrap_or(0),
            _ => 0,
        };
        let command_kind = StepKind::of(&Command::Database(command.clone()));
        let step = self.state.recorder.sent(super::recorder::Sent {
            op: command.writer(),
            at: self.state.now,
            key: Some(key),
            kind: command_kind,
            node: NodeId(0),
            in_transaction: false,
            fault: None,
        });
        let seen = super::recorder::Seen {
            result: if changed { StepResult::Done } else { StepResult::NotDone },
            value: command.writer(),
            version,
            absent: command.deletes(),
        };
        let order = self.state.recorder.executed(step, self.state.now, Time::NEVER, &seen);
        self.state.recorder.answered(step, self.state.now, None);
        if changed {
            let absent = command.deletes();
            let writer = command.writer();
            let at = self.state.now;
            self.state.recorder.commit(CommitRecord {
                key,
                at,
                order,
                writer,
                version,
                absent,
                step,
            });
            let row = super::execute::written_row(command, version);
            self.publish(id, writer, version, row);
        }
        self.state.recorder.op(bypass_record(command.writer(), key, kind, changed, self.state.now));
    }
}

fn bypass_record(
    id: OpId,
    key: crate::history::record::KeyId,
    kind: OpKind,
    changed: bool,
    now: Time,
) -> OpRecord {
    OpRecord {
        id,
        start: now,
        end: now,
        value: OpId::NONE,
        key,
        steps: 1,
        kind,
        reported: if changed { Reported::Ok } else { Reported::Unchanged },
        outcome: Outcome::Ok,
        effect: Effect::None,
        source: Source::None,
        found: false,
        wrong: false,
    }
}
