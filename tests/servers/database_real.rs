//! Real PostgreSQL and MariaDB servers of our own: statements that wait, deadlocks, the
//! command line, and that nothing is left behind. Skipped where a server is not installed,
//! unless `STALEPROOF_REQUIRE_SERVERS` is set.
#![cfg(all(feature = "postgres", feature = "mariadb", feature = "cli"))]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::database_moves::{initial, tables};
use staleproof::backend::url::ServerPlace;
use staleproof::backend::{BackendError, Database, Submitted, mariadb, postgres};
use staleproof::operation::OpId;
use staleproof::step::{
    Columns, ConnectionId, DbCommand, DbReply, Footprint, Isolation, RowId, RowLock, SqlError,
    Table, Value, Written,
};

type Opened = Result<Box<dyn Database>, BackendError>;
type Open = fn(&ServerPlace, Isolation) -> Opened;

const SERVERS: [(&str, Open); 2] = [("postgres", postgres::open), ("mariadb", mariadb::open)];

/// The servers that are installed, empty but for rows 0 and 1.
fn databases() -> Vec<(&'static str, Box<dyn Database>)> {
    let mut found = Vec::new();
    for (name, open) in SERVERS {
        match open(&ServerPlace::Own(None), Isolation::Default) {
            Ok(mut database) => {
                database.create(&tables(), &initial()).unwrap();
                found.push((name, database));
            }
            Err(error) if std::env::var_os("STALEPROOF_REQUIRE_SERVERS").is_none() => {
                println!("skipped: {error}");
            }
            Err(error) => panic!("{error}"),
        }
    }
    found
}

fn submit(database: &mut dyn Database, connection: u32, command: DbCommand) -> Submitted {
    database.submit(ConnectionId(connection), &command, &mut Footprint::off()).unwrap()
}

fn woken(database: &mut dyn Database) -> Vec<(u32, DbReply)> {
    let woken = database.woken(&mut Footprint::off()).unwrap();
    woken.into_iter().map(|(connection, reply)| (connection.0, reply)).collect()
}

fn begin() -> DbCommand {
    DbCommand::Begin(Isolation::Default)
}

fn update(id: u64, number: i64) -> DbCommand {
    let columns: Columns = Arc::new([Value::Integer(number)]);
    let (table, writer) = (Table(0), OpId(7));
    DbCommand::Update { table, id: RowId(id), writer, columns, if_version: None }
}

fn written(version: u64) -> DbReply {
    DbReply::Written(Written { affected: 1, version: Some(version) })
}

const DONE: Submitted = Submitted::Done(DbReply::Done);

#[test]
fn a_write_waits_for_the_row_and_is_woken_by_the_commit() {
    for (name, mut database) in databases() {
        let database = &mut *database;
        assert_eq!(submit(database, 0, begin()), DONE);
        assert_eq!(submit(database, 0, update(0, 5)), Submitted::Done(written(2)), "{name}");
        assert_eq!(submit(database, 1, update(0, 6)), Submitted::Blocked, "{name}");
        assert_eq!(woken(database), [], "{name}");
        let other_row = submit(database, 2, update(1, 1));
        assert_eq!(other_row, Submitted::Done(written(2)), "{name}");
        assert_eq!(submit(database, 0, DbCommand::Commit), DONE);
        assert_eq!(woken(database), [(1, written(3))], "{name}");
    }
}

#[test]
fn a_closed_connection_loses_its_transaction_and_its_waiting_statement() {
    for (name, mut database) in databases() {
        let database = &mut *database;
        assert_eq!(submit(database, 0, begin()), DONE);
        assert_eq!(submit(database, 0, update(0, 5)), Submitted::Done(written(2)));
        assert_eq!(submit(database, 1, update(0, 6)), Submitted::Blocked);
        let lock = DbCommand::Select { table: Table(0), id: RowId(0), lock: RowLock::Update };
        assert_eq!(submit(database, 2, lock), Submitted::Blocked);
        database.close(ConnectionId(1), &mut Footprint::off()).unwrap();
        assert_eq!(woken(database), [], "{name}");
        database.close(ConnectionId(0), &mut Footprint::off()).unwrap();
        let row = initial()[0].1.clone();
        assert_eq!(woken(database), [(2, DbReply::Row(Some(row)))], "{name}");
    }
}

