//! Taking effect: a step is executed by its server, its answer reaches its caller, or the
//! caller gives up.

use super::error::RunError;
use super::injector::{COMMITTED, bit};
use super::memory;
use super::network::{Fate, Flight, PendingWrite};
use super::recorder::Seen;
use super::world::{Enabled, World};
use crate::backend::{Origin, Submitted};
use crate::history::record::{CommitRecord, Source, StepKind, StepResult};
use crate::operation::OpId;
use crate::scenario::OnTimeout;
use crate::step::{
    Answer, Command, ConnectionId, DbCommand, DbReply, Location, Row, RowId, StepError, Table, Ttl,
    Win,
};
use crate::time::Time;

impl World<'_> {
    /// A step takes effect at its server.
    pub fn execute(&mut self, flight: usize) -> Result<(), RunError> {
        self.flight_mut(flight).pending -= 1;
        if self.state.network.connections[self.flight(flight).connection.0 as usize].closed
            && !self.may_still_land(flight)
        {
            self.leave_connection(flight);
            self.release(flight);
            return Ok(());
        }
        let state = self.state.network.flights[flight].as_ref().expect("an enabled flight lives");
        let origin = Origin { step: state.step, op: state.op };
        let kind = state.kind;
        let answer = match &state.command {
            Command::Cache(command) => {
                let (node, connection) = (state.node, state.connection);
                let reply = self.cache.execute(
                    self.state.now,
                    node,
                    connection,
                    origin,
                    command,
                    &mut self.footprint,
                )?;
                Some(Answer::Cache(reply))
            }
            Command::Local(command) => {
                let process = self.state.clients[state.client].process;
                memory::note(command, process, &mut self.footprint);
                Some(Answer::Local(self.state.processes[process].memory.execute(command)))
            }
            Command::Database(_) | Command::Apart(_) => self.submit(flight)?,
            Command::ReadLog { after, limit } => {
                self.footprint.read(|| Location::CommitClock);
                let records = self.state.followers.log.as_ref().map(|log| log.read(*after, *limit));
                Some(Answer::Log(records.unwrap_or_default()))
            }
            Command::Sleep(_) => unreachable!("a sleep is not executed"),
        };
        match answer {
            Some(answer) => self.executed(flight, answer)?,
            None => self.wait_for_lock(flight),
        }
        // Only a statement lets another through, and only a store evicts.
        if kind.is_database() {
            return self.wake_blocked();
        }
        if kind.is_cache() && kind.writes() {
            self.note_evictions();
        }
        Ok(())
    }

    /// What was sent before its connection was given up may still land, but a process that
    /// died took along what had not left it: memory.
    fn may_still_land(&self, flight: usize) -> bool {
        !matches!(self.flight(flight).command, Command::Local(_))
    }

    fn submit(&mut self, flight: usize) -> Result<Option<Answer>, RunError> {
        if let Some(row) = self.read_replica(flight) {
            if let Some((table, id)) = self.row_of(flight) {
                self.footprint.read(|| Location::Row(table, id));
            }
            return Ok(Some(Answer::Database(DbReply::Row(row))));
        }
        let state = self.state.network.flights[flight].as_ref().expect("an enabled flight lives");
        let (Command::Database(command) | Command::Apart(command)) = &state.command else {
            unreachable!("only statements are submitted");
        };
        Ok(match self.database.submit(state.connection, command, &mut self.footprint)? {
            Submitted::Done(reply) => Some(Answer::Database(reply)),
            Submitted::Blocked => None,
        })
    }

    /// The row that a statement is about.
    pub(super) fn row_of(&self, flight: usize) -> Option<(Table, RowId)> {
        match &self.flight(flight).command {
            Command::Database(command) | Command::Apart(command) => command.row(),
            _ => None,
        }
    }

    fn wait_for_lock(&mut self, flight: usize) {
        let connection = self.flight(flight).connection;
        self.state.network.connection_mut(connection).blocked = Some(flight);
        if !self.flight(flight).settled {
            self.flight_mut(flight).pending += 1;
            self.enabled.push(Enabled::Expire { flight });
        }
    }

    /// Statements that waited for a lock and got it.
    pub(super) fn wake_blocked(&mut self) -> Result<(), RunError> {
        let woken = self.database.woken(&mut self.footprint)?;
        for (connection, reply) in woken {
            let blocked = self.state.network.connection_mut(connection).blocked.take();
            if let Some(flight) = blocked {
                self.executed(flight, Answer::Database(reply))?;
            }
        }
        Ok(())
    }

    /// The server has carried the step out and answers.
    fn executed(&mut self, flight: usize, answer: Answer) -> Result<(), RunError> {
        let state = self.state.network.flights[flight].as_ref().expect("an executed flight lives");
        let seen = self.state.recorder.seen(&state.command, &answer);
        let expires = self.expiry_of(state);
        let (step, fate, settled) = (state.step, state.fate, state.settled);
        let kind = state.kind;
        let order = self.state.recorder.executed(step, self.state.now, expires, &seen);
        self.flight_mut(flight).executed = true;
        if kind.is_database() {
            self.note_statement(flight, &answer, order);
        }
        self.note_in_operation(flight, kind, &seen);
        self.flight_mut(flight).answer = Some(answer);
        self.leave_connection(flight);
        if settled {
            self.leave_unread(flight);
            self.release(flight);
            return Ok(());
        }
        self.flight_mut(flight).pending += 1;
        match fate {
            Fate::LoseReply => self.enabled.push(Enabled::Expire { flight }),
            Fate::Then(rule) => {
                self.flight_mut(flight).pending -= 1;
                let client = self.flight(flight).client;
                let epoch = self.flight(flight).epoch;
                self.strike_after(rule, client, step)?;
                if self.state.clients[client].epoch == epoch {
                    self.flight_mut(flight).pending += 1;
                    self.enabled.push(Enabled::Deliver { flight });
                } else {
                    self.leave_unread(flight);
                    self.release(flight);
                }
            }
            _ => self.enabled.push(Enabled::Deliver { flight }),
        }
        Ok(())
    }

    /// When the item that a cache step was about will be gone by itself.
    fn expiry_of(&self, flight: &Flight) -> Time {
        let Command::Cache(command) = &flight.command else { return Time::NEVER };
        if !command.has_effect() {
            return Time::NEVER;
        }
        let told = command.key().and_then(|key| self.cache.expiry(flight.node, key));
        told.unwrap_or(match command.ttl() {
            None | Some(Ttl::NEVER) => Time::NEVER,
            Some(_) => Time::UNTOLD,
        })
    }

    /// Where a read's value came from, and which steps the operation has behind it.
    fn note_in_operation(&mut self, flight: usize, kind: StepKind, seen: &Seen) {
        let state = self.state.network.flights[flight].as_ref().expect("an executed flight lives");
        if self.state.clients[state.client].epoch != state.epoch {
            return;
        }
        let (client, commits, key) = (state.client, state.commits, state.key);
        // What an operation on one row finds under any key is about that row: entries may
        // have versions, generations or epochs in their keys.
        let key = match (kind, self.state.clients[client].current.rows.as_slice()) {
            (StepKind::DbSelect, _) => key,
            (_, [row]) if seen.value != OpId::NONE => Some(self.row_key(*row)),
            _ => key,
        };
        let current = &mut self.state.clients[client].current;
        current.executed |= bit(kind) | if commits { COMMITTED } else { 0 };
        let Some(key) = key else { return };
        let found = seen.value != OpId::NONE || seen.absent;
        match kind {
            StepKind::CacheGet | StepKind::CacheGat | StepKind::CacheMetaGet => {
                let source = match seen.result {
                    StepResult::Found | StepResult::Lease(Win::Lost) if found => Source::Hit,
                    _ => Source::Miss,
                };
                current.seen.push((key, source));
            }
            StepKind::Local if seen.result == StepResult::Found => {
                current.seen.push((key, Source::Hit));
            }
            StepKind::DbSelect => {
                // A miss under any key, in an operation on one row, is about that row too.
                let alone = current.rows.len() == 1;
                let missed = |source| alone && source == Source::Miss;
                let asked = current.seen.iter().any(|(seen, s)| *seen == key || missed(*s));
                let source = if asked { Source::Miss } else { Source::Database };
                current.seen.push((key, source));
            }
            _ => {}
        }
    }

    /// What a statement did to its connection's transaction and to the rows.
    fn note_statement(&mut self, flight: usize, answer: &Answer, order: u64) {
        let Answer::Database(reply) = answer else { return };
        let state = self.state.network.flights[flight].as_ref().expect("an executed flight lives");
        let connection = &mut self.state.network.connections[state.connection.0 as usize];
        let (Command::Database(command) | Command::Apart(command)) = &state.command else { return };
        let step = state.step;
        match (command, reply) {
            (DbCommand::Begin(_), DbReply::Done) => connection.in_transaction = true,
            (DbCommand::Commit, DbReply::Done) => {
                connection.in_transaction = false;
                for write in std::mem::take(&mut connection.writes) {
                    self.note_commit(write, order, step);
                }
            }
            (DbCommand::Commit | DbCommand::Rollback, _) => {
                connection.in_transaction = false;
                connection.writes.clear();
            }
            (_, DbReply::Written(written)) if written.affected > 0 => {
                let Some((Table(0), id)) = command.row() else { return };
                let write = PendingWrite {
                    id,
                    key: state.key.expect("a write's row has a key"),
                    writer: command.writer(),
                    version: written.version.unwrap_or(0),
                    row: written_row(command, written.version.unwrap_or(0)),
                };
                match connection.in_transaction {
                    true => connection.writes.push(write),
                    false => self.note_commit(write, order, step),
                }
            }
            _ => {}
        }
    }

    fn note_commit(&mut self, write: PendingWrite, order: u64, step: crate::step::StepId) {
        self.state.recorder.commit(CommitRecord {
            key: write.key,
            at: self.state.now,
            order,
            writer: write.writer,
            version: write.version,
            absent: write.row.is_none(),
            step,
        });
        self.publish(write.id, write.writer, write.version, write.row);
    }

    /// What a commit did reaches whoever follows the database: its replica, and its log.
    pub(super) fn publish(&mut self, id: RowId, writer: OpId, version: u64, row: Option<Row>) {
        if let Some(log) = &mut self.state.followers.log {
            // Whoever reads the log sees the order of commits.
            self.footprint.write(|| Location::CommitClock);
            log.commit(id, writer, version, row.clone());
        }
        if let Some(replica) = &mut self.state.followers.replica {
            replica.commit(self.state.now, id, row);
        }
    }

    fn note_evictions(&mut self) {
        for (node, key) in self.cache.take_evicted() {
            let key = self.state.recorder.key(&key);
            self.state.recorder.node_event(StepKind::CacheEvict, node, Some(key), self.state.now);
        }
    }

    /// The answer reaches its caller, if the caller still waits.
    pub fn deliver(&mut self, flight: usize) -> Result<(), RunError> {
        let state = self.flight_mut(flight);
        state.pending -= 1;
        let answer = state.answer.take().expect("only an answered step is delivered");
        let (step, client, epoch) = (state.step, state.client, state.epoch);
        let (ticket, effect, kind) = (state.ticket, state.effect, state.kind);
        state.settled = true;
        if self.state.clients[client].epoch != epoch {
            self.flight_mut(flight).answer = Some(answer);
            self.leave_unread(flight);
            self.release(flight);
            return Ok(());
        }
        // What became of the operation follows from the step's own answer, whatever is read.
        self.settle_effects(client, kind, effect, &answer);
        let answer = match self.fixed.rules.on_timeout {
            OnTimeout::Close => answer,
            OnTimeout::Reuse => self.read_reply(flight, answer),
        };
        let error = match answer {
            Answer::Error(error) => Some(error),
            _ => None,
        };
        self.state.recorder.answered(step, self.state.now, error);
        self.state.clients[client].waiting -= 1;
        self.note_answer(client, flight, &answer);
        self.actors[client].port.answer(ticket, answer);
        self.release(flight);
        self.poll(client)
    }

    /// An answer that says "certainly not" takes back the effect counted when the step was
    /// sent.
    fn settle_effects(&mut self, client: usize, kind: StepKind, effect: bool, answer: &Answer) {
        let current = &mut self.state.clients[client].current;
        if kind == StepKind::DbRollback && *answer == Answer::Database(DbReply::Done) {
            current.transaction_effects = 0;
        }
        let none = match answer {
            Answer::Error(error) => error.is_definite(),
            Answer::Database(DbReply::Error(_)) => true,
            Answer::Database(DbReply::Written(written)) => written.affected == 0,
            Answer::Cache(reply) => !matches!(
                reply,
                crate::step::CacheReply::Stored | crate::step::CacheReply::Number(_)
            ),
            _ => false,
        };
        if effect && none {
            current.effects -= 1;
        }
    }

    /// The caller gives up waiting, unless it has its answer.
    pub fn expire(&mut self, flight: usize) -> Result<(), RunError> {
        let state = self.flight_mut(flight);
        state.pending -= 1;
        let (client, epoch, step) = (state.client, state.epoch, state.step);
        let (ticket, connection, fate) = (state.ticket, state.connection, state.fate);
        let answered = std::mem::replace(&mut state.settled, true);
        if answered || self.state.clients[client].epoch != epoch {
            self.leave_unread(flight);
            self.release(flight);
            return Ok(());
        }
        self.state.recorder.answered(step, self.state.now, Some(StepError::Timeout));
        if let Fate::Late(delay) = fate {
            self.flight_mut(flight).pending += 1;
            self.enabled.push(Enabled::Execute { flight, late: Some(delay) });
        }
        self.leave_unread(flight);
        if !self.reuses(connection) {
            self.give_up(connection);
        }
        self.state.clients[client].waiting -= 1;
        self.note_answer(client, flight, &Answer::Error(StepError::Timeout));
        self.actors[client].port.answer(ticket, Answer::Error(StepError::Timeout));
        self.release(flight);
        self.poll(client)
    }

    /// A sleep is over.
    pub fn wake(&mut self, flight: usize) -> Result<(), RunError> {
        let state = self.flight_mut(flight);
        state.pending -= 1;
        state.settled = true;
        state.executed = true;
        let (client, epoch, ticket) = (state.client, state.epoch, state.ticket);
        if self.state.clients[client].epoch != epoch {
            self.release(flight);
            return Ok(());
        }
        self.note_answer(client, flight, &Answer::Slept);
        self.release(flight);
        self.state.clients[client].waiting -= 1;
        self.actors[client].port.answer(ticket, Answer::Slept);
        self.poll(client)
    }

    /// A client does not use a connection any more; what was sent on it may still land.
    pub(super) fn give_up(&mut self, connection: ConnectionId) {
        let state = self.state.network.connection_mut(connection);
        if state.closed {
            return;
        }
        state.closed = true;
        let client = &mut self.state.clients[state.client];
        let database = [&mut client.database_connection, &mut client.second_connection];
        for slot in client.cache_connections.iter_mut().chain(database) {
            if *slot == Some(connection) {
                *slot = None;
            }
        }
        self.hang_up_when_empty(connection);
    }

    /// The server notices a closed connection after the last step sent on it; a statement
    /// that waits for a lock is dropped then.
    fn hang_up_when_empty(&mut self, connection: ConnectionId) {
        let state = self.state.network.connection(connection);
        let blocked = u32::from(state.blocked.is_some());
        if !state.closed || state.under_way > blocked {
            return;
        }
        match state.is_database {
            true => self.enabled.push(Enabled::Disconnect { connection }),
            false => self.cache.close(connection),
        }
    }

    /// The database notices that a connection is gone, and rolls its transaction back.
    pub fn disconnect(&mut self, connection: ConnectionId) -> Result<(), RunError> {
        self.database.close(connection, &mut self.footprint)?;
        let state = self.state.network.connection_mut(connection);
        state.in_transaction = false;
        state.writes.clear();
        if let Some(flight) = state.blocked.take() {
            state.under_way -= 1;
            self.release(flight);
        }
        self.wake_blocked()
    }

    /// An operation ended with its transaction open: its connection goes back to nobody.
    pub(super) fn abandon_transaction(&mut self, client: usize) {
        if let Some(connection) = self.state.clients[client].database_connection
            && self.state.network.connection(connection).in_transaction
        {
            self.give_up(connection);
        }
    }

    pub(super) fn leave_connection(&mut self, flight: usize) {
        let connection = self.flight(flight).connection;
        let state = self.state.network.connection_mut(connection);
        state.under_way -= 1;
        if state.closed {
            self.hang_up_when_empty(connection);
        }
    }

    /// Forgets a flight when nothing more can happen to it.
    pub(super) fn release(&mut self, flight: usize) {
        let state = self.flight(flight);
        let connections = &self.state.network.connections;
        let waits = connections
            .get(state.connection.0 as usize)
            .is_some_and(|connection| connection.blocked == Some(flight));
        if state.pending > 0 || waits {
            return;
        }
        if self.state.clients[state.client].id.is_ordinary() {
            self.state.network.under_way -= 1;
        }
        self.state.network.flights[flight] = None;
        self.state.network.free.push(flight);
    }
}

/// The row that a write leaves, `None` for a delete.
pub(super) fn written_row(command: &DbCommand, version: u64) -> Option<Row> {
    match command {
        DbCommand::Insert { id, writer, columns, .. }
        | DbCommand::Update { id, writer, columns, .. } => {
            Some(Row { id: *id, version, writer: *writer, columns: columns.clone() })
        }
        _ => None,
    }
}
