//! The cases of databases.

use std::collections::BTreeSet;
use std::sync::Arc;

use staleproof::backend::{Database, Submitted};
use staleproof::history::record::StepKind;
use staleproof::operation::{ClientId, OpId};
use staleproof::step::{
    ColumnKind, Columns, Command, ConnectionId, DbCommand, DbReply, Footprint, Isolation, Row,
    RowId, RowLock, Table, TableSpec, Value,
};

/// What a database does where databases differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// No transactions: a database behind one connection.
    Single,
    /// One writer at a time, a snapshot from the first statement on, no row locks.
    Sqlite,
    /// Row locks; each statement sees what is committed.
    ReadCommitted,
    /// Row locks; a transaction sees one snapshot, and fails where it would write over what
    /// was committed since.
    RepeatableRead,
    /// Row locks; a transaction sees one snapshot, and writes over what was committed since.
    MariaDb,
}

impl Family {
    /// The family of each name in [`super::DATABASES`].
    pub fn of(name: &str) -> Family {
        match name {
            "sqlite in memory" => Family::Single,
            "model:sqlite" | "sqlite in a file" => Family::Sqlite,
            "model:postgres" | "postgres" => Family::ReadCommitted,
            "model:postgres-rr" => Family::RepeatableRead,
            "mariadb" => Family::MariaDb,
            other => panic!("`{other}` is of no family"),
        }
    }
}

/// An answer, as `shown` puts it: of all, or by family.
pub enum Says {
    All(&'static str),
    By {
        sqlite: &'static str,
        committed: &'static str,
        repeatable: &'static str,
        maria: &'static str,
    },
}

use Says::{All, By};

impl Says {
    fn of(&self, family: Family) -> &'static str {
        match (self, family) {
            (All(says), _) => says,
            (By { sqlite, .. }, Family::Single | Family::Sqlite) => sqlite,
            (By { committed, .. }, Family::ReadCommitted) => committed,
            (By { repeatable, .. }, Family::RepeatableRead) => repeatable,
            (By { maria, .. }, Family::MariaDb) => maria,
        }
    }
}

pub enum Step {
    /// A statement on a connection.
    Ask(u32, DbCommand, Says),
    /// Who is woken by the step before, with what: `1: written v3`; empty for nobody.
    Woken(Says),
    Close(u32),
    /// All committed rows.
    Rows(&'static str),
}

use Step::{Ask, Close, Rows, Woken};

/// Two tables' worth of a number and a text would show no more than one of both.
fn tables() -> Vec<TableSpec> {
    let columns = [("number", ColumnKind::Integer), ("word", ColumnKind::Text)];
    let columns = columns.map(|(name, kind)| (name.to_owned(), kind)).to_vec();
    vec![TableSpec { name: "conformance".to_owned(), columns }]
}

fn columns(number: i64) -> Columns {
    Arc::new([Value::Integer(number), Value::Text(format!("it's {number}").into())])
}

/// Rows 0 and 1.
fn initial() -> Vec<(Table, Row)> {
    let writer = OpId::INITIAL;
    let row = |id: u64| Row { id: RowId(id), version: 1, writer, columns: columns(id as i64) };
    (0..2).map(|id| (Table(0), row(id))).collect()
}

fn row(row: &Row) -> String {
    let number = match &row.columns[..] {
        [Value::Integer(number), word] => {
            assert_eq!(*word, columns(*number)[1]);
            number.to_string()
        }
        [Value::Null, Value::Null] => "null".to_owned(),
        other => panic!("{other:?}"),
    };
    format!("{}={number} v{} by {}", row.id.0, row.version, row.writer)
}

fn shown(submitted: &Submitted) -> String {
    match submitted {
        Submitted::Blocked => "waits".to_owned(),
        Submitted::Done(reply) => said(reply),
    }
}

fn said(reply: &DbReply) -> String {
    match reply {
        DbReply::Done => "done".to_owned(),
        DbReply::Row(None) => "none".to_owned(),
        DbReply::Row(Some(found)) => row(found),
        DbReply::Rows(found) => found.iter().map(row).collect::<Vec<_>>().join(", "),
        DbReply::Written(written) => match (written.affected, written.version) {
            (0, None) => "nothing written".to_owned(),
            (1, Some(version)) => format!("written v{version}"),
            other => panic!("{other:?}"),
        },
        DbReply::Error(error) => format!("error {}", error.name()),
    }
}

/// Runs all cases, each on the tables made anew.
pub fn conform(name: &str, database: &mut dyn Database) {
    let family = Family::of(name);
    let mut seen = BTreeSet::new();
    for (case, transactions, steps) in cases() {
        if transactions && family == Family::Single {
            continue;
        }
        database.create(&tables(), &initial()).unwrap();
        let mut woken = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let place = format!("{name}, {case}, step {number}");
            let mut off = Footprint::off();
            if !matches!(step, Woken(_)) {
                assert_eq!(woken, [""; 0], "{place}: woken before it");
            }
            match step {
                Ask(on, command, says) => {
                    seen.insert(StepKind::of(&Command::Database(command.clone())));
                    let answer = database.submit(ConnectionId(*on), command, &mut off);
                    let answer = answer.unwrap_or_else(|error| panic!("{place}: {error}"));
                    assert_eq!(shown(&answer), says.of(family), "{place}: {command:?}");
                }
                Close(on) => database.close(ConnectionId(*on), &mut off).unwrap(),
                Rows(rows) => {
                    let all = database.rows(Table(0)).unwrap();
                    assert_eq!(
                        all.iter().map(row).collect::<Vec<_>>().join(", "),
                        *rows,
                        "{place}"
                    );
                }
                Woken(says) => {
                    assert_eq!(woken.join(", "), says.of(family), "{place}");
                    woken.clear();
                }
            }
            let more = database.woken(&mut off).unwrap();
            woken.extend(more.iter().map(|(on, reply)| format!("{}: {}", on.0, said(reply))));
        }
        assert_eq!(woken, [""; 0], "{name}, {case}: woken at the end");
        for connection in 0..3 {
            database.close(ConnectionId(connection), &mut Footprint::off()).unwrap();
            database.woken(&mut Footprint::off()).unwrap();
        }
    }
    if family != Family::Single {
        let all = StepKind::SENT.into_iter().filter(|kind| kind.name().starts_with("db."));
        // The log of commits is no statement.
        let all = all.filter(|kind| *kind != StepKind::DbReadLog);
        let left_out: Vec<StepKind> = all.filter(|kind| !seen.contains(kind)).collect();
        assert_eq!(left_out, [], "statements without a case");
    }
}

