//! Statements to the database and their replies.
//!
//! A row carries, beside the application's columns, the operation that wrote it and a
//! version that the database counts up. A statement outside a transaction commits itself.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operation::OpId;

/// A table, by its place in the entity's list of tables.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Table(pub u8);

/// A row's primary key.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct RowId(pub u64);

/// The value of one column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// NULL.
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// Text.
    Text(Arc<str>),
}

/// The application's columns of one row, in the order of [`TableSpec::columns`].
pub type Columns = Arc<[Value]>;

/// What a table looks like; `id`, `version` and `writer` come in addition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSpec {
    /// Its name: letters, digits and underscores.
    pub name: String,
    /// The application's columns: name and kind.
    pub columns: Vec<(String, ColumnKind)>,
}

/// The kind of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// 64-bit integer.
    Integer,
    /// Text.
    Text,
}

/// A row as a select returns it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// The primary key.
    pub id: RowId,
    /// Counted by the database, from 1, at each write of this row; survives deletion.
    pub version: u64,
    /// The operation that wrote it.
    pub writer: OpId,
    /// The application's columns.
    pub columns: Columns,
}

/// Isolation levels, by their SQL names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// What the database does when nothing is said.
    #[default]
    Default,
    /// READ UNCOMMITTED.
    ReadUncommitted,
    /// READ COMMITTED.
    ReadCommitted,
    /// REPEATABLE READ.
    RepeatableRead,
    /// SERIALIZABLE.
    Serializable,
}

impl Isolation {
    /// Whether nothing was said.
    pub fn is_default(&self) -> bool {
        *self == Isolation::Default
    }
}

/// Row locks of a select.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RowLock {
    /// A plain select.
    #[default]
    None,
    /// `FOR SHARE`.
    Share,
    /// `FOR UPDATE`.
    Update,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DbCommand {
    /// Begin a transaction on this connection.
    Begin(Isolation),
    /// Commit it.
    Commit,
    /// Roll it back.
    Rollback,
    /// Select one row by primary key.
    Select { table: Table, id: RowId, lock: RowLock },
    /// Select all rows whose column (by place) has this value, ordered by primary key.
    SelectWhere { table: Table, column: u8, equals: Value },
    /// Insert a row.
    Insert { table: Table, id: RowId, writer: OpId, columns: Columns },
    /// Replace the application's columns of a row, count its version up; with `if_version`
    /// only when the row still has that version.
    Update { table: Table, id: RowId, writer: OpId, columns: Columns, if_version: Option<u64> },
    /// Delete a row.
    Delete { table: Table, id: RowId, writer: OpId },
}

/// What the database answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DbReply {
    /// Begin, commit or rollback was carried out.
    Done,
    /// The selected row, if there is one.
    Row(Option<Row>),
    /// The selected rows.
    Rows(Vec<Row>),
    /// A write was carried out.
    Written(Written),
    /// The statement failed and changed nothing.
    Error(SqlError),
}

/// What a write did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Written {
    /// Rows changed: 0 or 1.
    pub affected: u64,
    /// The row's version after the write (for a delete: the version that the deletion has),
    /// where the database tells it and a row was changed.
    pub version: Option<u64>,
}

/// Why a statement failed. After any of these inside a transaction, see the profile of the
/// database whether the transaction lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SqlError {
    /// The primary key exists already.
    DuplicateKey,
    /// The transaction was rolled back to resolve a deadlock.
    Deadlock,
    /// The transaction cannot be serialized after a concurrent write.
    Serialization,
    /// A lock was not granted in time.
    LockTimeout,
    /// An earlier statement failed: only a rollback is accepted.
    TransactionAborted,
    /// No transaction to commit or roll back, or one is open already.
    TransactionState,
    /// The statement was made to fail by a fault, or failed for a reason of the server's own.
    Statement,
}

impl SqlError {
    /// The lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            SqlError::DuplicateKey => "duplicate-key",
            SqlError::Deadlock => "deadlock",
            SqlError::Serialization => "serialization",
            SqlError::LockTimeout => "lock-timeout",
            SqlError::TransactionAborted => "transaction-aborted",
            SqlError::TransactionState => "transaction-state",
            SqlError::Statement => "statement",
        }
    }
}

impl DbCommand {
    /// The name as in fault rules and timelines.
    pub fn name(&self) -> &'static str {
        match self {
            DbCommand::Begin(_) => "begin",
            DbCommand::Commit => "commit",
            DbCommand::Rollback => "rollback",
            DbCommand::Select { .. } => "select",
            DbCommand::SelectWhere { .. } => "select-where",
            DbCommand::Insert { .. } => "insert",
            DbCommand::Update { .. } => "update",
            DbCommand::Delete { .. } => "delete",
        }
    }

    /// Whether the statement changes rows.
    pub fn writes(&self) -> bool {
        matches!(
            self,
            DbCommand::Insert { .. } | DbCommand::Update { .. } | DbCommand::Delete { .. }
        )
    }

    /// The operation in whose name the statement writes; [`OpId::NONE`] when it does not.
    pub fn writer(&self) -> OpId {
        match *self {
            DbCommand::Insert { writer, .. }
            | DbCommand::Update { writer, .. }
            | DbCommand::Delete { writer, .. } => writer,
            _ => OpId::NONE,
        }
    }

    /// Whether the statement removes a row.
    pub fn deletes(&self) -> bool {
        matches!(self, DbCommand::Delete { .. })
    }

    /// The table and row that the statement names, when it names one.
    pub fn row(&self) -> Option<(Table, RowId)> {
        match *self {
            DbCommand::Select { table, id, .. }
            | DbCommand::Insert { table, id, .. }
            | DbCommand::Update { table, id, .. }
            | DbCommand::Delete { table, id, .. } => Some((table, id)),
            _ => None,
        }
    }
}
