//! What background work reads to learn of commits: the database's log, and an outbox table.

use std::rc::Rc;

use super::handles::written;
use super::{Failure, Port};
use crate::operation::OpId;
use crate::step::{
    Answer, ColumnKind, Command, DbCommand, DbReply, LogRecord, RowId, Table, TableSpec, Value,
};

/// The database's log of commits, as a change-data-capture connector reads it. For patterns
/// whose traits say `reads_log`; for others it is empty.
pub struct Log {
    port: Rc<Port>,
}

impl Log {
    pub(super) fn new(port: Rc<Port>) -> Log {
        Log { port }
    }

    /// At most `limit` commits after a position, in their order. A first position that does
    /// not follow on `after` means a gap: the log was purged.
    pub async fn read(&self, after: u64, limit: u32) -> Result<Vec<LogRecord>, Failure> {
        match self.port.call(Command::ReadLog { after, limit }, 0).await {
            Answer::Log(records) => Ok(records),
            Answer::Error(error) => Err(Failure::Database(error)),
            Answer::Database(DbReply::Error(error)) => Err(Failure::Sql(error)),
            other => unreachable!("the log was answered with {other:?}"),
        }
    }
}

/// A table beside the application's: rows that say which row was changed, written in the
/// transaction that changes it. For patterns whose traits say `outbox`.
pub struct Outbox {
    port: Rc<Port>,
    table: Table,
}

/// A row of the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The row of the outbox itself.
    pub id: RowId,
    /// The row that was changed.
    pub about: RowId,
}

const PENDING: Value = Value::Integer(0);
const STATE: u8 = 1;

/// The outbox as a table.
pub(crate) fn outbox_table() -> TableSpec {
    let columns = ["about", "state"].map(|name| (name.to_owned(), ColumnKind::Integer));
    TableSpec { name: "outbox".to_owned(), columns: columns.to_vec() }
}

impl Outbox {
    pub(super) fn new(port: Rc<Port>, table: Table) -> Outbox {
        Outbox { port, table }
    }

    async fn call(&self, command: DbCommand) -> Result<DbReply, Failure> {
        match self.port.call(Command::Database(command), 0).await {
            Answer::Database(DbReply::Error(error)) => Err(Failure::Sql(error)),
            Answer::Database(reply) => Ok(reply),
            Answer::Error(error) => Err(Failure::Database(error)),
            other => unreachable!("a statement was answered with {other:?}"),
        }
    }

    /// Notes that this operation changes a row; to be called in its transaction.
    pub async fn add(&self, about: RowId) -> Result<(), Failure> {
        let writer = self.port.op();
        let columns = [Value::Integer(about.0 as i64), PENDING].into();
        // An operation changes one row at the most, so its id is the outbox row's.
        let id = RowId(writer.0);
        written(self.call(DbCommand::Insert { table: self.table, id, writer, columns }).await?)
            .map(|_| ())
    }

    /// What is still to be done, oldest operation of each client first.
    pub async fn pending(&self) -> Result<Vec<Notice>, Failure> {
        let select = DbCommand::SelectWhere { table: self.table, column: STATE, equals: PENDING };
        let DbReply::Rows(rows) = self.call(select).await? else { return Err(Failure::OtherKind) };
        let notice = |row: &crate::step::Row| match row.columns.first() {
            Some(Value::Integer(about)) => Some(Notice { id: row.id, about: RowId(*about as u64) }),
            _ => None,
        };
        Ok(rows.iter().filter_map(notice).collect())
    }

    /// Removes what is done.
    pub async fn remove(&self, notice: Notice) -> Result<(), Failure> {
        let (id, writer) = (notice.id, OpId::NONE);
        written(self.call(DbCommand::Delete { table: self.table, id, writer }).await?).map(|_| ())
    }
}
