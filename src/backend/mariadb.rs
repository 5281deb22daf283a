//! Real MariaDB (InnoDB) as the database.
//!
//! A server of our own, or one that is given by URL. Our tables live in a database of their
//! own that bears our mark; a deleted row stays as a tombstone (`live` is 0), so that its
//! version goes on counting. A statement waits when InnoDB's own status shows its thread's
//! transaction in `LOCK WAIT`, twice in a row: the first time it may still turn out to be the
//! victim of a deadlock. (`information_schema.innodb_trx` would be the polite way to ask, but
//! it answers from a copy that may be 100 ms old.)
//!
//! After a deadlock MariaDB has rolled the whole transaction back, and would commit further
//! statements one by one. A session demands the ROLLBACK that its client owes first, so that
//! no statement runs outside the transaction that its pattern believes in.

mod session;
mod statements;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql::prelude::Queryable;
use mysql::{Conn, Opts, OptsBuilder, Params};

use session::{MariaDbSession, integer, is_late, is_lost, row_of, value};
use statements::Statements;

use super::feed::Feed;
use super::server::{Recipe, Running};
use super::sessions::{Means, Server, SessionId, Sessions};
use super::url::{ServerPlace, ServerUrl};
use super::{BackendError, Database, deadline};
use crate::step::{Isolation, Row, RowId, Table, TableSpec};

/// Opens a MariaDB as a database whose transactions have this isolation by default.
pub fn open(place: &ServerPlace, isolation: Isolation) -> Result<Box<dyn Database>, BackendError> {
    let failed = |problem: String| BackendError { server: name(place), problem };
    let (options, running, namespace) = match place {
        ServerPlace::Own(programs) => {
            let running = Running::shared(&recipe(), programs.as_deref()).map_err(failed)?;
            let socket = running.folder().join("socket").display().to_string();
            let options = OptsBuilder::new().user(Some("root")).socket(Some(socket));
            (options, Some(running), None)
        }
        ServerPlace::Url(url) => (given(url), None, url.namespace.clone()),
    };
    let options = Opts::from(options.prefer_socket(running.is_some()));
    let connect = || Conn::new(bounded(&options));
    let control = match &running {
        Some(running) => running.await_connection(connect),
        None => connect().map_err(|error| refused(&error)),
    };
    let mut mariadb = MariaDb {
        place: name(place),
        control: control.map_err(failed)?,
        silent: false,
        options,
        isolation,
        version: String::new(),
        namespace: namespace.unwrap_or_else(super::url::unique_namespace),
        reset: matches!(place, ServerPlace::Url(url) if url.reset),
        created: false,
        waited: BTreeSet::new(),
        tables: Arc::new(Vec::new()),
        running,
    };
    mariadb.look().map_err(failed)?;
    Ok(Box::new(Sessions::new(mariadb)))
}

fn name(place: &ServerPlace) -> String {
    match place {
        ServerPlace::Own(_) => "mariadb".to_owned(),
        ServerPlace::Url(url) => url.masked(),
    }
}

fn recipe() -> Recipe {
    let make = [
        "--no-defaults",
        "--datadir={}/data",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--skip-name-resolve",
    ];
    let run = [
        "--no-defaults",
        "--datadir={}/data",
        "--socket={}/socket",
        "--pid-file={}/pid",
        "--skip-networking",
        "--skip-log-bin",
        "--max-connections=200",
        // A commit outlives the server's death, though not the machine's.
        "--innodb-flush-log-at-trx-commit=2",
        "--innodb-flush-method=nosync",
        "--innodb-doublewrite=0",
        "--innodb-buffer-pool-size=32M",
        "--innodb-lock-wait-timeout=3600",
        "--character-set-server=utf8mb4",
    ];
    let owned = |arguments: &[&str]| arguments.iter().map(|text| (*text).to_owned()).collect();
    Recipe {
        name: "mariadb",
        package: "mariadb-server",
        make: ("mariadb-install-db", owned(&make)),
        run: ("mariadbd", owned(&run)),
        folders: vec!["/usr/sbin".into(), "/usr/bin".into()],
        users: &["mysql", "nobody"],
        stop: "TERM",
        crash: "KILL",
    }
}