fn select(id: u64) -> DbCommand {
    lock(id, RowLock::None)
}

fn lock(id: u64, lock: RowLock) -> DbCommand {
    DbCommand::Select { table: Table(0), id: RowId(id), lock }
}

fn select_where(column: u8, equals: Value) -> DbCommand {
    DbCommand::SelectWhere { table: Table(0), column, equals }
}

fn writer(number: i64) -> OpId {
    OpId::new(ClientId(1), number as u32)
}

fn insert(id: u64, number: i64) -> DbCommand {
    let (table, id, writer, columns) = (Table(0), RowId(id), writer(number), columns(number));
    DbCommand::Insert { table, id, writer, columns }
}

fn update(id: u64, number: i64) -> DbCommand {
    update_if(id, number, None)
}

fn update_if(id: u64, number: i64, if_version: Option<u64>) -> DbCommand {
    let (table, id, writer, columns) = (Table(0), RowId(id), writer(number), columns(number));
    DbCommand::Update { table, id, writer, columns, if_version }
}

fn delete(id: u64, number: i64) -> DbCommand {
    DbCommand::Delete { table: Table(0), id: RowId(id), writer: writer(number) }
}

const BEGIN: DbCommand = DbCommand::Begin(Isolation::Default);
use DbCommand::{Commit, Rollback};

/// The cases: whether they need transactions, and what is done.
fn cases() -> Vec<(&'static str, bool, Vec<Step>)> {
    vec![
        ("statements", false, statements()),
        ("tombstones", false, tombstones()),
        ("commit", true, commit()),
        ("rollback and close", true, rollback_and_close()),
        ("transaction states", true, transaction_states()),
        ("a row that is taken", true, taken_row()),
        ("another row", true, another_row()),
        ("a waiting statement is closed", true, closed_while_waiting()),
        ("selects of a transaction", true, snapshots()),
        ("a write over what was committed since", true, stale_write()),
        ("isolation as begun", true, isolation_as_begun()),
        ("row locks", true, row_locks()),
        ("a failed statement", true, failed_statement()),
    ]
}

