//! What is under way between clients and servers: steps, and the connections they travel on.

use std::collections::VecDeque;
use std::time::Duration;

use super::identity::Fold128;
use super::terms::{become_like, counts};
use crate::history::record::{KeyId, StepKind};
use crate::operation::OpId;
use crate::step::{Answer, Command, ConnectionId, NodeId, Row, RowId, StepId};
use crate::time::Time;

/// Steps under way, by place, and all connections that were ever made, by number.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Network {
    pub flights: Vec<Option<Flight>>,
    /// Places of flights that are over.
    pub free: Vec<usize>,
    pub connections: Vec<Connection>,
    /// Steps of ordinary clients and of the bypass under way; background work idles when
    /// this is 0 and it found nothing to do.
    pub under_way: usize,
}

impl Network {
    pub fn flight(&self, flight: usize) -> &Flight {
        self.flights[flight].as_ref().expect("a flight lives while something is enabled for it")
    }

    pub fn flight_mut(&mut self, flight: usize) -> &mut Flight {
        self.flights[flight].as_mut().expect("a flight lives while something is enabled for it")
    }

    /// Takes off; returns the flight's place.
    pub fn add(&mut self, flight: Flight) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.flights.push(None);
            self.flights.len() - 1
        });
        self.flights[place] = Some(flight);
        place
    }

    pub fn connect(&mut self, client: usize, is_database: bool) -> ConnectionId {
        let id = ConnectionId(self.connections.len() as u32);
        self.connections.push(Connection { client, is_database, ..Connection::default() });
        id
    }

    pub fn connection(&self, connection: ConnectionId) -> &Connection {
        &self.connections[connection.0 as usize]
    }

    pub fn connection_mut(&mut self, connection: ConnectionId) -> &mut Connection {
        &mut self.connections[connection.0 as usize]
    }

    pub fn become_like(&mut self, other: &Network) {
        become_like!(Network: self, other; flights, free, connections, under_way);
    }

    /// Feeds what later steps can depend on to a hasher, beside the steps that a scheduler may
    /// let happen: those it names itself.
    pub fn fingerprint(&self, _: &mut Fold128) {
        let Network {
            // Each is the scheduler's to name: see `Flight::fingerprint`.
            flights: _,
            // Only says in which place the next flight is kept.
            free: _,
            // Whether one is in a transaction, and what it wrote there or waits for, is the
            // database's to say; numbers and times on it order flights, whose order the scheduler
            // keeps. Replies left unread make states incomparable: `Program::can_merge`.
            connections: _,
            // A count of the flights.
            under_way: _,
        } = self;
    }
}

/// A step under way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flight {
    pub step: StepId,
    pub client: usize,
    pub epoch: u32,
    pub ticket: u32,
    pub command: Command,
    pub kind: StepKind,
    pub connection: ConnectionId,
    pub node: NodeId,
    pub op: OpId,
    pub number: u32,
    pub key: Option<KeyId>,
    pub sent: Time,
    pub fate: Fate,
    pub answer: Option<Answer>,
    /// It counted as an effect of its operation when it was sent.
    pub effect: bool,
    pub commits: bool,
    pub executed: bool,
    /// The caller has its answer, or has given up.
    pub settled: bool,
    /// Things enabled for this flight that have not happened yet.
    pub pending: u8,
}

impl Flight {
    /// Feeds what the step will do to a hasher, under the name that its operation has in the
    /// state's form; `current` says whether its caller still waits for it.
    pub fn identity(&self, op: OpId, current: bool) -> (OpId, u32, Option<u128>) {
        let Flight {
            number,
            command,
            // The operation in whose name it is sent: `op`.
            op: _,
            // Numbers without a meaning, or of which only the order matters, which the scheduler
            // keeps.
            step: _,
            sent: _,
            ticket: _,
            connection: _,
            // Its client stands in the operation's name; whether it waits is `current`.
            client: _,
            epoch: _,
            settled: _,
            // Functions of the command and of what the client was told before.
            kind: _,
            node: _,
            key: _,
            effect: _,
            commits: _,
            // Between two choices a flight has taken effect or has not, has an answer on its way
            // or has not, by which list of the scheduler it stands in; a fate is carried out at
            // once, but for what comes late, which has lost its caller.
            fate: _,
            answer: _,
            executed: _,
            pending: _,
        } = self;
        // While its client waits, what it was told says what it sent.
        let alone = !current && counts("Flight.command");
        (op, *number, alone.then(|| Fold128::of(command)))
    }
}

/// What will become of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Normal,
    /// It is executed so much later.
    Delayed(Duration),
    /// It is executed, and its reply is lost.
    LoseReply,
    /// It is executed so long after the caller gave up.
    Late(Duration),
    /// It is never executed: the caller gives up, or has its answer already.
    Never,
    /// It is executed, then a rule of the scenario strikes its client or the world.
    Then(u16),
}

/// A connection of one client to one server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Connection {
    pub client: usize,
    pub is_database: bool,
    pub closed: bool,
    /// Steps sent on it that have not been executed and still may be.
    pub under_way: u32,
    pub in_transaction: bool,
    /// Writes of the open transaction.
    pub writes: Vec<PendingWrite>,
    /// The statement that waits for a lock.
    pub blocked: Option<usize>,
    /// Replies that have come and whose callers had stopped waiting, on a connection that is
    /// used all the same: the next caller reads the first of them.
    pub unread: VecDeque<Answer>,
    /// No later step on it takes effect, or is answered, before these times.
    pub last_arrival: Time,
    pub last_reply: Time,
}

/// A write that its transaction has not committed yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PendingWrite {
    pub id: RowId,
    pub key: KeyId,
    pub writer: OpId,
    pub version: u64,
    pub row: Option<Row>,
}

/// What a scheduler looks at in a step under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlightInfo {
    pub kind: StepKind,
    pub op: OpId,
    pub number: u32,
    pub sent: Time,
    /// By how much a fault holds it up.
    pub held_up: Duration,
}

impl super::world::World<'_> {
    pub fn flight_info(&self, flight: usize) -> FlightInfo {
        let state = self.flight(flight);
        let held_up = match state.fate {
            Fate::Delayed(delay) => delay,
            _ => Duration::ZERO,
        };
        let (kind, op, number, sent) = (state.kind, state.op, state.number, state.sent);
        FlightInfo { kind, op, number, sent, held_up }
    }

    /// Whether no step of an ordinary client or of the bypass is under way.
    pub fn is_at_rest(&self) -> bool {
        self.state.network.under_way == 0
    }

    /// One more event will happen for this flight.
    pub fn also_pending(&mut self, flight: usize) {
        self.flight_mut(flight).pending += 1;
    }

    /// A connection delivers in order: not before what was sent on it earlier.
    pub fn arrive_in_order(&mut self, flight: usize, at: Time) -> Time {
        let connection = self.flight(flight).connection;
        let last = &mut self.state.network.connection_mut(connection).last_arrival;
        *last = at.max(*last);
        *last
    }

    /// Replies come back in order too.
    pub fn reply_in_order(&mut self, flight: usize, at: Time) -> Time {
        let connection = self.flight(flight).connection;
        let last = &mut self.state.network.connection_mut(connection).last_reply;
        *last = at.max(*last);
        *last
    }
}
