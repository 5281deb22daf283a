//! Real SQLite as the database, through rusqlite.
//!
//! Two ways of opening it. [`Sqlite::in_memory`] has one connection for everybody and
//! refuses transactions: clients would read each other's uncommitted rows. [`Sqlite::file`]
//! has a WAL file and a connection per client, no busy timeout: a statement that finds the
//! database locked waits in a queue and is tried again, in order, whenever a transaction
//! ends.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql};
use rustc_hash::FxHashMap;

use super::{BackendError, Database, Submitted};
use crate::operation::OpId;
use crate::step::{
    ColumnKind, ConnectionId, DbCommand, DbReply, Footprint, Row, RowId, SqlError, Table,
    TableSpec, Value, Written,
};

/// SQLite behind one connection or many.
pub struct Sqlite {
    place: Place,
    main: Connection,
    connections: FxHashMap<ConnectionId, Connection>,
    waiting: VecDeque<(ConnectionId, DbCommand)>,
    tables: Vec<Statements>,
}

enum Place {
    Memory,
    File { path: PathBuf, temporary: bool },
}

/// The SQL of one table.
struct Statements {
    columns: usize,
    select: String,
    select_where: Vec<String>,
    all: String,
    insert: String,
    update: String,
    update_if: String,
    delete: String,
}

/// `SQLITE_BUSY_SNAPSHOT`: the snapshot is no longer the latest, so it cannot be written on.
const BUSY_SNAPSHOT: i32 = 517;

impl Sqlite {
    /// A database in memory behind one connection.
    pub fn in_memory() -> Result<Sqlite, BackendError> {
        let main = Connection::open_in_memory().map_err(|e| broken(&Place::Memory, &e))?;
        Ok(Sqlite::with(Place::Memory, main))
    }

    /// A WAL file of our own that vanishes with this value, in memory-backed storage where
    /// there is some.
    pub fn temporary() -> Result<Sqlite, BackendError> {
        use std::sync::atomic::{AtomicU64, Ordering};
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
        let main = connect(&place)?;
        Ok(Sqlite::with(place, main))
    }

    fn with(place: Place, main: Connection) -> Sqlite {
        main.set_prepared_statement_cache_capacity(64);
        Sqlite {
            place,
            main,
            connections: FxHashMap::default(),
            waiting: VecDeque::new(),
            tables: Vec::new(),
        }
    }

