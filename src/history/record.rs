//! What a run leaves behind: every operation, every step, every fault that struck.
//!
//! Everything later (checks, audit, reports) is computed from a [`History`]; nothing asks
//! the simulation again.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::operation::{OpId, OpKind, Outcome};
use crate::step::{
    CacheCommand, CacheRefusal, Command, DbCommand, Direction, Key, NodeId, RowId, SqlError,
    StepError, StepId, Verb, Win,
};
use crate::time::Time;

/// A key's number within a history.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct KeyId(pub u32);

/// The keys of a history, numbered in the order in which they were first seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    names: Vec<Key>,
    numbers: FxHashMap<Key, KeyId>,
}

impl Keys {
    /// The number of a key, a new one when it has none.
    pub fn intern(&mut self, key: &Key) -> KeyId {
        if let Some(id) = self.numbers.get(key) {
            return *id;
        }
        let id = KeyId(u32::try_from(self.names.len()).expect("a run has fewer than 2^32 keys"));
        self.names.push(key.clone());
        self.numbers.insert(key.clone(), id);
        id
    }

    /// The number of a key that was seen.
    pub fn find(&self, key: &Key) -> Option<KeyId> {
        self.numbers.get(key).copied()
    }

    /// The key with this number.
    pub fn name(&self, id: KeyId) -> &Key {
        &self.names[id.0 as usize]
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// What the caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reported {
    /// The operation was carried out.
    Ok,
    /// It was carried out and changed nothing: no such row, or one already there.
    Unchanged,
    /// It failed.
    Error,
    /// Nothing: the operation was cancelled, its process died, or the run ended first.
    Nothing,
    /// The pattern panicked.
    Panic,
}

/// What an operation did to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing.
    None,
    /// It was committed.
    Committed,
    /// It may have been committed.
    Unknown,
}

/// Where a read's value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Not a read, or one that did not complete.
    None,
    /// The cache had it.
    Hit,
    /// The database was asked after the cache had been.
    Miss,
    /// The cache was not asked, or failed.
    Database,
}

/// One operation on one row. An operation on several rows is several records of one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpRecord {
    /// The operation.
    pub id: OpId,
    /// When it was invoked.
    pub start: Time,
    /// When it returned; [`Time::NEVER`] when it did not.
    pub end: Time,
    /// For an ok read the writer of the value returned; for a modify the writer of the value
    /// that it was based on.
    pub value: OpId,
    /// The key.
    pub key: KeyId,
    /// Steps that the operation took.
    pub steps: u16,
    /// Read, update, ...
    pub kind: OpKind,
    /// What the caller was told.
    pub reported: Reported,
    /// What became of it, as far as can be known.
    pub outcome: Outcome,
    /// What it did to the database.
    pub effect: Effect,
    /// Where a read's value came from.
    pub source: Source,
    /// An ok read that found a row (else it found none), a modify with a base.
    pub found: bool,
    /// An ok read whose row is another than was asked for.
    pub wrong: bool,
}

/// The kind of a step: which server and which command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum StepKind {
    CacheGet,
    CacheGat,
    CacheSet,
    CacheAdd,
    CacheReplace,
    CacheAppend,
    CachePrepend,
    CacheCas,
    CacheDelete,
    CacheTouch,
    CacheIncr,
    CacheDecr,
    CacheFlushAll,
    CacheMetaGet,
    CacheMetaSet,
    CacheMetaDelete,
    CacheMetaArithmetic,
    CacheVersion,
    /// The server evicted the item, or a fault did.
    CacheEvict,
    /// The node restarted empty.
    CacheRestart,
    /// The node restarted with what it held.
    CacheWarmRestart,
    DbBegin,
    DbCommit,
    DbRollback,
    DbSelect,
    DbSelectWhere,
    DbInsert,
    DbUpdate,
    DbDelete,
    /// A reader of the log of commits asked for what is new.
    DbReadLog,
    Local,
}

impl StepKind {
    /// The kinds that a client sends to a server.
    pub const SENT: [StepKind; 26] = {
        use StepKind::*;
        [
            CacheGet,
            CacheGat,
            CacheSet,
            CacheAdd,
            CacheReplace,
            CacheAppend,
            CachePrepend,
            CacheCas,
            CacheDelete,
            CacheTouch,
            CacheIncr,
            CacheDecr,
            CacheFlushAll,
            CacheMetaGet,
            CacheMetaSet,
            CacheMetaDelete,
            CacheMetaArithmetic,
            DbBegin,
            DbCommit,
            DbRollback,
            DbSelect,
            DbSelectWhere,
            DbInsert,
            DbUpdate,
            DbDelete,
            DbReadLog,
        ]
    };