#[test]
fn a_deadlock_has_one_victim_and_the_other_goes_on() {
    for (name, mut database) in databases() {
        let database = &mut *database;
        for connection in [0, 1] {
            assert_eq!(submit(database, connection, begin()), DONE);
            let own = submit(database, connection, update(u64::from(connection), 5));
            assert_eq!(own, Submitted::Done(written(2)));
        }
        assert_eq!(submit(database, 0, update(1, 6)), Submitted::Blocked);
        let closing = submit(database, 1, update(0, 6));
        let mut replies = woken(database);
        if let Submitted::Done(reply) = closing {
            replies.push((1, reply));
        }
        replies.sort_by_key(|(connection, _)| *connection);
        let dead = DbReply::Error(SqlError::Deadlock);
        let victims = replies.iter().filter(|(_, reply)| *reply == dead).count();
        assert_eq!((victims, replies.len()), (1, 2), "{name}: {replies:?}");
        let victim = replies.iter().find(|(_, reply)| *reply == dead).unwrap().0;
        let aborted = Submitted::Done(DbReply::Error(SqlError::TransactionAborted));
        assert_eq!(submit(database, victim, update(0, 7)), aborted, "{name}");
        assert_eq!(submit(database, victim, DbCommand::Commit), aborted, "{name}");
        assert_eq!(submit(database, 1 - victim, DbCommand::Commit), DONE, "{name}");
        let versions: Vec<u64> =
            database.rows(Table(0)).unwrap().iter().map(|row| row.version).collect();
        assert_eq!(versions.len(), 2);
        assert!(versions == [2, 2] || versions == [3, 3], "{name}: {versions:?}");
    }
}

#[test]
fn a_version_goes_on_counting_after_delete_and_insert() {
    for (name, mut database) in databases() {
        let database = &mut *database;
        let (table, id, writer) = (Table(0), RowId(0), OpId(7));
        let columns: Columns = Arc::new([Value::Null]);
        let delete = DbCommand::Delete { table, id, writer };
        let insert = DbCommand::Insert { table, id, writer, columns };
        assert_eq!(submit(database, 0, delete), Submitted::Done(written(2)), "{name}");
        assert_eq!(database.rows(table).unwrap().len(), 1);
        assert_eq!(submit(database, 0, insert.clone()), Submitted::Done(written(3)), "{name}");
        let again = Submitted::Done(DbReply::Error(SqlError::DuplicateKey));
        assert_eq!(submit(database, 0, insert), again, "{name}");
    }
}

fn staleproof(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_staleproof"));
    command.args(arguments).env("NO_COLOR", "1").output().unwrap()
}

const SCENARIO: &str = "scenarios/article/07-write-through-reader-fills.toml";

