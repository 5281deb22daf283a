//! Real PostgreSQL as the database.
//!
//! A server of our own, or one that is given by URL. Our tables live in a schema of their own
//! that bears our mark; a deleted row stays as a tombstone (`live` is false), so that its
//! version goes on counting. A statement waits when `pg_locks` has an ungranted lock for its
//! process that is older than `deadlock_timeout`: before that it may still turn out to be the
//! victim of a deadlock. The view is consistent, since the server holds all partitions of its
//! lock table while it makes it.

mod control;
mod session;
mod slot;
mod standby;
mod statements;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use postgres::error::SqlState;
use postgres::types::ToSql;
use postgres::{Client, Config, NoTls};

use control::{Control, bounded};
use session::{PostgresSession, row_of};
use statements::Statements;

use super::feed::Feed;
use super::server::{Recipe, Running, versioned_folders};
use super::sessions::{Means, Server, SessionId, Sessions};
use super::url::{ServerPlace, ServerUrl};
use super::{BackendError, Database, deadline};
use crate::step::{Isolation, Row, RowId, Table, TableSpec};

/// Milliseconds after which a waiting process looks for a deadlock; our servers are quick.
const DEADLOCK_TIMEOUT_MS: u32 = 10;
/// The oldest version with `pg_locks.waitstart`.
const VERSION_MIN: u32 = 140_000;

/// Opens a PostgreSQL as a database whose transactions have this isolation by default.
pub fn open(place: &ServerPlace, isolation: Isolation) -> Result<Box<dyn Database>, BackendError> {
    let failed = |problem: String| BackendError { server: name(place), problem };
    let (config, running, schema) = match place {
        ServerPlace::Own(programs) => {
            let running = Running::shared(&recipe(), programs.as_deref()).map_err(failed)?;
            let mut config = Config::new();
            config.host_path(running.folder()).user("staleproof").dbname("postgres");
            (config, Some(running), None)
        }
        ServerPlace::Url(url) => (given(url), None, url.namespace.clone()),
    };
    let control = match &running {
        Some(running) => own_control(running, &config),
        None => Control::open(&config),
    };
    let control = control.map_err(failed)?;
    let reset = matches!(place, ServerPlace::Url(url) if url.reset);
    let postgres = Postgres {
        place: name(place),
        config,
        control,
        isolation,
        version: String::new(),
        schema: schema.unwrap_or_else(super::url::unique_namespace),
        reset,
        created: false,
        deadlock_ms: 0,
        tables: Arc::new(Vec::new()),
        running,
        programs: match place {
            ServerPlace::Own(programs) => programs.clone(),
            ServerPlace::Url(_) => None,
        },
    };
    Ok(Box::new(Sessions::new(postgres.prepared().map_err(failed)?)))
}

fn name(place: &ServerPlace) -> String {
    match place {
        ServerPlace::Own(_) => "postgres".to_owned(),
        ServerPlace::Url(url) => url.masked(),
    }
}

fn recipe() -> Recipe {
    let make = ["-D", "{}/data", "-A", "trust", "-U", "staleproof", "-E", "UTF8", "--locale=C"];
    let mut run: Vec<String> =
        ["-D", "{}/data", "-k", "{}", "-c", "listen_addresses="].map(str::to_owned).to_vec();
    let settings = [
        // A commit outlives the server's death, though not the machine's.
        "fsync=off",
        "full_page_writes=off",
        "autovacuum=off",
        "max_connections=200",
        "shared_buffers=32MB",
        "jit=off",
        // So that its log of commits can be read.
        "wal_level=logical",
    ];
    for setting in settings {
        run.extend(["-c".to_owned(), setting.to_owned()]);
    }
    run.extend(["-c".to_owned(), format!("deadlock_timeout={DEADLOCK_TIMEOUT_MS}ms")]);
    let make = make.iter().map(|text| (*text).to_owned());
    Recipe {
        name: "postgres",
        package: "postgresql",
        make: ("initdb", make.chain(["--no-sync".to_owned()]).collect()),
        run: ("postgres", run),
        folders: versioned_folders("/usr/lib/postgresql"),
        users: &["postgres", "nobody"],
        stop: "QUIT",
        crash: "QUIT",
    }
}

fn given(url: &ServerUrl) -> Config {
    let mut config = Config::new();
    config.host(&url.host).port(url.port.unwrap_or(5432)).user(&url.user);
    if let Some(password) = &url.password {
        config.password(password);
    }
    config.dbname(url.database.as_deref().unwrap_or("postgres"));
    config.connect_timeout(Duration::from_secs(10));
    config
}

/// The connection to a server of ours, which may be starting still.
fn own_control(running: &Running, config: &Config) -> Result<Control, String> {
    let client = running.await_connection(|| bounded(config).connect(NoTls))?;
    Ok(Control::new(config, client))
}

