//! A session at MariaDB: statements, and what the server's errors mean.

use std::error::Error;
use std::io;
use std::sync::Arc;

use mysql::prelude::Queryable;
use mysql::{Conn, Params};

use super::statements::Statements;
use super::{level, text};
use crate::backend::sessions::{Open, Reaction, Session};
use crate::operation::OpId;
use crate::step::{
    Columns, DbCommand, DbReply, Row, RowId, RowLock, SqlError, Table, Value, Written,
};

/// A session and what it knows of its transaction.
pub(in crate::backend) struct MariaDbSession {
    client: Conn,
    tables: Arc<Vec<Statements>>,
    open: Open,
    code: Option<String>,
}

impl Session for MariaDbSession {
    fn execute(&mut self, command: &DbCommand) -> Reaction {
        if let Some(error) = self.open.refuses(command) {
            return Reaction::Reply(DbReply::Error(error));
        }
        if self.open == Open::Aborted {
            // MariaDB has rolled back already.
            self.open = Open::No;
            return Reaction::Reply(match command {
                DbCommand::Commit => DbReply::Error(SqlError::TransactionAborted),
                _ => DbReply::Done,
            });
        }
        match self.statement(command) {
            Ok(reply) => {
                self.open.follow(command);
                Reaction::Reply(reply)
            }
            Err(error) => self.failed(&error),
        }
    }

    fn roll_back(&mut self) -> Result<(), String> {
        self.open = Open::No;
        self.client.query_drop("ROLLBACK").map_err(|error| text(&error))
    }

    fn raw(&mut self, statements: &[String]) -> Reaction {
        for statement in statements {
            if let Err(error) = self.client.query_drop(statement) {
                return match self.failed(&error) {
                    Reaction::Broken(_) => Reaction::Reply(DbReply::Error(SqlError::Statement)),
                    reaction => reaction,
                };
            }
        }
        Reaction::Reply(DbReply::Done)
    }

    fn take_code(&mut self) -> Option<String> {
        self.code.take()
    }
}

impl MariaDbSession {
    pub(super) fn new(client: Conn, tables: Arc<Vec<Statements>>) -> MariaDbSession {
        MariaDbSession { client, tables, open: Open::No, code: None }
    }

    fn failed(&mut self, error: &mysql::Error) -> Reaction {
        let code = match error {
            mysql::Error::MySqlError(error) => {
                self.code = Some(format!("error {}, SQLSTATE {}", error.code, error.state));
                error.code
            }
            _ => return Reaction::Lost(text(error)),
        };
        if is_lost(error) {
            return Reaction::Lost(text(error));
        }
        let error = match code {
            1062 => SqlError::DuplicateKey,
            1205 => SqlError::LockTimeout,
            1213 => SqlError::Deadlock,
            // With `innodb_snapshot_isolation`: the row has changed since the snapshot.
            1020 => SqlError::Serialization,
            1317 | 1969 => return Reaction::Cancelled,
            _ => return Reaction::Broken(text(error)),
        };
        if matches!(error, SqlError::Deadlock | SqlError::Serialization) && self.open == Open::Yes {
            self.open = Open::Aborted;
        }
        Reaction::Reply(DbReply::Error(error))
    }