    /// The kind of a command.
    pub fn of(command: &Command) -> StepKind {
        use StepKind::*;
        match command {
            Command::Cache(command) => match command {
                CacheCommand::Get { .. } => CacheGet,
                CacheCommand::GetAndTouch { .. } => CacheGat,
                CacheCommand::Store { verb, .. } => match verb {
                    Verb::Set => CacheSet,
                    Verb::Add => CacheAdd,
                    Verb::Replace => CacheReplace,
                    Verb::Append => CacheAppend,
                    Verb::Prepend => CachePrepend,
                    Verb::Cas(_) => CacheCas,
                },
                CacheCommand::Delete { .. } => CacheDelete,
                CacheCommand::Touch { .. } => CacheTouch,
                CacheCommand::Arithmetic { direction: Direction::Increment, .. } => CacheIncr,
                CacheCommand::Arithmetic { direction: Direction::Decrement, .. } => CacheDecr,
                CacheCommand::FlushAll { .. } => CacheFlushAll,
                CacheCommand::MetaGet(_) => CacheMetaGet,
                CacheCommand::MetaSet(_) => CacheMetaSet,
                CacheCommand::MetaDelete(_) => CacheMetaDelete,
                CacheCommand::MetaArithmetic(_) => CacheMetaArithmetic,
                CacheCommand::Version => CacheVersion,
            },
            Command::Database(command) | Command::Apart(command) => match command {
                DbCommand::Begin(_) => DbBegin,
                DbCommand::Commit => DbCommit,
                DbCommand::Rollback => DbRollback,
                DbCommand::Select { .. } => DbSelect,
                DbCommand::SelectWhere { .. } => DbSelectWhere,
                DbCommand::Insert { .. } => DbInsert,
                DbCommand::Update { .. } => DbUpdate,
                DbCommand::Delete { .. } => DbDelete,
            },
            Command::ReadLog { .. } => DbReadLog,
            Command::Local(_) | Command::Sleep(_) => Local,
        }
    }

    /// Whether it may change what others read.
    pub fn writes(self) -> bool {
        use StepKind::*;
        !matches!(
            self,
            CacheGet
                | CacheVersion
                | DbBegin
                | DbRollback
                | DbSelect
                | DbSelectWhere
                | DbReadLog
                | Local
        )
    }

    /// `cache.set`, `db.select`, ...
    pub fn name(self) -> &'static str {
        use StepKind::*;
        match self {
            CacheGet => "cache.get",
            CacheGat => "cache.gat",
            CacheSet => "cache.set",
            CacheAdd => "cache.add",
            CacheReplace => "cache.replace",
            CacheAppend => "cache.append",
            CachePrepend => "cache.prepend",
            CacheCas => "cache.cas",
            CacheDelete => "cache.delete",
            CacheTouch => "cache.touch",
            CacheIncr => "cache.incr",
            CacheDecr => "cache.decr",
            CacheFlushAll => "cache.flush-all",
            CacheMetaGet => "cache.meta-get",
            CacheMetaSet => "cache.meta-set",
            CacheMetaDelete => "cache.meta-delete",
            CacheMetaArithmetic => "cache.meta-arithmetic",
            CacheVersion => "cache.version",
            CacheEvict => "cache.evict",
            CacheRestart => "cache.restart",
            CacheWarmRestart => "cache.warm-restart",
            DbBegin => "db.begin",
            DbCommit => "db.commit",
            DbRollback => "db.rollback",
            DbSelect => "db.select",
            DbSelectWhere => "db.select-where",
            DbInsert => "db.insert",
            DbUpdate => "db.update",
            DbDelete => "db.delete",
            DbReadLog => "db.read-log",
            Local => "local",
        }
    }

    /// Whether it is a step on the cache.
    pub fn is_cache(self) -> bool {
        self <= StepKind::CacheWarmRestart
    }

    /// Whether it is a step on the database.
    pub fn is_database(self) -> bool {
        !self.is_cache() && self != StepKind::Local
    }
}

