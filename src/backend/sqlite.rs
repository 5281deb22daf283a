//! Real SQLite as the database, through rusqlite.
//!
//! Two ways of opening it. [`Sqlite::in_memory`] has one connection for everybody and
//! refuses transactions: clients would read each other's uncommitted rows. [`Sqlite::file`]
//! has a WAL file and a connection per client, no busy timeout: a statement that finds the
//! database locked waits in a queue and is tried again, in order, whenever a transaction
//! ends.

mod held;
mod sql;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement, ToSql};
use rustc_hash::FxHashMap;

use self::held::{Held, Which};
use self::sql::{Statements, schema};
use super::{BackendError, Database, Submitted};
use crate::operation::OpId;
use crate::step::{
    ConnectionId, DbCommand, DbReply, Footprint, Location, Row, RowId, SqlError, Table, TableSpec,
    Value, Written,
};

/// SQLite behind one connection or many.
pub struct Sqlite {
    place: Place,
    main: Held,
    connections: FxHashMap<ConnectionId, Held>,
    waiting: VecDeque<(ConnectionId, DbCommand)>,
    tables: Vec<Statements>,
    noted: Noted,
    /// Whether a temporary file goes with this value.
    owner: bool,
}

/// The version that the last update gave its row, as the SQL function [`NOTE`] saw it.
///
/// `RETURNING version` says the same, but builds a table in memory for each statement: an
/// update took three times as long.
#[derive(Clone, Default)]
struct Noted(Arc<AtomicI64>);

/// `NOTE(version)` is `version`, and notes it.
const NOTE: &str = "staleproof_note";

impl Noted {
    fn register(&self, connection: &Connection) -> rusqlite::Result<()> {
        let noted = Arc::clone(&self.0);
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
        connection.create_scalar_function(NOTE, 1, flags, move |context| {
            let version = context.get::<i64>(0)?;
            noted.store(version, Ordering::Relaxed);
            Ok(version)
        })
    }

    fn version(&self) -> u64 {
        self.0.load(Ordering::Relaxed) as u64
    }
}

enum Place {
    Memory,
    File { path: PathBuf, temporary: bool },
}

/// `SQLITE_BUSY_SNAPSHOT`: the snapshot is no longer the latest, so it cannot be written on.
const BUSY_SNAPSHOT: i32 = 517;

impl Sqlite {
    /// A database in memory behind one connection.
    pub fn in_memory() -> Result<Sqlite, BackendError> {
        let noted = Noted::default();
        // One thread at a time has it. Nothing is ever rolled back: there are no transactions,
        // and a statement that fails does so before it changes its one row.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_in_memory_with_flags(flags).and_then(|main| {
            main.pragma_update(None, "journal_mode", "off")?;
            noted.register(&main)?;
            Ok(main)
        });
        let main = opened.map_err(|error| broken(&Place::Memory, &error))?;
        Ok(Sqlite::with(Place::Memory, main, noted))
    }

    /// Another client of the same file, which does not remove it.
    fn beside(&self) -> Result<Sqlite, BackendError> {
        let Place::File { path, temporary } = &self.place else {
            return Err(BackendError {
                server: "sqlite (in memory)".to_owned(),
                problem: "a database in memory has one connection; use a file".to_owned(),
            });
        };
        let place = Place::File { path: path.clone(), temporary: *temporary };
        let noted = Noted::default();
        let main = connect(&place, &noted)?;
        let mut another = Sqlite::with(place, main, noted);
        another.owner = false;
        another.tables.clone_from(&self.tables);
        Ok(another)
    }

    /// A WAL file of our own that vanishes with this value, in memory-backed storage where
    /// there is some.
    pub fn temporary() -> Result<Sqlite, BackendError> {
        use std::sync::atomic::AtomicU64;
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let shared_memory = Path::new("/dev/shm");
        let folder = match shared_memory.is_dir() {
            true => shared_memory.to_owned(),
            false => std::env::temp_dir(),
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("staleproof-{}-{number}.db", std::process::id()));
        Sqlite::open(path, true)
    }

    /// A WAL file at this path. Our tables in it are emptied; others are left alone.
    pub fn file(path: &Path) -> Result<Sqlite, BackendError> {
        Sqlite::open(path.to_owned(), false)
    }

    fn open(path: PathBuf, temporary: bool) -> Result<Sqlite, BackendError> {
        let place = Place::File { path, temporary };
        let noted = Noted::default();
        let main = connect(&place, &noted)?;
        Ok(Sqlite::with(place, main, noted))
    }

    fn with(place: Place, main: Connection, noted: Noted) -> Sqlite {
        Sqlite {
            place,
            main: Held::new(main),
            connections: FxHashMap::default(),
            waiting: VecDeque::new(),
            tables: Vec::new(),
            noted,
            owner: true,
        }
    }

    fn open_connection(&mut self, id: ConnectionId) -> Result<(), BackendError> {
        if !self.connections.contains_key(&id) {
            self.connections.insert(id, Held::new(connect(&self.place, &self.noted)?));
        }
        Ok(())
    }

    /// `None` when the statement has to wait.
    fn attempt(
        &mut self,
        id: ConnectionId,
        command: &DbCommand,
    ) -> Result<Option<DbReply>, BackendError> {
        let shared = matches!(self.place, Place::Memory);
        let opens =
            matches!(command, DbCommand::Begin(_) | DbCommand::Commit | DbCommand::Rollback);
        if shared && opens {
            return Err(BackendError {
                server: "sqlite (in memory)".to_owned(),
                problem: "a pattern that opens transactions needs connections of its own; declare \
                          `transactions: true` in its `Traits`"
                    .to_owned(),
            });
        }
        let held = match shared {
            true => &mut self.main,
            false => {
                self.open_connection(id)?;
                self.connections.get_mut(&id).expect("it was opened")
            }
        };
        match execute(held, &self.tables, &self.noted, command) {
            Ok(reply) => Ok(Some(reply)),
            Err(error) => match verdict(&error) {
                Busy::Waits => Ok(None),
                Busy::Fails(sql) => Ok(Some(DbReply::Error(sql))),
                Busy::Broken => Err(broken(&self.place, &error)),
            },
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        if let (Place::File { path, temporary: true }, true) = (&self.place, self.owner) {
            self.connections.clear();
            for suffix in ["", "-wal", "-shm"] {
                let mut name = path.clone().into_os_string();
                name.push(suffix);
                // Nothing depends on it, and the file may not exist.
                let _ = std::fs::remove_file(name);
            }
        }
    }
}

