//! Backends: they execute a step when told to, and decide nothing.
//!
//! A scheduler owns the order; a backend answers. Each declares how its clock moves, so
//! that an expectation about expiry on a server that cannot be told the time is reported
//! as not tested. The cache trait is [`Cache`], the database trait is [`Database`].

pub mod database_model;
#[cfg(any(feature = "postgres", feature = "mariadb"))]
mod deadline;
pub mod feed;
pub mod harm;
#[cfg(feature = "mariadb")]
pub mod mariadb;
#[cfg(feature = "memcached")]
pub mod memcached;
pub mod memcached_model;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod postgres_model;
pub mod process;
pub mod reply;
pub mod scratch;
#[cfg(any(feature = "postgres", feature = "mariadb"))]
mod server;
#[cfg(any(feature = "postgres", feature = "mariadb"))]
mod sessions;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod transaction;
pub mod url;

use std::any::Any;
use std::hash::Hasher;
use std::time::Duration;

use crate::operation::{OpId, OpKind};
use crate::step::{
    CacheCommand, CacheReply, ConnectionId, DbCommand, DbReply, Footprint, Key, NodeId, Row, RowId,
    StepId, Table, TableSpec,
};
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mariadb"))]
use crate::step::{Location, RowLock};
use crate::time::Time;
use feed::Feed;
use harm::{Harm, Harmed, Loss};
use memcached_model::{CasNames, Node};

/// How a backend's clock relates to virtual time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// It is the virtual clock.
    Virtual,
    /// A real server under libfaketime: it is moved to where the virtual clock is.
    Faketime,
    /// Its own, and real time passes until it is where the virtual clock is.
    Paced,
    /// Its own: expectations that need time to pass are not tested.
    Real,
}

impl Clock {
    /// Whether time passes on the server as the scheduler says.
    pub fn follows(self) -> bool {
        self != Clock::Real
    }
}