fn statements() -> Vec<Step> {
    let null: Columns = Arc::new([Value::Null, Value::Null]);
    let (table, id) = (Table(0), RowId(1));
    let to_null =
        DbCommand::Update { table, id, writer: writer(9), columns: null, if_version: None };
    vec![
        Ask(0, select(0), All("0=0 v1 by initial")),
        Ask(0, select(2), All("none")),
        Ask(0, insert(2, 5), All("written v1")),
        Ask(0, insert(2, 6), All("error duplicate-key")),
        Ask(1, select(2), All("2=5 v1 by c1#5")),
        Ask(0, update(2, 7), All("written v2")),
        Ask(0, update(3, 7), All("nothing written")),
        Ask(0, update_if(2, 8, Some(1)), All("nothing written")),
        Ask(0, update_if(2, 0, Some(2)), All("written v3")),
        Ask(0, select_where(0, Value::Integer(0)), All("0=0 v1 by initial, 2=0 v3 by c1#0")),
        Ask(0, select_where(1, Value::Text("it's 1".into())), All("1=1 v1 by initial")),
        Ask(0, select_where(0, Value::Integer(99)), All("")),
        Ask(0, to_null, All("written v2")),
        Ask(1, select(1), All("1=null v2 by c1#9")),
        Rows("0=0 v1 by initial, 1=null v2 by c1#9, 2=0 v3 by c1#0"),
    ]
}

/// A row's version survives its deletion.
fn tombstones() -> Vec<Step> {
    vec![
        Ask(0, delete(0, 5), All("written v2")),
        Ask(0, delete(0, 6), All("nothing written")),
        Ask(0, delete(7, 6), All("nothing written")),
        Ask(0, select(0), All("none")),
        Ask(0, select_where(0, Value::Integer(0)), All("")),
        Ask(0, update(0, 6), All("nothing written")),
        Rows("1=1 v1 by initial"),
        Ask(0, insert(0, 8), All("written v3")),
        Ask(0, update_if(0, 9, Some(3)), All("written v4")),
        Rows("0=9 v4 by c1#9, 1=1 v1 by initial"),
    ]
}

fn commit() -> Vec<Step> {
    vec![
        Ask(0, BEGIN, All("done")),
        Ask(0, update(0, 5), All("written v2")),
        Ask(0, insert(2, 6), All("written v1")),
        Ask(0, delete(1, 7), All("written v2")),
        Ask(0, select(0), All("0=5 v2 by c1#5")),
        Ask(0, select(1), All("none")),
        Ask(1, select(0), All("0=0 v1 by initial")),
        Ask(1, select(2), All("none")),
        Rows("0=0 v1 by initial, 1=1 v1 by initial"),
        Ask(0, Commit, All("done")),
        Ask(1, select(0), All("0=5 v2 by c1#5")),
        Rows("0=5 v2 by c1#5, 2=6 v1 by c1#6"),
    ]
}

fn rollback_and_close() -> Vec<Step> {
    vec![
        Ask(0, BEGIN, All("done")),
        Ask(0, update(0, 5), All("written v2")),
        Ask(0, insert(2, 6), All("written v1")),
        Ask(0, Rollback, All("done")),
        Rows("0=0 v1 by initial, 1=1 v1 by initial"),
        Ask(0, BEGIN, All("done")),
        Ask(0, delete(0, 7), All("written v2")),
        Close(0),
        Rows("0=0 v1 by initial, 1=1 v1 by initial"),
        // The connection may be used again, and has no transaction.
        Ask(0, update(0, 8), All("written v2")),
        Rows("0=8 v2 by c1#8, 1=1 v1 by initial"),
    ]
}

fn transaction_states() -> Vec<Step> {
    vec![
        Ask(0, Commit, All("error transaction-state")),
        Ask(0, Rollback, All("error transaction-state")),
        Ask(0, BEGIN, All("done")),
        Ask(0, BEGIN, All("error transaction-state")),
        Ask(0, Rollback, All("done")),
        Ask(0, Rollback, All("error transaction-state")),
    ]
}

fn taken_row() -> Vec<Step> {
    let after = || By {
        sqlite: "1: written v3",
        committed: "1: written v3",
        repeatable: "1: error serialization",
        maria: "1: written v3",
    };
    vec![
        Ask(0, BEGIN, All("done")),
        Ask(0, update(0, 5), All("written v2")),
        Ask(1, update(0, 6), All("waits")),
        Ask(2, select(0), All("0=0 v1 by initial")),
        Ask(0, Commit, All("done")),
        Woken(after()),
        Ask(0, BEGIN, All("done")),
        Ask(0, update(1, 7), All("written v2")),
        Ask(1, delete(1, 8), All("waits")),
        Ask(0, Rollback, All("done")),
        Woken(All("1: written v2")),
    ]
}