fn given(url: &ServerUrl) -> OptsBuilder {
    OptsBuilder::new()
        .ip_or_hostname(Some(url.host.clone()))
        .tcp_port(url.port.unwrap_or(3306))
        .user(Some(url.user.clone()))
        .pass(url.password.clone())
        .db_name(url.database.clone())
        .tcp_connect_timeout(Some(std::time::Duration::from_secs(10)))
}

/// For what is asked on no pattern's behalf: neither somebody's lock nor a server that stands
/// still must keep it waiting for ever.
fn bounded(options: &Opts) -> Opts {
    let limits = "SET SESSION lock_wait_timeout = 15, innodb_lock_wait_timeout = 15";
    let limit = Some(deadline::PATIENCE);
    let bounded = OptsBuilder::from_opts(options.clone()).init(vec![limits]);
    bounded.read_timeout(limit).write_timeout(limit).into()
}

/// What a failed connection means, and what to do.
fn refused(error: &mysql::Error) -> String {
    let hint = match error {
        error if is_late(error) => return deadline::silent(),
        mysql::Error::MySqlError(error) if error.code == 1045 => {
            "are user and password in the URL right?"
        }
        mysql::Error::MySqlError(error) if error.code == 1049 => "name another database in the URL",
        mysql::Error::MySqlError(_) => "see the server's log",
        _ => "is MariaDB running there?",
    };
    format!("{}; {hint}", text(error))
}

fn text(error: &mysql::Error) -> String {
    match error {
        mysql::Error::MySqlError(error) => error.message.clone(),
        late if is_late(late) => deadline::silent(),
        other => other.to_string(),
    }
}

struct MariaDb {
    place: String,
    options: Opts,
    control: Conn,
    /// Whether it has once not answered in time.
    silent: bool,
    isolation: Isolation,
    version: String,
    namespace: String,
    /// Whether tables of an earlier run may be emptied.
    reset: bool,
    created: bool,
    /// Threads that waited for a lock when the status was last looked at.
    waited: BTreeSet<SessionId>,
    tables: Arc<Vec<Statements>>,
    running: Option<Arc<Running>>,
}

/// How long a session may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// The table that says that a database was made by us.
const MARK: &str = "staleproof_made_this";

impl MariaDb {
    fn look(&mut self) -> Result<(), String> {
        let ask = "SELECT version()";
        let version: Option<String> = self.control.query_first(ask).map_err(|e| text(&e))?;
        let version = version.unwrap_or_default();
        self.version = version.split('-').next().unwrap_or_default().to_owned();
        let number = |place| self.version.split('.').nth(place)?.parse::<u32>().ok();
        if !version.contains("MariaDB") || (number(0), number(1)) < (Some(10), Some(6)) {
            return Err(format!("{version} will not do; MariaDB 10.6 is the first that does"));
        }
        Ok(())
    }

    /// Asks the server; once more on a new connection where the old one is gone, and never again
    /// once it has not answered in time.
    fn with_control<T>(
        &mut self,
        ask: impl Fn(&mut Conn) -> mysql::Result<T>,
    ) -> Result<T, String> {
        if self.silent {
            return Err(deadline::silent());
        }
        let answer = match ask(&mut self.control) {
            Err(error) if is_lost(&error) && !is_late(&error) => {
                let connected = Conn::new(bounded(&self.options));
                self.control = connected.map_err(|error| refused(&error))?;
                ask(&mut self.control)
            }
            answer => answer,
        };
        answer.map_err(|error| {
            self.silent = is_late(&error);
            text(&error)
        })
    }

    fn create_namespace(&mut self) -> Result<(), String> {
        let name = &self.namespace;
        let mut do_it = |sql: String| self.control.query_drop(sql).map_err(|error| text(&error));
        do_it(format!("CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4"))?;
        let ask = format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = '{name}'"
        );
        let tables: Vec<String> = self.control.query(ask).map_err(|error| text(&error))?;
        let ours = tables.is_empty() || tables.iter().any(|table| table == MARK);
        super::url::may_empty(name, ours, tables.len() > 1, self.reset)?;
        let mut do_it = |sql: String| self.control.query_drop(sql).map_err(|error| text(&error));
        if !tables.is_empty() {
            do_it(format!("DROP DATABASE {name}"))?;
            do_it(format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"))?;
        }
        do_it(format!("CREATE TABLE {name}.{MARK} (id int PRIMARY KEY) ENGINE = InnoDB"))?;
        do_it(format!("INSERT INTO {name}.{MARK} VALUES (0)"))?;
        self.created = true;
        Ok(())
    }