    fn statement(&mut self, command: &DbCommand) -> mysql::Result<DbReply> {
        let tables = Arc::clone(&self.tables);
        let of = |table: &Table| &tables[usize::from(table.0)];
        match command {
            DbCommand::Begin(isolation) => {
                if !isolation.is_default() {
                    let set = format!("SET TRANSACTION ISOLATION LEVEL {}", level(*isolation));
                    self.client.query_drop(set)?;
                }
                self.simple("START TRANSACTION")
            }
            DbCommand::Commit => self.simple("COMMIT"),
            DbCommand::Rollback => self.simple("ROLLBACK"),
            DbCommand::Select { table, id, lock } => {
                let sql = match lock {
                    RowLock::None => of(table).select.clone(),
                    RowLock::Share => format!("{} LOCK IN SHARE MODE", of(table).select),
                    RowLock::Update => format!("{} FOR UPDATE", of(table).select),
                };
                let row: Option<mysql::Row> = self.client.exec_first(sql, (id.0 as i64,))?;
                Ok(DbReply::Row(row.map(row_of)))
            }
            DbCommand::SelectWhere { table, column, equals } => {
                let sql = &of(table).select_where[usize::from(*column)];
                let rows: Vec<mysql::Row> = self.client.exec(sql, (value(equals),))?;
                Ok(DbReply::Rows(rows.into_iter().map(row_of).collect()))
            }
            DbCommand::Insert { table, id, writer, columns } => {
                self.insert(&of(table).insert, *id, *writer, columns)
            }
            DbCommand::Update { table, id, writer, columns, if_version } => {
                let mut values = vec![integer(writer.0)];
                values.extend(columns.iter().map(value));
                values.push(integer(id.0));
                let sql = match if_version {
                    None => &of(table).update,
                    Some(version) => {
                        values.push(integer(*version));
                        &of(table).update_if
                    }
                };
                self.write(sql, values)
            }
            DbCommand::Delete { table, id, writer } => {
                self.write(&of(table).delete, vec![integer(writer.0), integer(id.0)])
            }
        }
    }

    fn simple(&mut self, sql: &str) -> mysql::Result<DbReply> {
        self.client.query_drop(sql).map(|()| DbReply::Done)
    }

    fn write(&mut self, sql: &str, values: Vec<mysql::Value>) -> mysql::Result<DbReply> {
        self.client.exec_drop(sql, Params::Positional(values))?;
        let affected = self.client.affected_rows().min(1);
        let version = (affected > 0).then(|| self.client.last_insert_id());
        Ok(DbReply::Written(Written { affected, version }))
    }

    /// One row is affected by an insert, two when it took the place of a tombstone, none when
    /// there is a row.
    fn insert(
        &mut self,
        sql: &str,
        id: RowId,
        writer: OpId,
        columns: &Columns,
    ) -> mysql::Result<DbReply> {
        let mut values = vec![integer(id.0), integer(writer.0)];
        values.extend(columns.iter().map(value));
        self.client.exec_drop(sql, Params::Positional(values))?;
        let version = match self.client.affected_rows() {
            0 => return Ok(DbReply::Error(SqlError::DuplicateKey)),
            1 => 1,
            _ => self.client.last_insert_id(),
        };
        Ok(DbReply::Written(Written { affected: 1, version: Some(version) }))
    }
}

/// Whether the connection is gone: shut down, killed, or whatever is not the server's answer.
pub(super) fn is_lost(error: &mysql::Error) -> bool {
    match error {
        mysql::Error::MySqlError(error) => matches!(error.code, 1053 | 1152 | 1927),
        _ => true,
    }
}

/// Whether the server has not answered within the limit of its connection.
pub(super) fn is_late(error: &mysql::Error) -> bool {
    let failed = match error {
        mysql::Error::IoError(error) => Some(error),
        mysql::Error::CodecError(error) => error.source().and_then(|error| error.downcast_ref()),
        _ => None,
    };
    failed.is_some_and(|error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
    })
}

pub(super) fn integer(number: u64) -> mysql::Value {
    mysql::Value::Int(number as i64)
}

pub(super) fn value(value: &Value) -> mysql::Value {
    match value {
        Value::Null => mysql::Value::NULL,
        Value::Integer(number) => mysql::Value::Int(*number),
        Value::Text(text) => mysql::Value::Bytes(text.as_bytes().to_vec()),
    }
}

/// A row as our selects return it: id, version, writer, columns.
pub(super) fn row_of(row: mysql::Row) -> Row {
    let number = |value: &mysql::Value| match value {
        mysql::Value::Int(number) => *number,
        mysql::Value::UInt(number) => *number as i64,
        _ => 0,
    };
    let values = row.unwrap();
    let columns = values[3..].iter().map(|value| match value {
        mysql::Value::NULL => Value::Null,
        mysql::Value::Bytes(text) => Value::Text(String::from_utf8_lossy(text).into()),
        other => Value::Integer(number(other)),
    });
    Row {
        id: RowId(number(&values[0]) as u64),
        version: number(&values[1]) as u64,
        writer: OpId(number(&values[2]) as u64),
        columns: columns.collect(),
    }
}
