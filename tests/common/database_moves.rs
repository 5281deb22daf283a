//! Random statements on few rows by few connections, so that they meet.

#![allow(dead_code, reason = "each test uses its own part")]

use std::collections::BTreeMap;
use std::sync::Arc;

use staleproof::backend::{Database, Submitted};
use staleproof::operation::{ClientId, OpId};
use staleproof::seed::{Purpose, Seed, below};
use staleproof::step::{
    ColumnKind, Columns, ConnectionId, DbCommand, DbReply, Footprint, Isolation, Row, RowId,
    RowLock, Table, TableSpec, Value,
};

/// How many connections meet.
pub const CONNECTIONS: u64 = 3;
const ROWS: u64 = 3;

/// What a client does.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    Submit(ConnectionId, DbCommand),
    Close(ConnectionId),
}

fn columns(number: u64) -> Columns {
    Arc::new([Value::Integer(number as i64)])
}

/// One table with one number.
pub fn tables() -> Vec<TableSpec> {
    vec![TableSpec {
        name: "t".to_owned(),
        columns: vec![("number".to_owned(), ColumnKind::Integer)],
    }]
}

/// Rows 0 and 1; row 2 does not exist.
pub fn initial() -> Vec<(Table, Row)> {
    let row = |id| {
        let writer = OpId::INITIAL;
        (Table(0), Row { id: RowId(id), version: 1, writer, columns: columns(id) })
    };
    (0..2).map(row).collect()
}

/// A random move. Most are within transactions, and on few rows, so that they meet.
pub fn random_move(seed: Seed, number: u64) -> Move {
    let draw = |which| seed.draw(Purpose::Operations, number, which);
    let connection = ConnectionId(below(draw(0), CONNECTIONS) as u32);
    let id = RowId(below(draw(1), ROWS));
    let table = Table(0);
    let writer = OpId::new(ClientId(connection.0), number as u32 + 1);
    let command = match below(draw(2), 20) {
        0..4 => DbCommand::Begin(Isolation::Default),
        4..7 => DbCommand::Commit,
        7..8 => DbCommand::Rollback,
        8..11 => DbCommand::Select { table, id, lock: RowLock::None },
        11..12 => {
            let lock = if below(draw(5), 2) == 0 { RowLock::Share } else { RowLock::Update };
            DbCommand::Select { table, id, lock }
        }
        12..13 => DbCommand::SelectWhere { table, column: 0, equals: Value::Integer(id.0 as i64) },
        13..16 => {
            let columns = columns(below(draw(3), 3));
            DbCommand::Update { table, id, writer, columns, if_version: None }
        }
        16..17 => {
            let if_version = Some(1 + below(draw(4), 3));
            DbCommand::Update { table, id, writer, columns: columns(9), if_version }
        }
        17..18 => DbCommand::Insert { table, id, writer, columns: columns(5) },
        18..19 => DbCommand::Delete { table, id, writer },
        _ => return Move::Close(connection),
    };
    Move::Submit(connection, command)
}

/// What a database answered to a sequence: a line per event.
pub fn play(
    database: &mut dyn Database,
    moves: &[Move],
    outcomes: &mut BTreeMap<String, u64>,
) -> Vec<String> {
    database.create(&tables(), &initial()).unwrap();
    let mut footprint = Footprint::off();
    let mut waiting: Vec<ConnectionId> = Vec::new();
    let mut log = Vec::new();
    for step in moves {
        match step {
            // A connection whose statement waits gets no other.
            Move::Submit(connection, _) if waiting.contains(connection) => continue,
            Move::Submit(connection, command) => {
                let submitted = database.submit(*connection, command, &mut footprint).unwrap();
                if submitted == Submitted::Blocked {
                    waiting.push(*connection);
                }
                *outcomes.entry(outcome(command, &submitted)).or_insert(0) += 1;
                log.push(format!("{connection:?} {command:?} -> {submitted:?}"));
            }
            Move::Close(connection) => {
                waiting.retain(|waiting| waiting != connection);
                database.close(*connection, &mut footprint).unwrap();
            }
        }
        for (connection, reply) in database.woken(&mut footprint).unwrap() {
            waiting.retain(|waiting| *waiting != connection);
            *outcomes.entry("woken".to_owned()).or_insert(0) += 1;
            log.push(format!("woken {connection:?} -> {reply:?}"));
        }
    }
    for connection in 0..CONNECTIONS {
        database.close(ConnectionId(connection as u32), &mut footprint).unwrap();
        for (connection, reply) in database.woken(&mut footprint).unwrap() {
            log.push(format!("woken {connection:?} -> {reply:?}"));
        }
    }
    log.push(format!("{:?}", database.rows(Table(0)).unwrap()));
    log
}

fn outcome(command: &DbCommand, submitted: &Submitted) -> String {
    let outcome = match submitted {
        Submitted::Blocked => "waits".to_owned(),
        Submitted::Done(DbReply::Error(error)) => error.name().to_owned(),
        Submitted::Done(DbReply::Written(written)) => format!("{} rows", written.affected),
        Submitted::Done(DbReply::Row(row)) => {
            if row.is_some() { "found" } else { "none" }.to_owned()
        }
        Submitted::Done(_) => "done".to_owned(),
    };
    format!("{} {outcome}", command.name())
}
