//! Sending: a client's command becomes a step under way, unless a fault says otherwise.

use super::error::RunError;
use super::injector::{Strike, Target};
use super::recorder::Sent;
use super::state::{Connection, Fate, Flight};
use super::world::{Enabled, World};
use crate::fault::{Moment, What};
use crate::history::record::{FaultRecord, KeyId, StepKind};
use crate::step::{
    Answer, CacheRefusal, CacheReply, Command, ConnectionId, DbReply, NodeId, SqlError, StepError,
    StepId,
};

/// Where a command goes.
struct Route {
    node: NodeId,
    connection: ConnectionId,
    key: Option<KeyId>,
}

impl World<'_> {
    pub(super) fn send(
        &mut self,
        client: usize,
        ticket: u32,
        command: Command,
    ) -> Result<(), RunError> {
        if let Command::Sleep(nanos) = command {
            let flight = self.fly(client, ticket, command, StepId(u64::MAX), None);
            let after = std::time::Duration::from_nanos(nanos);
            self.enabled.push(Enabled::Wake { flight, after });
            return Ok(());
        }
        let kind = StepKind::of(&command);
        let route = self.route(client, &command);
        let connection = &self.connections[route.connection.0 as usize];
        let in_transaction = connection.is_database && connection.in_transaction;
        let commits =
            kind == StepKind::DbCommit || (kind.is_database() && kind.writes() && !in_transaction);
        let strike = self.strike(client, kind, commits, route.node);
        if let Some(strike) = strike
            && self.strikes_before(strike)
        {
            self.note_strike(strike, kind, client, None);
            return self.calamity_at(client, strike);
        }
        let step = self.recorder.sent(Sent {
            op: self.clients[client].current.id,
            at: self.now,
            key: route.key,
            kind,
            node: route.node,
            in_transaction,
            fault: strike.map(|strike| strike.rule),
        });
        if let Some(strike) = strike {
            self.note_strike(strike, kind, client, Some(step));
        }
        let strike = match strike {
            Some(strike) if self.changes_the_world_first(strike) => {
                self.change_the_world(strike.rule, Some(client))?;
                None
            }
            strike => strike,
        };
        let flight = self.fly(client, ticket, command, step, Some(&route));
        self.flight_mut(flight).commits = commits;
        self.count_effect(client, flight, kind, in_transaction);
        self.launch(flight, kind, strike);
        Ok(())
    }

    /// Faults that end the operation, or change the world, before the step is sent.
    fn strikes_before(&self, strike: Strike) -> bool {
        let fault = self.injector.fault(strike.rule);
        matches!(strike.what, What::Cancel | What::Crash) && fault.moment == Moment::Before
    }

    fn changes_the_world_first(&self, strike: Strike) -> bool {
        let fault = self.injector.fault(strike.rule);
        !fault.what.strikes_steps() && !fault.what.lasts() && fault.moment == Moment::Before
    }

    fn route(&mut self, client: usize, command: &Command) -> Route {
        match command {
            Command::Cache(command) => {
                let (node, key) = match command.key() {
                    Some(key) => {
                        let node = self.ring.as_ref().map_or(NodeId(0), |ring| ring.node(key));
                        (node, Some(self.recorder.key(key)))
                    }
                    None => (NodeId(0), None),
                };
                Route { node, connection: self.cache_connection(client, node), key }
            }
            Command::Database(command) => {
                let key = command.row().map(|(_, row)| self.row_key(row));
                Route { node: NodeId(0), connection: self.database_connection(client), key }
            }
            Command::Local(command) => {
                let key = Some(self.recorder.key(command.cell()));
                // Shared memory has no connection; the database's stands in and is unused.
                Route { node: NodeId(0), connection: self.database_connection(client), key }
            }
            Command::Sleep(_) => unreachable!("a sleep goes nowhere"),
        }
    }

    fn cache_connection(&mut self, client: usize, node: NodeId) -> ConnectionId {
        let place = usize::from(node.0);
        if let Some(connection) = self.clients[client].cache_connections[place] {
            return connection;
        }
        let connection = self.connect(client, false);
        self.clients[client].cache_connections[place] = Some(connection);
        connection
    }

    pub(super) fn database_connection(&mut self, client: usize) -> ConnectionId {
        if let Some(connection) = self.clients[client].database_connection {
            return connection;
        }
        let connection = self.connect(client, true);
        self.clients[client].database_connection = Some(connection);
        connection
    }

    pub(super) fn connect(&mut self, client: usize, is_database: bool) -> ConnectionId {
        let id = ConnectionId(self.connections.len() as u32);
        self.connections.push(Connection { client, is_database, ..Connection::default() });
        id
    }

    fn strike(
        &mut self,
        client: usize,
        kind: StepKind,
        commits: bool,
        node: NodeId,
    ) -> Option<Strike> {
        if kind == StepKind::Local {
            return None;
        }
        let current = &self.clients[client].current;
        let target = Target {
            now: self.now,
            kind,
            commits,
            client: self.clients[client].id,
            node: kind.is_cache().then_some(node),
            op: current.id,
            op_kind: current.kind,
            number: current.steps,
            executed: current.executed,
        };
        self.injector.unreachable(&target).or_else(|| self.injector.judge(&target))
    }

    fn note_strike(&mut self, strike: Strike, kind: StepKind, client: usize, step: Option<StepId>) {
        let fault = self.injector.fault(strike.rule);
        let until = fault.until.filter(|_| fault.what.lasts());
        let target = format!("{} of {}", kind.name(), self.clients[client].current.id);
        self.recorder.fault(FaultRecord {
            rule: strike.rule,
            at: self.now,
            until: until.map(|until| crate::time::Time::ZERO + until),
            target,
            step,
        });
    }

    /// Creates the flight; returns its place.
    fn fly(
        &mut self,
        client: usize,
        ticket: u32,
        command: Command,
        step: StepId,
        route: Option<&Route>,
    ) -> usize {
        let now = self.now;
        let state = &mut self.clients[client];
        state.waiting += 1;
        state.current.steps += 1;
        let flight = Flight {
            step,
            client,
            epoch: state.epoch,
            ticket,
            command,
            connection: route.map_or(ConnectionId(u32::MAX), |route| route.connection),
            node: route.map_or(NodeId(0), |route| route.node),
            op: state.current.id,
            number: state.current.steps,
            key: route.and_then(|route| route.key),
            sent: now,
            fate: Fate::Normal,
            answer: None,
            effect: false,
            commits: false,
            executed: false,
            settled: false,
            pending: 1,
        };
        if state.id.is_ordinary() {
            self.under_way += 1;
        }
        match self.free.pop() {
            Some(place) => {
                self.flights[place] = Some(flight);
                place
            }
            None => {
                self.flights.push(Some(flight));
                self.flights.len() - 1
            }
        }
    }

    /// Counts what may change what others read, so that an error can be told from a failure.
    fn count_effect(&mut self, client: usize, flight: usize, kind: StepKind, transaction: bool) {
        use StepKind::*;
        let stores = matches!(
            kind,
            CacheSet
                | CacheAdd
                | CacheReplace
                | CacheAppend
                | CachePrepend
                | CacheCas
                | CacheMetaSet
                | CacheIncr
                | CacheDecr
                | CacheMetaArithmetic
        );
        let writes = kind.is_database() && kind.writes();
        let current = &mut self.clients[client].current;
        if kind == DbCommit && current.transaction_effects > 0 {
            current.effects += 1;
            self.flight_mut(flight).effect = true;
        } else if writes && transaction && kind != DbCommit {
            current.transaction_effects += 1;
        } else if (writes && kind != DbCommit) || stores {
            current.effects += 1;
            self.flight_mut(flight).effect = true;
        }
    }

    /// The step sets out towards what a fault, or nothing, has in store for it.
    fn launch(&mut self, flight: usize, kind: StepKind, strike: Option<Strike>) {
        let Some(strike) = strike else {
            self.note_on_connection(flight);
            self.enabled.push(Enabled::Execute { flight, late: None });
            return;
        };
        let delay = self.injector.fault(strike.rule).delay;
        let (fate, enabled) = match strike.what {
            What::Refuse | What::Unreachable => {
                self.flight_mut(flight).answer = Some(Answer::Error(StepError::Refused));
                (Fate::Never, Enabled::Deliver { flight })
            }
            What::Fail => {
                self.flight_mut(flight).answer = Some(failure(kind));
                (Fate::Never, Enabled::Deliver { flight })
            }
            What::LoseRequest => (Fate::Never, Enabled::Expire { flight }),
            What::LoseReply => (Fate::LoseReply, Enabled::Execute { flight, late: None }),
            What::DeliverLate => {
                (Fate::Late(delay.unwrap_or_default()), Enabled::Expire { flight })
            }
            _ => (Fate::Then(strike.rule), Enabled::Execute { flight, late: None }),
        };
        self.flight_mut(flight).fate = fate;
        if fate != Fate::Never {
            self.note_on_connection(flight);
        }
        self.enabled.push(enabled);
    }

    fn note_on_connection(&mut self, flight: usize) {
        let connection = self.flight(flight).connection;
        self.connections[connection.0 as usize].under_way += 1;
    }

    pub(super) fn flight(&self, flight: usize) -> &Flight {
        self.flights[flight].as_ref().expect("a flight lives while something is enabled for it")
    }

    pub(super) fn flight_mut(&mut self, flight: usize) -> &mut Flight {
        self.flights[flight].as_mut().expect("a flight lives while something is enabled for it")
    }
}

/// The error that a server answers with when a fault makes it fail.
fn failure(kind: StepKind) -> Answer {
    match kind.is_cache() {
        true => Answer::Cache(CacheReply::Refusal(CacheRefusal::OutOfMemory)),
        false => Answer::Database(DbReply::Error(SqlError::Statement)),
    }
}
