//! The step: one typed command to a cache node or the database, and its typed reply.
//!
//! Steps are plain data. The same types are what a pattern's handle sends, what a fault
//! rule matches, what a scheduler orders, what a backend executes, what the wire protocol
//! is parsed into, and what a timeline prints. Start at [`Command`] and [`Answer`].

mod cache;
mod database;
mod footprint;
mod local;
mod log;

pub use cache::{
    CacheCommand, CacheRefusal, CacheReply, Direction, Item, Key, MetaArithmetic, MetaDelete,
    MetaGet, MetaMode, MetaSet, NodeId, Remaining, Ttl, Verb, Win,
};
pub use database::{
    ColumnKind, Columns, DbCommand, DbReply, Isolation, Row, RowId, RowLock, SqlError, Table,
    TableSpec, Value, Written,
};
pub use footprint::{Access, Footprint, Location};
pub use local::{LocalCommand, LocalReply};
pub use log::LogRecord;

use serde::{Deserialize, Serialize};

/// A step's number within its run, in the order in which steps were sent.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct StepId(pub u64);

/// One connection of a client to a cache node or to the database, of one generation: a
/// reconnect is a new id.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ConnectionId(pub u32);

/// What a pattern asks for with one `.await`.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Command {
    /// A command to the cache; the ring says which node.
    Cache(CacheCommand),
    /// A statement to the database.
    Database(DbCommand),
    /// A statement on a second connection of the same client, where it commits itself.
    Apart(DbCommand),
    /// An access to memory that the clients of one process share.
    Local(LocalCommand),
    /// Let this much time pass, in nanoseconds.
    Sleep(u64),
    /// Read the database's log of commits: so many records after a position.
    ReadLog { after: u64, limit: u32 },
}

/// What comes back for a [`Command`].
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Answer {
    /// The cache node's reply.
    Cache(CacheReply),
    /// The database's reply.
    Database(DbReply),
    /// The shared memory's reply.
    Local(LocalReply),
    /// The time has passed.
    Slept,
    /// Records of the log, in its order.
    Log(Vec<LogRecord>),
    /// No reply: the caller knows only this.
    Error(StepError),
}

/// Why a step has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepError {
    /// The connection was refused: the command was certainly not executed.
    Refused,
    /// No reply within the timeout: the command may have been executed, or may be later.
    Timeout,
    /// The connection broke while waiting: the command may have been executed.
    ConnectionLost,
}

impl StepError {
    /// Whether the command certainly had no effect.
    pub fn is_definite(self) -> bool {
        self == StepError::Refused
    }

    /// The lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            StepError::Refused => "refused",
            StepError::Timeout => "timeout",
            StepError::ConnectionLost => "connection-lost",
        }
    }
}
