//! A session at PostgreSQL: statements, and what the server's errors mean.

use std::sync::Arc;

use postgres::Client;
use postgres::error::SqlState;
use postgres::types::ToSql;

use super::statements::Statements;
use super::{level, text};
use crate::backend::sessions::{Open, Reaction, Session};
use crate::operation::OpId;
use crate::step::{
    DbCommand, DbReply, Isolation, Row, RowId, RowLock, SqlError, Table, Value, Written,
};

/// A session and what it knows of its transaction.
pub(in crate::backend) struct PostgresSession {
    client: Client,
    tables: Arc<Vec<Statements>>,
    prepared: rustc_hash::FxHashMap<String, postgres::Statement>,
    open: Open,
    code: Option<String>,
}

impl Session for PostgresSession {
    fn execute(&mut self, command: &DbCommand) -> Reaction {
        if let Some(error) = self.open.refuses(command) {
            return Reaction::Reply(DbReply::Error(error));
        }
        let ends = matches!(command, DbCommand::Commit | DbCommand::Rollback);
        if ends && self.open == Open::Aborted {
            // A COMMIT would be a ROLLBACK, and report success.
            let commits = *command == DbCommand::Commit;
            return match self.roll_back() {
                Ok(()) if commits => Reaction::Reply(DbReply::Error(SqlError::TransactionAborted)),
                Ok(()) => Reaction::Reply(DbReply::Done),
                Err(problem) => Reaction::Broken(problem),
            };
        }
        match self.statement(command) {
            Ok(reply) => {
                self.open.follow(command);
                Reaction::Reply(reply)
            }
            Err(error) => self.failed(&error, ends),
        }
    }

    fn roll_back(&mut self) -> Result<(), String> {
        if self.open != Open::No {
            self.client.batch_execute("ROLLBACK").map_err(|error| text(&error))?;
            self.open = Open::No;
        }
        Ok(())
    }