fn another_row() -> Vec<Step> {
    // SQLite has one writer, and no lock on rows.
    let (waits, woken) = ("waits", "1: written v2");
    let written = "written v2";
    vec![
        Ask(0, BEGIN, All("done")),
        Ask(0, update(0, 5), All("written v2")),
        Ask(
            1,
            update(1, 6),
            By { sqlite: waits, committed: written, repeatable: written, maria: written },
        ),
        Ask(0, Commit, All("done")),
        Woken(By { sqlite: woken, committed: "", repeatable: "", maria: "" }),
        Rows("0=5 v2 by c1#5, 1=6 v2 by c1#6"),
    ]
}

fn closed_while_waiting() -> Vec<Step> {
    vec![
        Ask(0, BEGIN, All("done")),
        Ask(0, update(0, 5), All("written v2")),
        Ask(1, update(0, 6), All("waits")),
        Close(1),
        Ask(0, Commit, All("done")),
        Rows("0=5 v2 by c1#5, 1=1 v1 by initial"),
        Ask(1, update(0, 7), All("written v3")),
    ]
}

fn snapshots() -> Vec<Step> {
    let (old, new) = ("0=0 v1 by initial", "0=5 v2 by c1#5");
    vec![
        Ask(0, BEGIN, All("done")),
        Ask(0, select(0), All(old)),
        Ask(1, update(0, 5), All("written v2")),
        Ask(0, select(0), By { sqlite: old, committed: new, repeatable: old, maria: old }),
        Ask(0, Commit, All("done")),
        Ask(0, select(0), All(new)),
    ]
}

fn stale_write() -> Vec<Step> {
    let (fails, written) = ("error serialization", "written v3");
    vec![
        Ask(0, BEGIN, All("done")),
        Ask(0, select(0), All("0=0 v1 by initial")),
        Ask(1, update(0, 5), All("written v2")),
        Ask(
            0,
            update(0, 6),
            By { sqlite: fails, committed: written, repeatable: fails, maria: written },
        ),
        Ask(0, Rollback, All("done")),
        Rows("0=5 v2 by c1#5, 1=1 v1 by initial"),
    ]
}

fn isolation_as_begun() -> Vec<Step> {
    let (old, new) = ("0=0 v1 by initial", "0=5 v2 by c1#5");
    let (second, third) = ("0=5 v2 by c1#5", "0=6 v3 by c1#6");
    vec![
        Ask(0, DbCommand::Begin(Isolation::ReadCommitted), All("done")),
        Ask(0, select(0), All(old)),
        Ask(1, update(0, 5), All("written v2")),
        // SQLite knows no levels.
        Ask(0, select(0), By { sqlite: old, committed: new, repeatable: new, maria: new }),
        Ask(0, Commit, All("done")),
        Ask(0, DbCommand::Begin(Isolation::RepeatableRead), All("done")),
        Ask(0, select(0), All(second)),
        Ask(1, update(0, 6), All("written v3")),
        Ask(0, select(0), All(second)),
        Ask(0, Commit, All("done")),
        Ask(0, select(0), All(third)),
    ]
}

fn row_locks() -> Vec<Step> {
    let row = "0=0 v1 by initial";
    // SQLite ignores row locks.
    let waits = || By { sqlite: row, committed: "waits", repeatable: "waits", maria: "waits" };
    let woken =
        |sqlite, others| By { sqlite, committed: others, repeatable: others, maria: others };
    vec![
        Ask(0, BEGIN, All("done")),
        Ask(1, BEGIN, All("done")),
        Ask(0, lock(0, RowLock::Share), All(row)),
        Ask(1, lock(0, RowLock::Share), All(row)),
        Ask(2, select(0), All(row)),
        Ask(1, Commit, All("done")),
        Ask(1, BEGIN, All("done")),
        Ask(1, lock(0, RowLock::Update), waits()),
        Ask(0, Commit, All("done")),
        Woken(woken("", "1: 0=0 v1 by initial")),
        Ask(2, lock(0, RowLock::Share), waits()),
        Ask(1, Rollback, All("done")),
        Woken(woken("", "2: 0=0 v1 by initial")),
    ]
}

fn failed_statement() -> Vec<Step> {
    // PostgreSQL takes nothing more in a transaction in which a statement failed.
    let aborted = "error transaction-aborted";
    let row = "1=1 v1 by initial";
    let select_it = || By { sqlite: row, committed: aborted, repeatable: aborted, maria: row };
    vec![
        Ask(0, BEGIN, All("done")),
        Ask(0, update(0, 5), All("written v2")),
        Ask(0, insert(1, 6), All("error duplicate-key")),
        Ask(0, select(1), select_it()),
        Ask(0, Rollback, All("done")),
        Rows("0=0 v1 by initial, 1=1 v1 by initial"),
    ]
}