/// What a failed connection means, and what to do.
fn refused(error: &postgres::Error) -> String {
    let hint = match error.code() {
        Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
            "are user and password in the URL right?"
        }
        Some(&SqlState::INVALID_CATALOG_NAME) => "name another database in the URL",
        Some(_) => "see the server's log",
        None => "is PostgreSQL running there?",
    };
    format!("{}; {hint}", text(error))
}

fn text(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => error.message().to_owned(),
        None => {
            let source = std::error::Error::source(error);
            source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
        }
    }
}

struct Postgres {
    place: String,
    config: Config,
    control: Control,
    isolation: Isolation,
    version: String,
    schema: String,
    /// Whether tables of an earlier run may be emptied.
    reset: bool,
    created: bool,
    deadlock_ms: u32,
    tables: Arc<Vec<Statements>>,
    running: Option<Arc<Running>>,
    /// Where its programs are, when it is ours.
    programs: Option<PathBuf>,
}

impl Postgres {
    /// Looks at version and rights.
    fn prepared(mut self) -> Result<Postgres, String> {
        let ask = "SELECT current_setting('server_version_num')::int, \
                   split_part(current_setting('server_version'), ' ', 1)";
        let row = self.control.ask(|control| control.query_one(ask, &[]))?;
        let number: i32 = row.get(0);
        self.version = row.get(1);
        if number < VERSION_MIN as i32 {
            let version = &self.version;
            return Err(format!("PostgreSQL {version} is too old; 14 is the first that will do"));
        }
        let milliseconds = "SELECT setting::int FROM pg_settings WHERE name = 'deadlock_timeout'";
        let row = self.control.ask(|control| control.query_one(milliseconds, &[]))?;
        self.deadlock_ms = row.get::<_, i32>(0) as u32;
        Ok(self)
    }

    fn create_schema(&mut self) -> Result<(), String> {
        let schema = self.schema.clone();
        let asked = schema.clone();
        let mark = "SELECT obj_description(oid, 'pg_namespace') = $2, EXISTS (SELECT FROM \
                    pg_class WHERE relnamespace = pg_namespace.oid) FROM pg_namespace WHERE \
                    nspname = $1";
        let found = self.control.ask(move |control| control.query_opt(mark, &[&asked, &MARK]))?;
        if let Some(row) = found {
            let (ours, full) = (row.get::<_, Option<bool>>(0) == Some(true), row.get(1));
            super::url::may_empty(&schema, ours, full, self.reset)?;
            self.execute(format!("DROP SCHEMA {schema} CASCADE"))?;
        }
        self.execute(format!("CREATE SCHEMA {schema}; COMMENT ON SCHEMA {schema} IS '{MARK}'"))?;
        self.created = true;
        Ok(())
    }

    fn execute(&mut self, statements: String) -> Result<(), String> {
        self.control.ask(move |control| control.batch_execute(&statements))
    }
}

/// What says that a schema was made by us.
const MARK: &str = "made by staleproof; dropped after the run";

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.created {
            let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.schema);
            // A server that is gone has nothing to drop.
            let _ = self.execute(drop);
        }
    }
}

impl Server for Postgres {
    type Session = PostgresSession;

    fn describe(&self) -> String {
        let level = level(self.isolation).to_lowercase();
        format!("PostgreSQL {} ({level})", self.version)
    }

    fn place(&self) -> String {
        self.place.clone()
    }

    fn create(&mut self, tables: &[TableSpec], rows: &[(Table, Row)]) -> Result<(), String> {
        let statements: Vec<Statements> =
            tables.iter().map(|table| Statements::new(&self.schema, table)).collect();
        if !self.created {
            self.create_schema()?;
            for (table, statements) in tables.iter().zip(&statements) {
                self.execute(statements.schema(table))?;
            }
        }
        self.tables = Arc::new(statements);
        let (tables, rows) = (Arc::clone(&self.tables), rows.to_vec());
        self.control.ask(move |control| fill(control, &tables, &rows))
    }

    fn beside(&self) -> Result<Postgres, String> {
        Ok(Postgres {
            place: self.place.clone(),
            config: self.config.clone(),
            control: Control::open(&self.config)?,
            isolation: self.isolation,
            version: self.version.clone(),
            schema: self.schema.clone(),
            reset: false,
            created: false,
            deadlock_ms: self.deadlock_ms,
            tables: Arc::clone(&self.tables),
            running: self.running.clone(),
            programs: self.programs.clone(),
        })
    }