    fn raw(&mut self, statements: &[String]) -> Reaction {
        for statement in statements {
            if let Err(error) = self.client.batch_execute(statement) {
                return match self.failed(&error, false) {
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

impl PostgresSession {
    pub(super) fn new(client: Client, tables: Arc<Vec<Statements>>) -> PostgresSession {
        let prepared = Default::default();
        PostgresSession { client, tables, prepared, open: Open::No, code: None }
    }

    fn failed(&mut self, error: &postgres::Error, ends: bool) -> Reaction {
        self.open = match self.open {
            Open::Yes if ends => Open::No,
            Open::Yes => Open::Aborted,
            other => other,
        };
        self.code = error.code().map(|code| format!("SQLSTATE {}", code.code()));
        if is_lost(error) {
            return Reaction::Lost(text(error));
        }
        // The error comes before the locks are released; an empty query is answered after.
        if let Err(error) = self.client.simple_query("") {
            return Reaction::Lost(text(&error));
        }
        let error = match error.code() {
            Some(&SqlState::UNIQUE_VIOLATION) => SqlError::DuplicateKey,
            Some(&SqlState::T_R_DEADLOCK_DETECTED) => SqlError::Deadlock,
            Some(&SqlState::T_R_SERIALIZATION_FAILURE) => SqlError::Serialization,
            Some(&SqlState::LOCK_NOT_AVAILABLE) => SqlError::LockTimeout,
            Some(&SqlState::IN_FAILED_SQL_TRANSACTION) => SqlError::TransactionAborted,
            Some(&SqlState::QUERY_CANCELED) => return Reaction::Cancelled,
            _ => return Reaction::Broken(text(error)),
        };
        Reaction::Reply(DbReply::Error(error))
    }

    fn statement(&mut self, command: &DbCommand) -> Result<DbReply, postgres::Error> {
        let tables = Arc::clone(&self.tables);
        let of = |table: &Table| &tables[usize::from(table.0)];
        match command {
            DbCommand::Begin(Isolation::Default) => self.simple("BEGIN"),
            DbCommand::Begin(isolation) => {
                self.simple(&format!("BEGIN ISOLATION LEVEL {}", level(*isolation)))
            }
            DbCommand::Commit => self.simple("COMMIT"),
            DbCommand::Rollback => self.simple("ROLLBACK"),
            DbCommand::Select { table, id, lock } => {
                let sql = match lock {
                    RowLock::None => of(table).select.clone(),
                    RowLock::Share => format!("{} FOR SHARE", of(table).select),
                    RowLock::Update => format!("{} FOR UPDATE", of(table).select),
                };
                let rows = self.query(&sql, &[&(id.0 as i64)])?;
                rows.first().map(row_of).transpose().map(DbReply::Row)
            }
            DbCommand::SelectWhere { table, column, equals } => {
                let rows = self.query(&of(table).select_where[usize::from(*column)], &[equals])?;
                rows.iter().map(row_of).collect::<Result<_, _>>().map(DbReply::Rows)
            }
            DbCommand::Insert { table, id, writer, columns } => {
                self.write(&of(table).insert, *id, *writer, columns, None)
            }
            DbCommand::Update { table, id, writer, columns, if_version } => {
                let sql = match if_version {
                    None => &of(table).update,
                    Some(_) => &of(table).update_if,
                };
                self.write(sql, *id, *writer, columns, *if_version)
            }
            DbCommand::Delete { table, id, writer } => {
                self.write(&of(table).delete, *id, *writer, &[], None)
            }
        }
    }

    fn simple(&mut self, sql: &str) -> Result<DbReply, postgres::Error> {
        self.client.batch_execute(sql).map(|()| DbReply::Done)
    }

    fn query(
        &mut self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<postgres::Row>, postgres::Error> {
        if !self.prepared.contains_key(sql) {
            let statement = self.client.prepare(sql)?;
            self.prepared.insert(sql.to_owned(), statement);
        }
        self.client.query(&self.prepared[sql], values)
    }

    fn write(
        &mut self,
        sql: &str,
        id: RowId,
        writer: OpId,
        columns: &[Value],
        if_version: Option<u64>,
    ) -> Result<DbReply, postgres::Error> {
        let (id, writer) = (id.0 as i64, writer.0 as i64);
        let expected = if_version.unwrap_or(0) as i64;
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&id, &writer];
        values.extend(columns.iter().map(|column| column as &(dyn ToSql + Sync)));
        if if_version.is_some() {
            values.push(&expected);
        }
        let rows = self.query(sql, &values)?;
        let version = rows.first().map(|row| row.get::<_, i64>(0) as u64);
        let affected = u64::from(version.is_some());
        Ok(DbReply::Written(Written { affected, version }))
    }
}

/// Whether the connection is gone.
pub(super) fn is_lost(error: &postgres::Error) -> bool {
    let shut = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW];
    match error.code() {
        Some(code) => shut.contains(code),
        None => true,
    }
}

/// A row as our selects return it: id, version, writer, columns.
pub(super) fn row_of(row: &postgres::Row) -> Result<Row, postgres::Error> {
    let columns = (3..row.len()).map(|place| {
        Ok(match row.columns()[place].type_() {
            &postgres::types::Type::INT8 => {
                row.try_get::<_, Option<i64>>(place)?.map_or(Value::Null, Value::Integer)
            }
            _ => row
                .try_get::<_, Option<&str>>(place)?
                .map_or(Value::Null, |text| Value::Text(text.into())),
        })
    });
    let columns: Result<Vec<Value>, postgres::Error> = columns.collect();
    Ok(Row {
        id: RowId(row.get::<_, i64>(0) as u64),
        version: row.get::<_, i64>(1) as u64,
        writer: OpId(row.get::<_, i64>(2) as u64),
        columns: columns?.into(),
    })
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &postgres::types::Type,
        out: &mut bytes::BytesMut,
    ) -> Result<postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Null => Ok(postgres::types::IsNull::Yes),
            Value::Integer(number) => number.to_sql(kind, out),
            Value::Text(text) => (&**text).to_sql(kind, out),
        }
    }

    fn accepts(_: &postgres::types::Type) -> bool {
        true
    }

    postgres::types::to_sql_checked!();
}