fn connect(place: &Place, noted: &Noted) -> Result<Connection, BackendError> {
    let Place::File { path, temporary } = place else {
        unreachable!("a database in memory has one connection");
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(std::time::Duration::ZERO)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // A file that nobody will read after a power cut need not survive one.
        connection.pragma_update(None, "synchronous", if *temporary { "off" } else { "normal" })?;
        noted.register(&connection)?;
        Ok(connection)
    });
    opened.map_err(|error| broken(place, &error))
}

enum Busy {
    Waits,
    Fails(SqlError),
    Broken,
}

fn verdict(error: &rusqlite::Error) -> Busy {
    let rusqlite::Error::SqliteFailure(failure, message) = error else { return Busy::Broken };
    match failure.code {
        ErrorCode::DatabaseBusy if failure.extended_code == BUSY_SNAPSHOT => {
            Busy::Fails(SqlError::Serialization)
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Busy::Waits,
        ErrorCode::ConstraintViolation => Busy::Fails(SqlError::DuplicateKey),
        _ if message.as_deref().is_some_and(|text| text.contains("transaction")) => {
            Busy::Fails(SqlError::TransactionState)
        }
        _ => Busy::Broken,
    }
}

fn broken(place: &Place, error: &rusqlite::Error) -> BackendError {
    let server = match place {
        Place::Memory => "sqlite (in memory)".to_owned(),
        Place::File { path, .. } => format!("sqlite:{}", path.display()),
    };
    BackendError {
        server,
        problem: format!("{error}; is the path writable and the disk not full?"),
    }
}

fn execute(
    held: &mut Held,
    tables: &[Statements],
    noted: &Noted,
    command: &DbCommand,
) -> rusqlite::Result<DbReply> {
    let done = |held: &Held, sql| held.connection().execute_batch(sql).map(|()| DbReply::Done);
    match command {
        DbCommand::Begin(_) => done(held, "BEGIN"),
        DbCommand::Commit => done(held, "COMMIT"),
        DbCommand::Rollback => done(held, "ROLLBACK"),
        DbCommand::Select { table, id, .. } => {
            let columns = tables[usize::from(table.0)].columns;
            let statement = held.statement(tables, *table, Which::Select)?;
            statement.raw_bind_parameter(1, id.0 as i64)?;
            let mut rows = statement.raw_query();
            let row = rows.next()?.map(|row| row_of(row, columns)).transpose()?;
            Ok(DbReply::Row(row))
        }
        DbCommand::SelectWhere { table, column, equals } => {
            let table = &tables[usize::from(table.0)];
            let sql = &table.select_where[usize::from(*column)];
            rows_of(held.connection(), sql, &[equals], table.columns).map(DbReply::Rows)
        }
        DbCommand::Insert { table, id, writer, columns } => {
            let statement = held.statement(tables, *table, Which::Insert)?;
            bind(statement, *id, *writer, columns)?;
            returning(statement)
        }
        DbCommand::Update { table, id, writer, columns, if_version } => {
            let which = if if_version.is_some() { Which::UpdateIf } else { Which::Update };
            let statement = held.statement(tables, *table, which)?;
            bind(statement, *id, *writer, columns)?;
            if let Some(version) = if_version {
                statement.raw_bind_parameter(columns.len() + 3, *version as i64)?;
            }
            let affected = statement.raw_execute()? as u64;
            let version = (affected > 0).then(|| noted.version());
            Ok(DbReply::Written(Written { affected, version }))
        }
        DbCommand::Delete { table, id, .. } => {
            let statement = held.statement(tables, *table, Which::Delete)?;
            statement.raw_bind_parameter(1, id.0 as i64)?;
            match returning(statement)? {
                // The deletion itself has the next version; the trigger has noted it.
                DbReply::Written(Written { affected, version }) => Ok(DbReply::Written(Written {
                    affected,
                    version: version.map(|version| version + 1),
                })),
                other => Ok(other),
            }
        }
    }
}

/// Binds what inserts and updates have in common.
fn bind(
    statement: &mut Statement<'_>,
    id: RowId,
    writer: OpId,
    columns: &[Value],
) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(1, id.0 as i64)?;
    statement.raw_bind_parameter(2, writer.0 as i64)?;
    for (place, column) in columns.iter().enumerate() {
        statement.raw_bind_parameter(place + 3, column)?;
    }
    Ok(())
}