/// What a step's executor answered, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepResult {
    /// It was not executed (yet).
    Pending,
    /// A get or select that found something.
    Found,
    /// A get that found an item this caller may recache, or must not.
    Lease(Win),
    /// A get or select that found nothing.
    Missing,
    /// A store, delete or touch that took place; a write that changed a row; `OK`.
    Done,
    /// It was not executed, and the server said that it was.
    Pretended,
    /// A store, delete, touch or write that found its condition unmet.
    NotDone,
    /// The CAS token did not match.
    Exists,
    /// The cache answered with an error.
    CacheRefused(CacheRefusal),
    /// The database answered with an error.
    SqlFailed(SqlError),
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepRecord {
    /// The operation that sent it; [`OpId::INITIAL`] for what servers do by themselves.
    pub op: OpId,
    /// When it was sent.
    pub sent: Time,
    /// When it took effect; [`Time::NEVER`] when it did not.
    pub executed: Time,
    /// When the caller learnt how it ended; [`Time::NEVER`] when it did not.
    pub answered: Time,
    /// The writer of the value that was stored or found.
    pub value: OpId,
    /// The version of that value; for a database write the version it gave the row.
    pub version: u64,
    /// The place of the execution in the order of all executions, from 1; 0 when there was
    /// none. Steps that take effect at the same time differ in it.
    pub order: u64,
    /// For a store or touch, when the item will be gone; [`Time::NEVER`] for never,
    /// [`Time::UNTOLD`] where the cache's clock is not the virtual one.
    pub expires: Time,
    /// The row of the key, where the step is on a row's key.
    pub key: Option<KeyId>,
    /// The fault rule that struck it, by its place in the scenario.
    pub fault: Option<u16>,
    /// The cache node.
    pub node: NodeId,
    /// The command.
    pub kind: StepKind,
    /// What its executor answered.
    pub result: StepResult,
    /// What the caller got instead of an answer.
    pub error: Option<StepError>,
    /// Whether it ran inside a transaction.
    pub in_transaction: bool,
    /// Whether the row is absent in the value (a delete, a select that found none).
    pub absent: bool,
}

impl StepRecord {
    /// Whether it has counted something up or down.
    pub fn is_increment(&self) -> bool {
        let kinds = [StepKind::CacheIncr, StepKind::CacheDecr, StepKind::CacheMetaArithmetic];
        kinds.contains(&self.kind) && self.result == StepResult::Done
    }
}

/// A fault that struck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRecord {
    /// Its place in the scenario's list.
    pub rule: u16,
    /// When it struck.
    pub at: Time,
    /// When it ended, for one that lasts.
    pub until: Option<Time>,
    /// What it struck, in words.
    pub target: String,
    /// The step that it struck or that triggered it.
    pub step: Option<StepId>,
}

/// A commit of one row, in the order of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitRecord {
    /// The row's key.
    pub key: KeyId,
    /// When it became visible.
    pub at: Time,
    /// Its place in the order of all executions.
    pub order: u64,
    /// The operation whose write it is.
    pub writer: OpId,
    /// The row's version afterwards, where the database tells.
    pub version: u64,
    /// Whether the row was deleted.
    pub absent: bool,
    /// The step that committed it, when steps are numbered.
    pub step: StepId,
}

/// The three instants that matter for the audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// Faults stop striking.
    pub faults_end: Time,
    /// No operation, step or background work is left.
    pub quiescent: Time,
    /// The cache is compared with the database.
    pub audit: Time,
    /// When, at the end of the workload, the first entry was to expire by itself; `None` where
    /// nobody knows, or none was.
    #[serde(skip)]
    pub first_expiry: Option<Time>,
}

/// Everything that happened in a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The keys.
    pub keys: Keys,
    /// The row of each key that is a row's, by key number.
    pub rows: Vec<Option<RowId>>,
    /// The operations, in the order in which they ended.
    pub ops: Vec<OpRecord>,
    /// The steps, in the order in which they were sent; empty when only operations are kept.
    pub steps: Vec<StepRecord>,
    /// Whether steps were kept.
    pub steps_kept: bool,
    /// Whether readers compare every entry with its row and use none that is older.
    pub readers_validate: bool,
    /// The commits, in their order; kept even where steps are not.
    pub commits: Vec<CommitRecord>,
    /// The faults that struck, in order.
    pub faults: Vec<FaultRecord>,
    /// Places of patterns that were reached, with how often, in the order first reached.
    pub marks: Vec<(&'static str, u64)>,
    /// When the phases ended.
    pub phases: Phases,
    /// The initial rows' keys.
    pub initial: Vec<(KeyId, u64)>,
}