/// How a cache carries out what servers cannot be told to do, for reports; empty where it
/// simply does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Means {
    /// One item is evicted.
    pub evict: &'static str,
    /// A node restarts.
    pub restart: &'static str,
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

    /// The node loses all it holds and its clock and CAS counter start anew. Says whether that
    /// changed anything: it held items, or had given out CAS numbers.
    fn restart(&mut self, now: Time, node: NodeId) -> Result<bool, BackendError>;

    /// Whether the node holds items. A real server also counts those that have expired and that
    /// it has not met again, and whatever others keep on it.
    fn holds_items(&mut self, now: Time, node: NodeId) -> Result<bool, BackendError>;

    /// The node, where it is a model and can be looked into.
    fn modelled(&self, node: NodeId) -> Option<&Node> {
        let _ = node;
        None
    }

    /// Items that nodes have evicted since the last call.
    fn take_evicted(&mut self) -> Vec<(NodeId, Key)> {
        Vec::new()
    }

    /// When an item will be gone by itself, where the clock is known and it will.
    fn expiry(&self, node: NodeId, key: &Key) -> Option<Time> {
        let _ = (node, key);
        None
    }

    /// Feeds all that later replies depend on to a hasher, CAS ids by name; `false` when the
    /// state cannot be seen, as with real servers: then no two states are known to be one.
    fn fingerprint(&self, now: Time, names: &mut CasNames, into: &mut dyn Hasher) -> bool {
        let _ = (now, names, into);
        false
    }

    /// All that the nodes hold, where it can be copied.
    fn save(&self) -> Option<Box<dyn Any>> {
        None
    }

    /// Holds again what [`Cache::save`] gave.
    fn restore(&mut self, saved: &dyn Any) {
        let _ = saved;
        unreachable!("nothing was saved");
    }

    /// When the next item expires by itself, where the clock is known.
    fn next_expiry(&self, now: Time) -> Option<Time> {
        let _ = now;
        None
    }

    /// The clock that a node's expiry follows jumps by so many seconds; says whether it did.
    fn jump(&mut self, now: Time, node: NodeId, seconds: i64) -> Result<bool, BackendError>;

    /// How it carries out what servers cannot be told to do.
    fn means(&self) -> Means {
        Means::default()
    }

    /// Why the client's answer to a kind of step (`cache.add`) may not be the server's, where that
    /// is so: a difference from a model is then the client's.
    fn lossy(&self, kind: &str) -> Option<&'static str> {
        let _ = kind;
        None
    }

    /// What was asked of it and could not be done, so that it counts as not tested.
    fn untested(&self) -> &[String] {
        &[]
    }
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
    fn close(
        &mut self,
        connection: ConnectionId,
        footprint: &mut Footprint,
    ) -> Result<(), BackendError>;

    /// Another client of the same database and tables, for a thread of its own.
    fn another(&self) -> Result<Box<dyn Database + Send>, BackendError> {
        Err(BackendError {
            server: self.describe(),
            problem: "it cannot be shared by threads; use a real database, such as `--database \
                      sqlite:FILE`"
                .to_owned(),
        })
    }

    /// Whether the latest error was that a connection is gone, so that another may be opened;
    /// says it once.
    fn take_loss(&mut self) -> Option<Loss> {
        None
    }

    /// Whether [`Database::harm`] can do anything.
    fn can_be_harmed(&self) -> bool {
        false
    }

    /// Carries a statement out while this really goes wrong with it, with the server's help.
    fn harm(
        &mut self,
        connection: ConnectionId,
        command: &DbCommand,
        harm: Harm,
        in_transaction: bool,
    ) -> Result<Harmed, BackendError> {
        let _ = (harm, in_transaction);
        self.submit(connection, command, &mut Footprint::off()).map(Harmed::unharmed)
    }

    /// A replica of the database as it is, that follows it so much later, for reading.
    fn standby(&mut self, lag: Duration) -> Result<Box<dyn Database + Send>, BackendError> {
        let _ = lag;
        Err(BackendError {
            server: self.describe(),
            problem: "it has no replica that lags behind; use `--database postgres`".to_owned(),
        })
    }

    /// The log of commits from now on, of the first table; to be asked for after the tables were
    /// created.
    fn feed(&mut self) -> Result<Box<dyn Feed + Send>, BackendError> {
        Err(BackendError {
            server: self.describe(),
            problem: "it has no log of commits that others may read; use `--database postgres`"
                .to_owned(),
        })
    }

    /// How one knows that this is a replica that lags behind, and how far it does.
    fn lag_witness(&mut self) -> Option<String> {
        None
    }

    /// Kills the server and starts it again with its data, where it is ours; how one knows.
    fn restart(&mut self) -> Result<String, BackendError> {
        Err(BackendError {
            server: self.describe(),
            problem: "only a server of our own can be restarted".to_owned(),
        })
    }

    /// Whether a statement of its own that updates, deletes or inserts this row would change it
    /// now: the row is there, or not, and nobody has it locked. `None` where that cannot be seen.
    fn would_change(&self, table: Table, row: RowId, how: OpKind) -> Option<bool> {
        let _ = (table, row, how);
        None
    }

    /// Feeds all that later replies depend on to a hasher; `false` when the state cannot be
    /// seen, as with real servers.
    fn fingerprint(&self, into: &mut dyn Hasher) -> bool {
        let _ = into;
        false
    }

    /// All that the database holds, open transactions included, where it can be copied.
    fn save(&self) -> Option<Box<dyn Any>> {
        None
    }

    /// Holds again what [`Database::save`] gave.
    fn restore(&mut self, saved: &dyn Any) {
        let _ = saved;
        unreachable!("nothing was saved");
    }

    /// All committed rows of a table, ordered by primary key, in one snapshot.
    fn rows(&mut self, table: Table) -> Result<Vec<Row>, BackendError>;
}

/// What a statement touches on a real server cannot be seen: anything, and all see the order of
/// commits.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mariadb"))]
fn touch_all(command: &DbCommand, footprint: &mut Footprint) {
    match command {
        DbCommand::Begin(_) | DbCommand::Select { lock: RowLock::None, .. } => {
            footprint.read(|| Location::CommitClock);
        }
        DbCommand::SelectWhere { .. } => footprint.read(|| Location::CommitClock),
        _ => footprint.write(|| Location::CommitClock),
    }
}

/// Stops the database servers that runs of this process have started; otherwise they end
/// with the process.
pub fn stop_servers() {
    #[cfg(any(feature = "postgres", feature = "mariadb"))]
    server::stop_all();
}