/// Executes a write that returns the version of the row that it changed.
fn returning(statement: &mut Statement<'_>) -> rusqlite::Result<DbReply> {
    let mut rows = statement.raw_query();
    let version = rows.next()?.map(|row| row.get::<_, i64>(0)).transpose()?;
    // Stepped to its end, so that an error in committing is not lost.
    while rows.next()?.is_some() {}
    let affected = u64::from(version.is_some());
    Ok(DbReply::Written(Written { affected, version: version.map(|version| version as u64) }))
}

fn rows_of(
    connection: &Connection,
    sql: &str,
    values: &[&dyn ToSql],
    columns: usize,
) -> rusqlite::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(row_of(row, columns)?);
    }
    Ok(found)
}

fn row_of(row: &rusqlite::Row<'_>, columns: usize) -> rusqlite::Result<Row> {
    let number = |place| match row.get_ref(place)? {
        ValueRef::Integer(number) => Ok(number as u64),
        other => Err(rusqlite::Error::InvalidColumnType(
            place,
            "id, version or writer".to_owned(),
            other.data_type(),
        )),
    };
    let values = (3..3 + columns).map(|place| match row.get_ref(place) {
        Ok(ValueRef::Integer(number)) => Value::Integer(number),
        Ok(ValueRef::Text(text)) => Value::Text(String::from_utf8_lossy(text).into()),
        // The statement names all columns, so that there is one at each place.
        _ => Value::Null,
    });
    Ok(Row {
        id: RowId(number(0)?),
        version: number(1)?,
        writer: OpId(number(2)?),
        columns: values.collect(),
    })
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl Database for Sqlite {
    fn describe(&self) -> String {
        let version = rusqlite::version();
        match &self.place {
            Place::Memory => format!("SQLite {version} (in memory)"),
            Place::File { temporary: true, .. } => format!("SQLite {version} (WAL)"),
            Place::File { path, .. } => format!("SQLite {version} (WAL, {})", path.display()),
        }
    }

    fn create(&mut self, tables: &[TableSpec], rows: &[(Table, Row)]) -> Result<(), BackendError> {
        self.tables = tables.iter().map(Statements::new).collect();
        self.main.forget_statements();
        self.connections.values_mut().for_each(Held::forget_statements);
        let shared = matches!(self.place, Place::Memory);
        let fill = |held: &mut Held, all: &[Statements]| {
            if held.connection().is_autocommit() {
                held.connection().execute_batch("BEGIN")?;
            }
            for table in tables {
                held.connection().execute_batch(&schema(table))?;
            }
            for (table, row) in rows {
                let statement = held.statement(all, *table, Which::Insert)?;
                bind(statement, row.id, row.writer, &row.columns)?;
                returning(statement)?;
            }
            // Nobody else sees a database in memory, and nothing in it is rolled back: one
            // transaction for all of its life spares each statement one of its own, and with
            // it a sixth of its time.
            if shared { Ok(()) } else { held.connection().execute_batch("COMMIT") }
        };
        let filled = fill(&mut self.main, &self.tables);
        if filled.is_err() && !shared {
            // The error is told below; a transaction left open would keep the file locked.
            let _ = self.main.connection().execute_batch("ROLLBACK");
        }
        filled.map_err(|error| broken(&self.place, &error))
    }

    fn submit(
        &mut self,
        connection: ConnectionId,
        command: &DbCommand,
        footprint: &mut Footprint,
    ) -> Result<Submitted, BackendError> {
        super::touch_all(command, footprint);
        Ok(match self.attempt(connection, command)? {
            Some(reply) => Submitted::Done(reply),
            None => {
                self.waiting.push_back((connection, command.clone()));
                Submitted::Blocked
            }
        })
    }

    fn woken(
        &mut self,
        footprint: &mut Footprint,
    ) -> Result<Vec<(ConnectionId, DbReply)>, BackendError> {
        if !self.waiting.is_empty() {
            footprint.write(|| Location::CommitClock);
        }
        let mut done = Vec::new();
        let mut place = 0;
        while place < self.waiting.len() {
            let (connection, command) = self.waiting[place].clone();
            match self.attempt(connection, &command)? {
                Some(reply) => {
                    self.waiting.remove(place);
                    done.push((connection, reply));
                }
                None => place += 1,
            }
        }
        Ok(done)
    }

    fn close(
        &mut self,
        connection: ConnectionId,
        footprint: &mut Footprint,
    ) -> Result<(), BackendError> {
        footprint.write(|| Location::CommitClock);
        self.waiting.retain(|(waiting, _)| *waiting != connection);
        // Dropping it rolls its transaction back.
        self.connections.remove(&connection);
        Ok(())
    }

    fn another(&self) -> Result<Box<dyn Database + Send>, BackendError> {
        Ok(Box::new(self.beside()?))
    }

    fn rows(&mut self, table: Table) -> Result<Vec<Row>, BackendError> {
        let table = &self.tables[usize::from(table.0)];
        rows_of(self.main.connection(), &table.all, &[], table.columns)
            .map_err(|error| broken(&self.place, &error))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::backend::database_model::Model;
    use crate::step::ColumnKind;

    fn statement() -> impl Strategy<Value = DbCommand> {
        let table = Table(0);
        let ids = || (0..4_u64).prop_map(RowId);
        let columns = || any::<i64>().prop_map(|n| [Value::Integer(n)].into());
        prop_oneof![
            ids().prop_map(move |id| DbCommand::Select { table, id, lock: Default::default() }),
            ids().prop_map(move |id| DbCommand::Delete { table, id, writer: OpId(1) }),
            (ids(), any::<u64>(), columns()).prop_map(move |(id, writer, columns)| {
                DbCommand::Insert { table, id, writer: OpId(writer), columns }
            }),
            (ids(), any::<u64>(), columns(), prop::option::of(1..9_u64)).prop_map(
                move |(id, writer, columns, if_version)| {
                    let writer = OpId(writer);
                    DbCommand::Update { table, id, writer, columns, if_version }
                }
            ),
        ]
    }

    proptest! {
        /// There is no journal in memory: a statement that fails must leave nothing behind.
        #[test]
        fn one_connection_in_memory_answers_as_the_model_does(
            statements in prop::collection::vec(statement(), 1..200),
        ) {
            let spec = TableSpec {
                name: "t".to_owned(),
                columns: vec![("n".to_owned(), ColumnKind::Integer)],
            };
            let (mut real, mut model) = (Sqlite::in_memory().unwrap(), Model::new());
            real.create(std::slice::from_ref(&spec), &[]).unwrap();
            model.create(&[spec], &[]).unwrap();
            for statement in &statements {
                let mut footprint = Footprint::off();
                let answer = real.submit(ConnectionId(0), statement, &mut footprint).unwrap();
                let expected = model.submit(ConnectionId(0), statement, &mut footprint).unwrap();
                prop_assert_eq!(answer, expected, "{:?}", statement);
            }
            prop_assert_eq!(real.rows(Table(0)).unwrap(), model.rows(Table(0)).unwrap());
            let sound: String = real
                .main
                .connection()
                .query_row("PRAGMA integrity_check", [], |row| row.get(0))
                .unwrap();
            prop_assert_eq!(sound, "ok");
        }
    }
}
