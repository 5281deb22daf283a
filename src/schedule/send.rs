//! Sending: a client's command becomes a step under way, unless a fault says otherwise.

use super::error::RunError;
use super::injector::{Strike, Target};
use super::network::{Fate, Flight};
use super::recorder::Sent;

use super::world::{Enabled, World};
use crate::fault::{Moment, What};
use crate::history::record::{FaultRecord, KeyId, StepKind};
use crate::step::{
    Answer, CacheRefusal, CacheReply, Command, ConnectionId, DbReply, Key, NodeId, SqlError,
    StepError, StepId, Table,
};

/// What a command is and where it goes.
#[derive(Clone, Copy)]
struct Route {
    kind: StepKind,
    node: NodeId,
    connection: ConnectionId,
    key: Option<KeyId>,
}

/// What is known of a step when it sets out.
struct Departure {
    step: StepId,
    route: Route,
    commits: bool,
    effect: bool,
}

impl Departure {
    /// A sleep goes nowhere and is no recorded step.
    const SLEEP: Departure = Departure {
        step: StepId(u64::MAX),
        route: Route {
            kind: StepKind::Local,
            node: NodeId(0),
            connection: ConnectionId(u32::MAX),
            key: None,
        },
        commits: false,
        effect: false,
    };
}

impl World<'_> {
    pub(super) fn send(
        &mut self,
        client: usize,
        ticket: u32,
        command: Command,
    ) -> Result<(), RunError> {
        if let Command::Sleep(nanos) = command {
            let flight = self.fly(client, ticket, command, Departure::SLEEP);
            let after = std::time::Duration::from_nanos(nanos);
            self.enabled.push(Enabled::Wake { flight, after });
            return Ok(());
        }
        let route = self.route(client, &command);
        let kind = route.kind;
        let connection = self.state.network.connection(route.connection);
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
        let step = self.state.recorder.sent(Sent {
            op: self.state.clients[client].current.id,
            at: self.state.now,
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
                self.change_the_world_at(strike.rule, client, step)?;
                None
            }
            strike => strike,
        };
        let effect = self.count_effect(client, kind, in_transaction);
        let flight = self.fly(client, ticket, command, Departure { step, route, commits, effect });
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
        let kind = StepKind::of(command);
        match command {
            Command::Cache(command) => {
                let (node, key) = match command.key() {
                    Some(key) => {
                        let node =
                            self.fixed.ring.as_ref().map_or(NodeId(0), |ring| ring.node(key));
                        (node, Some(self.key_number(client, key)))
                    }
                    None => (NodeId(0), None),
                };
                Route { kind, node, connection: self.cache_connection(client, node), key }
            }
            Command::Database(command) => {
                let row = command.row().filter(|(table, _)| *table == Table(0));
                let key = row.map(|(_, row)| self.row_key(row));
                Route { kind, node: NodeId(0), connection: self.database_connection(client), key }
            }
            Command::Apart(command) => {
                let row = command.row().filter(|(table, _)| *table == Table(0));
                let key = row.map(|(_, row)| self.row_key(row));
                Route { kind, node: NodeId(0), connection: self.second_connection(client), key }
            }
            Command::ReadLog { .. } => {
                let connection = self.database_connection(client);
                Route { kind, node: NodeId(0), connection, key: None }
            }
            Command::Local(command) => {
                let key = Some(self.state.recorder.key(command.cell()));
                // Shared memory has no connection; the database's stands in and is unused.
                Route { kind, node: NodeId(0), connection: self.database_connection(client), key }
            }
            Command::Sleep(_) => unreachable!("a sleep goes nowhere"),
        }
    }

    /// The number of a cache key. Most are that of the row that the operation is about, and
    /// comparing two keys takes a third of the time that looking one up does.
    fn key_number(&mut self, client: usize, key: &Key) -> KeyId {
        if let [row] = self.state.clients[client].current.rows[..]
            && self.fixed.app.keys.get(row.0 as usize) == Some(key)
        {
            return self.row_key(row);
        }
        self.state.recorder.key(key)
    }

    pub(super) fn cache_connection(&mut self, client: usize, node: NodeId) -> ConnectionId {
        let place = usize::from(node.0);
        if let Some(connection) = self.state.clients[client].cache_connections[place] {
            return connection;
        }
        let connection = self.connect(client, false);
        self.state.clients[client].cache_connections[place] = Some(connection);
        connection
    }

    pub(super) fn database_connection(&mut self, client: usize) -> ConnectionId {
        if let Some(connection) = self.state.clients[client].database_connection {
            return connection;
        }
        let connection = self.connect(client, true);
        self.state.clients[client].database_connection = Some(connection);
        connection
    }

    fn second_connection(&mut self, client: usize) -> ConnectionId {
        if let Some(connection) = self.state.clients[client].second_connection {
            return connection;
        }
        let connection = self.connect(client, true);
        self.state.clients[client].second_connection = Some(connection);
        connection
    }

    pub(super) fn connect(&mut self, client: usize, is_database: bool) -> ConnectionId {
        self.state.network.connect(client, is_database)
    }

    fn strike(
        &mut self,
        client: usize,
        kind: StepKind,
        commits: bool,
        node: NodeId,
    ) -> Option<Strike> {
        if !self.injector.concerns(kind, commits) {
            return None;
        }
        let current = &self.state.clients[client].current;
        let target = Target {
            now: self.state.now,
            kind,
            commits,
            client: self.state.clients[client].id,
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
        let target = format!("{} of {}", kind.name(), self.state.clients[client].current.id);
        self.state.recorder.fault(FaultRecord {
            rule: strike.rule,
            at: self.state.now,
            until: until.map(|until| crate::time::Time::ZERO + until),
            target,
            step,
        });
    }

    /// Creates the flight; returns its place.
    fn fly(&mut self, client: usize, ticket: u32, command: Command, departure: Departure) -> usize {
        let now = self.state.now;
        let Departure { step, route, commits, effect } = departure;
        let state = &mut self.state.clients[client];
        state.waiting += 1;
        state.current.steps += 1;
        if state.id.is_ordinary() {
            self.state.network.under_way += 1;
        }
        self.state.network.add(Flight {
            step,
            client,
            epoch: state.epoch,
            ticket,
            command,
            kind: route.kind,
            connection: route.connection,
            node: route.node,
            op: state.current.id,
            number: state.current.steps,
            key: route.key,
            sent: now,
            fate: Fate::Normal,
            answer: None,
            effect,
            commits,
            executed: false,
            settled: false,
            pending: 1,
        })
    }

    /// Counts what may change what others read, so that an error can be told from a failure.
    /// Says whether the step itself was counted, and not its transaction.
    fn count_effect(&mut self, client: usize, kind: StepKind, in_transaction: bool) -> bool {
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
        let current = &mut self.state.clients[client].current;
        if kind == DbCommit && current.transaction_effects > 0 {
            current.effects += 1;
            true
        } else if writes && in_transaction && kind != DbCommit {
            current.transaction_effects += 1;
            false
        } else if (writes && kind != DbCommit) || stores {
            current.effects += 1;
            true
        } else {
            false
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
            What::AnswerWithoutDoing => match self.answer_without_doing(flight) {
                Some(answer) => {
                    self.flight_mut(flight).answer = Some(answer);
                    (Fate::Never, Enabled::Deliver { flight })
                }
                None => (Fate::Normal, Enabled::Execute { flight, late: None }),
            },
            What::Delay => {
                let fate = Fate::Delayed(delay.unwrap_or_default());
                (fate, Enabled::Execute { flight, late: None })
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
        self.state.network.connection_mut(connection).under_way += 1;
    }

    pub(super) fn flight(&self, flight: usize) -> &Flight {
        self.state.network.flight(flight)
    }

    pub(super) fn flight_mut(&mut self, flight: usize) -> &mut Flight {
        self.state.network.flight_mut(flight)
    }
}

/// The error that a server answers with when a fault makes it fail.
pub(super) fn failure(kind: StepKind) -> Answer {
    match kind.is_cache() {
        true => Answer::Cache(CacheReply::Refusal(CacheRefusal::OutOfMemory)),
        false => Answer::Database(DbReply::Error(SqlError::Statement)),
    }
}