    fn open(&mut self) -> Result<(SessionId, PostgresSession), String> {
        let (config, level) = (self.config.clone(), level(self.isolation).to_lowercase());
        // The first questions too are waited for no longer than a connection.
        let opened = deadline::within(move || {
            let mut client = config.connect(NoTls).map_err(|error| refused(&error))?;
            let id = client.query_one("SELECT pg_backend_pid()", &[]).map_err(|e| text(&e))?;
            let set = format!("SET default_transaction_isolation = '{level}'");
            client.batch_execute(&set).map_err(|error| text(&error))?;
            Ok::<_, String>((id.get::<_, i32>(0) as SessionId, client))
        });
        let (id, client) = opened??;
        Ok((id, PostgresSession::new(client, Arc::clone(&self.tables))))
    }

    fn all_wait(&mut self, sessions: &[SessionId]) -> Result<bool, String> {
        let ids: Vec<i32> = sessions.iter().map(|id| *id as i32).collect();
        // Twice the deadlock timeout: the timer may go off late on a busy machine.
        let age = f64::from(2 * self.deadlock_ms + 5) / 1000.0;
        let ask = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND pid = ANY($1) \
                   AND clock_timestamp() - waitstart > make_interval(secs => $2)";
        let row = self.control.ask(move |control| control.query_one(ask, &[&ids, &age]))?;
        Ok(row.get::<_, i64>(0) == sessions.len() as i64)
    }

    fn cancel(&mut self, session: SessionId) -> Result<(), String> {
        let cancel = "SELECT pg_cancel_backend($1)";
        self.control.ask(move |control| control.query_one(cancel, &[&(session as i32)])).map(|_| ())
    }

    fn rows(&mut self, table: Table) -> Result<Vec<Row>, String> {
        let all = self.tables[usize::from(table.0)].all.clone();
        let rows = self.control.ask(move |control| control.query(&all, &[]))?;
        rows.iter().map(row_of).collect::<Result<_, _>>().map_err(|error| text(&error))
    }

    fn terminate(&mut self, session: SessionId) -> Result<(), String> {
        let end = "SELECT pg_terminate_backend($1, 10000)";
        self.control.ask(move |control| control.query_one(end, &[&(session as i32)])).map(|_| ())
    }

    fn means(&self) -> Means {
        Means {
            fail: "SELECT 1 / 0",
            begin: "BEGIN",
            impatient: "SET lock_timeout = '50ms'",
            patient: "SET lock_timeout = 0",
            meet: "SELECT pg_advisory_xact_lock(hashtext('staleproof'))".to_owned(),
            weight: Vec::new(),
            snapshot: vec!["BEGIN ISOLATION LEVEL REPEATABLE READ"],
        }
    }

    fn keeps_transactions(&self) -> bool {
        false
    }

    fn table(&self, table: Table) -> String {
        self.tables[usize::from(table.0)].name.clone()
    }

    fn touch(&self, table: &str, id: RowId) -> Vec<String> {
        vec![format!("UPDATE {table} SET version = version WHERE id = {}", id.0)]
    }

    fn standby(&mut self, lag: Duration) -> Result<Postgres, String> {
        standby::start(self, lag)
    }

    fn feed(&mut self) -> Result<Box<dyn Feed + Send>, String> {
        slot::Slot::open(self).map(|slot| Box::new(slot) as Box<dyn Feed + Send>)
    }

    fn lag_witness(&mut self) -> Option<String> {
        standby::witness(self)
    }

    fn restart(&mut self) -> Result<String, String> {
        let Some(running) = self.running.clone() else {
            return Err("only a server of our own can be restarted".to_owned());
        };
        let (before, after) = running.restart()?;
        self.control = own_control(&running, &self.config)?;
        let since = "SELECT pg_postmaster_start_time()::text";
        let since: String = self.control.ask(move |control| control.query_one(since, &[]))?.get(0);
        Ok(format!("process {before} became {after}, started {since}"))
    }
}

/// Makes these the rows of the tables, whatever was in them.
fn fill(
    control: &mut Client,
    tables: &[Statements],
    rows: &[(Table, Row)],
) -> Result<(), postgres::Error> {
    let mut transaction = control.transaction()?;
    for statements in tables {
        transaction.batch_execute(&format!("DELETE FROM {}", statements.name))?;
    }
    for (table, row) in rows {
        let (id, writer) = (row.id.0 as i64, row.writer.0 as i64);
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&id, &writer];
        values.extend(row.columns.iter().map(|column| column as &(dyn ToSql + Sync)));
        transaction.execute(&tables[usize::from(table.0)].insert, &values)?;
    }
    transaction.commit()
}

fn level(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Default | Isolation::ReadCommitted => "READ COMMITTED",
        Isolation::ReadUncommitted => "READ UNCOMMITTED",
        Isolation::RepeatableRead => "REPEATABLE READ",
        Isolation::Serializable => "SERIALIZABLE",
    }
}