#[test]
fn a_scenario_runs_on_them_and_finds_the_same() {
    for (name, _) in databases() {
        let output = staleproof(&["run", SCENARIO, "--database", name, "--runs", "20"]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {text}{output:?}");
        assert!(text.contains("fill-vs-update-set"), "{name}: {text}");
    }
}

#[test]
fn servers_that_cannot_be_had_are_explained_without_the_password() {
    for (database, word) in [
        ("postgres://a:geheim@127.0.0.1:1/d", "is PostgreSQL running there?"),
        ("mariadb://a:geheim@127.0.0.1:1/d", "is MariaDB running there?"),
        ("postgres:/nowhere", "/nowhere has no `initdb`"),
        ("mariadb:/nowhere", "/nowhere has no `mariadb-install-db`"),
    ] {
        let output = staleproof(&["run", SCENARIO, "--database", database]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{database}: {text}");
        assert!(text.contains(word), "{database}: {text}");
        assert!(!text.contains("geheim"), "{database}: {text}");
    }
}

/// Folders and processes of a tool's servers.
fn left_of(tool: u32) -> Vec<String> {
    let prefix = std::env::temp_dir().join(format!("staleproof-{tool}-")).display().to_string();
    let entries = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect()
    };
    let mut left: Vec<String> = entries(&std::env::temp_dir())
        .iter()
        .map(|path| path.display().to_string())
        .filter(|path| path.starts_with(&prefix))
        .collect();
    left.extend(entries(Path::new("/proc")).iter().filter_map(|process| {
        let line = std::fs::read(process.join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(&prefix).then_some(line)
    }));
    left
}

fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < limit {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

#[test]
fn nothing_is_left_when_the_tool_is_killed_or_interrupted() {
    for (name, _) in databases() {
        for signal in ["KILL", "INT"] {
            let mut tool = Command::new(env!("CARGO_BIN_EXE_staleproof"))
                .args(["run", SCENARIO, "--database", name, "--runs", "1000000"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let id = tool.id();
            let server = if name == "postgres" { "postgres -D" } else { "mariadbd --no" };
            let runs = || left_of(id).iter().any(|line| line.contains(server));
            assert!(within(Duration::from_secs(60), runs), "{name} was not started");
            let kill = Command::new("kill").args(["-s", signal, &id.to_string()]).status();
            assert!(kill.unwrap().success());
            tool.wait().unwrap();
            let gone = within(Duration::from_secs(30), || left_of(id).is_empty());
            assert!(gone, "{name} after {signal}: {:?}", left_of(id));
        }
    }
}

/// Starts `staleproof load` on a database; its process and a scenario to be kept till its end.
fn start_load(database: &str, seconds: u32) -> (std::process::Child, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("load.toml");
    std::fs::write(&scenario, "claim = '-'\npattern = 'cache-aside'\n").unwrap();
    let tool = Command::new(env!("CARGO_BIN_EXE_staleproof"))
        .arg("load")
        .arg(&scenario)
        .args(["--database", database, "--clients", "2", "--warm-up", "100ms"])
        .args(["--duration", &format!("{seconds}s")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (tool, folder)
}

#[test]
fn a_load_shares_them_among_its_threads() {
    for (name, _) in databases() {
        let (tool, _folder) = start_load(name, 2);
        let output = tool.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {text}{output:?}");
        for word in ["select", "hit_ratio", "p_stale"] {
            assert!(text.contains(word), "{name} has no {word}: {text}");
        }
    }
}

#[test]
fn a_database_that_dies_under_load_ends_it_and_what_was_measured_is_kept() {
    for (name, _) in databases() {
        let (tool, _folder) = start_load(name, 120);
        let id = tool.id();
        let prefix = std::env::temp_dir().join(format!("staleproof-{id}-")).display().to_string();
        let server = || {
            let processes = std::fs::read_dir("/proc").unwrap().flatten();
            let is_it = |process: &std::fs::DirEntry| {
                let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                let program = if name == "postgres" { "postgres -D" } else { "mariadbd --no" };
                line.contains(program)
                    && line.contains(&prefix)
                    && !line.contains("sh -c")
                    && !line.contains("bootstrap")
            };
            let found = processes.into_iter().find(is_it)?;
            found.file_name().to_str()?.parse::<u32>().ok()
        };
        assert!(within(Duration::from_secs(60), || server().is_some()), "{name} was not started");
        // Until the load goes on.
        std::thread::sleep(Duration::from_secs(4));
        let server = server().expect("it still runs").to_string();
        assert!(Command::new("kill").args(["-s", "KILL", &server]).status().unwrap().success());
        let output = tool.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(5), "{name}: {text}{output:?}");
        let measured = !text.contains("operations 0 ") && text.contains("operations ");
        assert!(measured && text.contains(&format!("problem: {name}")), "{name}: {text}");
        let gone = within(Duration::from_secs(30), || left_of(id).is_empty());
        assert!(gone, "{name}: {:?}", left_of(id));
    }
}
