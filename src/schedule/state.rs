//! The state of a world: clients, processes, connections, and steps under way.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::identity::Trail;
use super::memory::Memory;
use crate::history::record::{KeyId, Source, StepKind};
use crate::operation::{ClientId, OpId, OpKind};
use crate::pattern::{AnyPattern, Cx, Port, Running, Ticking};
use crate::step::{Answer, Command, ConnectionId, NodeId, Row, RowId, StepId};
use crate::time::Time;

/// What a client is doing.
pub(super) enum Task {
    Idle,
    Op(Running),
    Tick(Ticking),
}

/// A client: one of the application's, or the background work of a process.
pub(super) struct Client {
    pub id: ClientId,
    pub process: usize,
    pub port: Rc<Port>,
    pub cx: Rc<Cx>,
    pub task: Task,
    /// Counts cancellations and crashes: what was sent before belongs to nobody.
    pub epoch: u32,
    /// Operations begun.
    pub begun: usize,
    pub cache_connections: Vec<Option<ConnectionId>>,
    pub database_connection: Option<ConnectionId>,
    pub current: Current,
    /// Steps under way whose answer the client waits for.
    pub waiting: u32,
    /// What the client has been told in its current operation; kept for manual schedulers.
    pub trail: Trail,
    /// Another number whenever its future moves on, is made or dropped: of two moments with
    /// the same one it stands at the same place.
    pub moved: u64,
}

impl Client {
    /// All of another client but its future, in the memory that is there.
    pub fn become_like(&mut self, other: &Client) {
        self.epoch = other.epoch;
        self.begun = other.begun;
        self.cache_connections.clone_from(&other.cache_connections);
        self.database_connection = other.database_connection;
        let (rows, seen) = (&mut self.current.rows, &mut self.current.seen);
        rows.clone_from(&other.current.rows);
        seen.clone_from(&other.current.seen);
        let (rows, seen) = (std::mem::take(rows), std::mem::take(seen));
        self.current = Current { rows, seen, ..other.current };
        self.waiting = other.waiting;
        self.trail.clone_from(&other.trail);
        self.moved = other.moved;
    }

    /// The same client without its future.
    pub fn without_future(&self) -> Client {
        Client {
            id: self.id,
            process: self.process,
            port: Rc::clone(&self.port),
            cx: Rc::clone(&self.cx),
            task: Task::Idle,
            epoch: self.epoch,
            begun: self.begun,
            cache_connections: self.cache_connections.clone(),
            database_connection: self.database_connection,
            current: self.current.clone(),
            waiting: self.waiting,
            trail: self.trail.clone(),
            moved: self.moved,
        }
    }
}

/// The operation that a client carries out.
#[derive(Clone, Debug, Default)]
pub(super) struct Current {
    pub id: OpId,
    pub kind: Option<OpKind>,
    pub rows: Vec<RowId>,
    pub start: Time,
    pub steps: u32,
    /// Kinds of the steps executed, as bits of the injector.
    pub executed: u64,
    /// Steps sent that may have changed what others read.
    pub effects: u32,
    /// The same within the open transaction.
    pub transaction_effects: u32,
    pub seen: Vec<(KeyId, Source)>,
}

/// A process: memory that its clients share, and their instance of the pattern.
#[derive(Clone)]
pub(super) struct Process {
    pub memory: Memory,
    pub pattern: Rc<dyn AnyPattern>,
}

/// A step under way.
#[derive(Clone)]
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

/// What will become of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Normal,
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
#[derive(Clone, Debug, Default)]
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
#[derive(Clone, Debug)]
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
}

impl super::world::World<'_> {
    pub fn flight_info(&self, flight: usize) -> FlightInfo {
        let state = self.flight(flight);
        FlightInfo { kind: state.kind, op: state.op, number: state.number, sent: state.sent }
    }

    /// One more event will happen for this flight.
    pub fn also_pending(&mut self, flight: usize) {
        self.flight_mut(flight).pending += 1;
    }

    /// A connection delivers in order: not before what was sent on it earlier.
    pub fn arrive_in_order(&mut self, flight: usize, at: Time) -> Time {
        let connection = self.flight(flight).connection;
        let last = &mut self.connections[connection.0 as usize].last_arrival;
        *last = at.max(*last);
        *last
    }

    /// Replies come back in order too.
    pub fn reply_in_order(&mut self, flight: usize, at: Time) -> Time {
        let connection = self.flight(flight).connection;
        let last = &mut self.connections[connection.0 as usize].last_reply;
        *last = at.max(*last);
        *last
    }
}