    fn connection(&mut self, id: ConnectionId) -> Result<&Connection, BackendError> {
        if matches!(self.place, Place::Memory) {
            return Ok(&self.main);
        }
        if !self.connections.contains_key(&id) {
            self.connections.insert(id, connect(&self.place)?);
        }
        Ok(&self.connections[&id])
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
        self.connection(id)?;
        let connection = if shared { &self.main } else { &self.connections[&id] };
        match execute(connection, &self.tables, command) {
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
        if let Place::File { path, temporary: true } = &self.place {
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

fn connect(place: &Place) -> Result<Connection, BackendError> {
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
        connection.set_prepared_statement_cache_capacity(64);
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
    connection: &Connection,
    tables: &[Statements],
    command: &DbCommand,
) -> rusqlite::Result<DbReply> {
    let table = |table: &Table| &tables[usize::from(table.0)];
    match command {
        DbCommand::Begin(_) => connection.execute_batch("BEGIN").map(|()| DbReply::Done),
        DbCommand::Commit => connection.execute_batch("COMMIT").map(|()| DbReply::Done),
        DbCommand::Rollback => connection.execute_batch("ROLLBACK").map(|()| DbReply::Done),
        DbCommand::Select { table: t, id, .. } => {
            let t = table(t);
            let mut statement = connection.prepare_cached(&t.select)?;
            let mut rows = statement.query([id.0 as i64])?;
            let row = rows.next()?.map(|row| row_of(row, t.columns)).transpose()?;
            Ok(DbReply::Row(row))
        }
        DbCommand::SelectWhere { table: t, column, equals } => {
            let t = table(t);
            let sql = &t.select_where[usize::from(*column)];
            rows_of(connection, sql, &[equals], t.columns).map(DbReply::Rows)
        }
        DbCommand::Insert { table: t, id, writer, columns } => {
            let (id, writer) = (id.0 as i64, writer.0 as i64);
            let mut values: Vec<&dyn ToSql> = vec![&id, &writer];
            values.extend(columns.iter().map(|column| column as &dyn ToSql));
            write(connection, &table(t).insert, &values)
        }
        DbCommand::Update { table: t, id, writer, columns, if_version } => {
            let (id, writer) = (id.0 as i64, writer.0 as i64);
            let expected = if_version.unwrap_or(0) as i64;
            let mut values: Vec<&dyn ToSql> = vec![&id, &writer];
            values.extend(columns.iter().map(|column| column as &dyn ToSql));
            match if_version {
                None => write(connection, &table(t).update, &values),
                Some(_) => {
                    values.push(&expected);
                    write(connection, &table(t).update_if, &values)
                }
            }
        }
        DbCommand::Delete { table: t, id, .. } => {
            match write(connection, &table(t).delete, &[&(id.0 as i64)])? {
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

fn write(connection: &Connection, sql: &str, values: &[&dyn ToSql]) -> rusqlite::Result<DbReply> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
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
    let values = (0..columns).map(|place| {
        Ok(match row.get_ref(3 + place)? {
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into()),
            _ => Value::Null,
        })
    });
    Ok(Row {
        id: RowId(row.get::<_, i64>(0)? as u64),
        version: row.get::<_, i64>(1)? as u64,
        writer: OpId(row.get::<_, i64>(2)? as u64),
        columns: values.collect::<rusqlite::Result<Vec<Value>>>()?.into(),
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

/// The tables' prefix: what bears it is ours.
const PREFIX: &str = "staleproof_";

impl Statements {
    fn new(table: &TableSpec) -> Statements {
        let t = format!("{PREFIX}{}", table.name);
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
        let list = names.iter().map(|name| format!(", {name}")).collect::<String>();
        let marks = (0..names.len()).map(|i| format!(", ?{}", i + 3)).collect::<String>();
        let sets = names.iter().enumerate();
        let sets = sets.map(|(i, name)| format!(", {name} = ?{}", i + 3)).collect::<String>();
        let select = format!("SELECT id, version, writer{list} FROM {t}");
        let update =
            format!("UPDATE {t} SET version = version + 1, writer = ?2{sets} WHERE id = ?1");
        Statements {
            columns: names.len(),
            select: format!("{select} WHERE id = ?1"),
            select_where: names
                .iter()
                .map(|name| format!("{select} WHERE {name} IS ?1 ORDER BY id"))
                .collect(),
            all: format!("{select} ORDER BY id"),
            insert: format!(
                "INSERT INTO {t} (id, version, writer{list}) VALUES (?1, 1 + coalesce((SELECT \
                 version FROM {t}_deleted WHERE id = ?1), 0), ?2{marks}) RETURNING version"
            ),
            update: format!("{update} RETURNING version"),
            update_if: format!("{update} AND version = ?{} RETURNING version", names.len() + 3),
            delete: format!("DELETE FROM {t} WHERE id = ?1 RETURNING version"),
        }
    }
}

/// Versions outlive their rows in a second table, so that delete and insert go on counting.
fn schema(table: &TableSpec) -> String {
    let t = format!("{PREFIX}{}", table.name);
    let kind = |kind: &ColumnKind| match kind {
        ColumnKind::Integer => "INTEGER",
        ColumnKind::Text => "TEXT",
    };
    let columns = table.columns.iter();
    let columns = columns.map(|(name, k)| format!(", {name} {}", kind(k))).collect::<String>();
    format!(
        "CREATE TABLE IF NOT EXISTS {t} (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, \
         writer INTEGER NOT NULL{columns});
         CREATE TABLE IF NOT EXISTS {t}_deleted (id INTEGER PRIMARY KEY, version INTEGER NOT NULL);
         CREATE TRIGGER IF NOT EXISTS {t}_delete AFTER DELETE ON {t} BEGIN
           INSERT OR REPLACE INTO {t}_deleted VALUES (old.id, old.version + 1);
         END;
         DELETE FROM {t};
         DELETE FROM {t}_deleted;"
    )
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
        let fill = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            for table in tables {
                transaction.execute_batch(&schema(table))?;
            }
            for (table, row) in rows {
                let (id, writer) = (row.id.0 as i64, row.writer.0 as i64);
                let mut values: Vec<&dyn ToSql> = vec![&id, &writer];
                values.extend(row.columns.iter().map(|column| column as &dyn ToSql));
                write(&transaction, &self.tables[usize::from(table.0)].insert, &values)?;
            }
            transaction.commit()
        };
        fill(&mut self.main).map_err(|error| broken(&self.place, &error))
    }

    fn submit(
        &mut self,
        connection: ConnectionId,
        command: &DbCommand,
        _: &mut Footprint,
    ) -> Result<Submitted, BackendError> {
        Ok(match self.attempt(connection, command)? {
            Some(reply) => Submitted::Done(reply),
            None => {
                self.waiting.push_back((connection, command.clone()));
                Submitted::Blocked
            }
        })
    }

    fn woken(&mut self, _: &mut Footprint) -> Result<Vec<(ConnectionId, DbReply)>, BackendError> {
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

    fn close(&mut self, connection: ConnectionId) -> Result<(), BackendError> {
        self.waiting.retain(|(waiting, _)| *waiting != connection);
        // Dropping it rolls its transaction back.
        self.connections.remove(&connection);
        Ok(())
    }

    fn rows(&mut self, table: Table) -> Result<Vec<Row>, BackendError> {
        let table = &self.tables[usize::from(table.0)];
        rows_of(&self.main, &table.all, &[], table.columns)
            .map_err(|error| broken(&self.place, &error))
    }
}
