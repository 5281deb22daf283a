//! Cancellations and deaths, and those who change rows behind the application's back.

use super::actor::{Actor, Task};
use super::client::Current;
use super::error::RunError;
use super::injector::Strike;
use super::memory::Memory;

use super::world::{Enabled, World};
use super::world_fault::written_by;
use crate::backend::Submitted;
use crate::fault::What;
use crate::history::record::{
    CommitRecord, Effect, OpRecord, Reported, Source, StepKind, StepResult,
};
use crate::operation::{ClientId, OpId, OpKind, Outcome};
use crate::step::{Command, DbCommand, DbReply, NodeId, RowId, StepId, Table};
use crate::time::Time;

impl World<'_> {
    /// A cancellation or crash strikes before its step is sent.
    pub(super) fn calamity_at(&mut self, client: usize, strike: Strike) -> Result<(), RunError> {
        match strike.what {
            What::Crash => self.crash(client),
            _ => self.cancel(client),
        }
    }

    /// A rule strikes after its step took effect.
    pub(super) fn strike_after(
        &mut self,
        rule: u16,
        client: usize,
        step: StepId,
    ) -> Result<(), RunError> {
        match self.injector.fault(rule).what {
            What::Crash => self.crash(client),
            What::Cancel => self.cancel(client),
            _ => self.change_the_world_at(rule, client, step),
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

    /// Somebody changes a row with SQL, behind the application's back. What they write is drawn
    /// so, or where a scheduler chooses everything depends on the statements before. Says whether
    /// a row was changed.
    pub(super) fn bypass(
        &mut self,
        what: What,
        id: RowId,
        drawn: Option<u64>,
    ) -> Result<bool, RunError> {
        self.state.bypass.count += 1;
        let writer = OpId::new(ClientId::BYPASS, self.state.bypass.count);
        let table = Table(0);
        let (plan, entity) = (self.fixed.plan, &*self.fixed.app.entity);
        let columns = || match drawn {
            Some(draw) => plan.contents_drawn(id, draw, entity),
            None => plan.contents_of(id, writer, entity),
        };
        let kind = written_by(what);
        let command = match kind {
            OpKind::Delete => DbCommand::Delete { table, id, writer },
            OpKind::Insert => DbCommand::Insert { table, id, writer, columns: columns() },
            _ => {
                let columns = columns();
                DbCommand::Update { table, id, writer, columns, if_version: None }
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
        let changed = self.record_bypass(&command, kind, &reply);
        self.wake_blocked()?;
        Ok(changed)
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

    fn record_bypass(&mut self, command: &DbCommand, kind: OpKind, reply: &DbReply) -> bool {
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
        changed
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