    /// Threads whose transaction waits for a lock, from InnoDB's status.
    fn waiting_threads(&mut self) -> Result<BTreeSet<SessionId>, String> {
        let ask = "SHOW ENGINE INNODB STATUS";
        let row: Option<(String, String, String)> =
            self.with_control(|control| control.query_first(ask))?;
        Ok(threads_in_lock_wait(&row.map(|row| row.2).unwrap_or_default()))
    }
}

/// Thread ids of the transactions that a status shows in `LOCK WAIT`.
fn threads_in_lock_wait(status: &str) -> BTreeSet<SessionId> {
    let mut found = BTreeSet::new();
    // A deadlock that was resolved is shown further up in the same form.
    let status = status.rsplit_once("LIST OF TRANSACTIONS FOR EACH SESSION:");
    for block in status.map_or("", |(_, list)| list).split("---TRANSACTION").skip(1) {
        let waits = block.lines().any(|line| line.starts_with("LOCK WAIT "));
        let thread = block.split("MariaDB thread id ").nth(1);
        let thread = thread.and_then(|rest| rest.split(',').next()?.trim().parse().ok());
        if let (true, Some(thread)) = (waits, thread) {
            found.insert(thread);
        }
    }
    found
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        if self.created {
            // A server that is gone has nothing to drop.
            let drop = format!("DROP DATABASE IF EXISTS {}", self.namespace);
            let _ = self.with_control(|control| control.query_drop(&drop));
        }
    }
}

impl Server for MariaDb {
    type Session = MariaDbSession;

    fn describe(&self) -> String {
        format!("MariaDB {} ({})", self.version, level(self.isolation).to_lowercase())
    }

    fn place(&self) -> String {
        self.place.clone()
    }

    fn create(&mut self, tables: &[TableSpec], rows: &[(Table, Row)]) -> Result<(), String> {
        let statements: Vec<Statements> =
            tables.iter().map(|table| Statements::new(&self.namespace, table)).collect();
        if !self.created {
            self.create_namespace()?;
            for (table, statements) in tables.iter().zip(&statements) {
                let schema = statements.schema(table);
                self.with_control(|control| control.query_drop(&schema))?;
            }
        }
        self.tables = Arc::new(statements);
        let tables = Arc::clone(&self.tables);
        self.with_control(|control| fill(control, &tables, rows))
    }

    fn beside(&self) -> Result<MariaDb, String> {
        Ok(MariaDb {
            place: self.place.clone(),
            options: self.options.clone(),
            control: Conn::new(bounded(&self.options)).map_err(|error| refused(&error))?,
            silent: false,
            isolation: self.isolation,
            version: self.version.clone(),
            namespace: self.namespace.clone(),
            reset: false,
            created: false,
            waited: BTreeSet::new(),
            tables: Arc::clone(&self.tables),
            running: self.running.clone(),
        })
    }

    fn open(&mut self) -> Result<(SessionId, MariaDbSession), String> {
        let (options, level) = (self.options.clone(), level(self.isolation));
        // The first questions too are waited for no longer than a connection.
        let opened = deadline::within(move || {
            let mut client = Conn::new(options).map_err(|error| refused(&error))?;
            let set = format!("SET SESSION TRANSACTION ISOLATION LEVEL {level}");
            client.query_drop(set).map_err(|error| text(&error))?;
            let set = "SET SESSION innodb_lock_wait_timeout = 3600, sql_mode = 'STRICT_ALL_TABLES'";
            client.query_drop(set).map_err(|error| text(&error))?;
            Ok::<_, String>(client)
        });
        let client = opened??;
        let id = SessionId::from(client.connection_id());
        Ok((id, MariaDbSession::new(client, Arc::clone(&self.tables))))
    }

    fn all_wait(&mut self, sessions: &[SessionId]) -> Result<bool, String> {
        let waiting = self.waiting_threads()?;
        let all = sessions.iter().all(|id| waiting.contains(id) && self.waited.contains(id));
        self.waited = waiting;
        Ok(all)
    }

    fn cancel(&mut self, session: SessionId) -> Result<(), String> {
        self.with_control(|control| control.query_drop(format!("KILL QUERY {session}")))
    }

    fn rows(&mut self, table: Table) -> Result<Vec<Row>, String> {
        let all = self.tables[usize::from(table.0)].all.clone();
        let rows: Vec<mysql::Row> = self.with_control(|control| control.exec(&all, ()))?;
        Ok(rows.into_iter().map(row_of).collect())
    }

