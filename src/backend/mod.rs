//! Backends: they execute a step when told to, and decide nothing.
//!
//! A scheduler owns the order; a backend answers. Each declares how its clock moves, so
//! that an expectation about expiry on a server that cannot be told the time is reported
//! as not tested. The cache trait is [`Cache`], the database trait is [`Database`].

pub mod database_model;
#[cfg(feature = "memcached")]
pub mod memcached;
pub mod memcached_model;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use crate::operation::OpId;
use crate::step::{
    CacheCommand, CacheReply, ConnectionId, DbCommand, DbReply, Footprint, Key, NodeId, Row,
    StepId, Table, TableSpec,
};
use crate::time::Time;

/// How a backend's clock relates to virtual time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// It is the virtual clock.
    Virtual,
    /// It is its own: expectations that need time to pass are not tested.
    Real,
}

/// The environment failed: a dead server, a full disk.
#[derive(Debug, thiserror::Error)]
#[error("{server}: {problem}")]
pub struct BackendError {
    /// Which server, with passwords masked.
    pub server: String,
    /// What happened and what to do.
    pub problem: String,
}

/// Which step is executed: stored beside what it installs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The step.
    pub step: StepId,
    /// Its operation.
    pub op: OpId,
}

/// One or more cache nodes.
pub trait Cache {
    /// How the nodes' clocks move.
    fn clock(&self) -> Clock;

    /// What the nodes are, for reports: `model of memcached 1.6`, `memcached 1.6.18 at ...`.
    fn describe(&self) -> String;

    /// Executes a command on a node, now.
    fn execute(
        &mut self,
        now: Time,
        node: NodeId,
        connection: ConnectionId,
        origin: Origin,
        command: &CacheCommand,
        footprint: &mut Footprint,
    ) -> Result<CacheReply, BackendError>;

    /// The client gave up this connection.
    fn close(&mut self, connection: ConnectionId);

    /// Removes one item as an eviction would; says whether there was one. Real servers
    /// cannot be told to evict, so there it is a delete.
    fn evict(&mut self, now: Time, node: NodeId, key: &Key) -> Result<bool, BackendError>;

    /// The node loses all it holds and its clock and CAS counter start anew.
    fn restart(&mut self, now: Time, node: NodeId) -> Result<(), BackendError>;

    /// Items that nodes have evicted since the last call.
    fn take_evicted(&mut self) -> Vec<(NodeId, Key)> {
        Vec::new()
    }

    /// When an item will be gone by itself, where the clock is virtual and it will.
    fn expiry(&self, node: NodeId, key: &Key) -> Option<Time> {
        let _ = (node, key);
        None
    }

    /// The clock that a node's expiry follows jumps by so many seconds.
    fn jump(&mut self, now: Time, node: NodeId, seconds: i64) -> Result<(), BackendError>;
}

/// What became of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It was executed.
    Done(DbReply),
    /// It waits for a lock; the reply will come out of [`Database::woken`].
    Blocked,
}

/// A database with its connections.
pub trait Database {
    /// What it is, for reports: `SQLite 3.50.4 (in memory)`.
    fn describe(&self) -> String;

    /// Creates the tables and fills them; called once, before the first statement.
    fn create(&mut self, tables: &[TableSpec], rows: &[(Table, Row)]) -> Result<(), BackendError>;

    /// Executes a statement on a connection (opened at its first statement), or says that
    /// it waits. A connection with a waiting statement gets no other.
    fn submit(
        &mut self,
        connection: ConnectionId,
        command: &DbCommand,
        footprint: &mut Footprint,
    ) -> Result<Submitted, BackendError>;

    /// Statements that waited and are now done, in the order in which they were granted.
    /// To be called after each submit and each close.
    fn woken(
        &mut self,
        footprint: &mut Footprint,
    ) -> Result<Vec<(ConnectionId, DbReply)>, BackendError>;

    /// The connection is gone; its open transaction is rolled back, its statement dropped.
    fn close(&mut self, connection: ConnectionId) -> Result<(), BackendError>;

    /// All committed rows of a table, ordered by primary key, in one snapshot.
    fn rows(&mut self, table: Table) -> Result<Vec<Row>, BackendError>;
}