    fn terminate(&mut self, session: SessionId) -> Result<(), String> {
        self.with_control(|control| control.query_drop(format!("KILL CONNECTION {session}")))?;
        let ask = format!("SELECT 1 FROM information_schema.processlist WHERE id = {session}");
        let deadline = Instant::now() + END_TIMEOUT;
        loop {
            let left: Option<u8> = self.with_control(|control| control.query_first(&ask))?;
            match left {
                None => return Ok(()),
                Some(_) if Instant::now() > deadline => {
                    return Err(format!("session {session} does not end"));
                }
                Some(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn means(&self) -> Means {
        let mark = format!("{}.{MARK}", self.namespace);
        Means {
            fail: "SIGNAL SQLSTATE '45000'",
            begin: "START TRANSACTION",
            impatient: "SET innodb_lock_wait_timeout = 1",
            patient: "SET innodb_lock_wait_timeout = 3600",
            meet: format!("SELECT id FROM {mark} WHERE id = 0 FOR UPDATE"),
            weight: vec![format!(
                "INSERT INTO {mark} SELECT seq FROM {}.seq_1_to_100",
                self.namespace
            )],
            snapshot: vec![
                "SET innodb_snapshot_isolation = ON",
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                "START TRANSACTION WITH CONSISTENT SNAPSHOT",
            ],
        }
    }

    fn keeps_transactions(&self) -> bool {
        true
    }

    fn table(&self, table: Table) -> String {
        self.tables[usize::from(table.0)].name.clone()
    }

    /// There and back: a write that changes nothing is none.
    fn touch(&self, table: &str, id: RowId) -> Vec<String> {
        ["writer + 1", "writer - 1"]
            .map(|writer| format!("UPDATE {table} SET writer = {writer} WHERE id = {}", id.0))
            .to_vec()
    }

    fn standby(&mut self, _: Duration) -> Result<MariaDb, String> {
        Err("a replica that lags behind is PostgreSQL's here; use `--database postgres`".to_owned())
    }

    fn feed(&mut self) -> Result<Box<dyn Feed + Send>, String> {
        Err("its log of commits is not read; use `--database postgres`".to_owned())
    }

    fn lag_witness(&mut self) -> Option<String> {
        None
    }

    fn restart(&mut self) -> Result<String, String> {
        let Some(running) = self.running.clone() else {
            return Err("only a server of our own can be restarted".to_owned());
        };
        let (before, after) = running.restart()?;
        self.control = running.await_connection(|| Conn::new(bounded(&self.options)))?;
        self.silent = false;
        Ok(format!("process {before} became {after}"))
    }
}

/// Makes these the rows of the tables, whatever was in them.
fn fill(control: &mut Conn, tables: &[Statements], rows: &[(Table, Row)]) -> mysql::Result<()> {
    for statements in tables {
        // Unlike a DELETE this leaves no records that are only marked as deleted.
        control.query_drop(format!("TRUNCATE TABLE {}", statements.name))?;
    }
    for (table, row) in rows {
        let mut values = vec![integer(row.id.0), integer(row.writer.0)];
        values.extend(row.columns.iter().map(value));
        let insert = &tables[usize::from(table.0)].insert;
        control.exec_drop(insert, Params::Positional(values))?;
    }
    Ok(())
}

fn level(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Default | Isolation::RepeatableRead => "REPEATABLE READ",
        Isolation::ReadCommitted => "READ COMMITTED",
        Isolation::ReadUncommitted => "READ UNCOMMITTED",
        Isolation::Serializable => "SERIALIZABLE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_read_from_the_status() {
        let status = "LATEST DETECTED DEADLOCK\n---TRANSACTION 1\nLOCK WAIT 2 lock struct(s)\n\
                      MariaDB thread id 3, OS\nLIST OF TRANSACTIONS FOR EACH SESSION:\n\
                      ---TRANSACTION 7, ACTIVE 1 sec\n1 lock struct(s)\nMariaDB thread id 4, OS\n\
                      ---TRANSACTION 8, ACTIVE 0 sec starting index read\nmysql tables in use 1\n\
                      LOCK WAIT 2 lock struct(s), heap size 1128\nMariaDB thread id 15, OS\n";
        assert_eq!(threads_in_lock_wait(status), BTreeSet::from([15]));
    }
}
