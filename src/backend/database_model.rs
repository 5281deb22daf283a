//! A model of a SQL database with transactions, after SQLite in WAL mode.
//!
//! One writer at a time, snapshots for readers: a transaction sees the database as it was at
//! its first statement; a write by a transaction whose snapshot is no longer the latest
//! fails (`SQLITE_BUSY_SNAPSHOT`); a write while another connection holds the write lock
//! waits. Row locks do not exist and are ignored. It is held to the real SQLite by a
//! differential test. Source: <https://www.sqlite.org/isolation.html> and `wal.html`.
//!
//! For exploration it can be [reset](Model::reset), [fingerprinted](Model::fingerprint), and
//! its footprints are exact: what a statement reports is what it depended on in this state.

mod fingerprint;

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::hash::Hasher;

use rustc_hash::FxHashMap;

use super::{BackendError, Database, Submitted};
use crate::operation::OpKind;
use crate::step::{
    ConnectionId, DbCommand, DbReply, Footprint, Location, Row, RowId, SqlError, Table, TableSpec,
    Written,
};

type Place = (Table, RowId);

/// One version of a row; a deleted row keeps its version, so that counting goes on.
#[derive(Clone, Debug)]
struct Stored {
    sequence: u64,
    version: u64,
    row: Option<Row>,
}

/// The modelled database.
#[derive(Clone, Debug, Default)]
pub struct Model {
    latest: FxHashMap<Place, Stored>,
    /// Versions that were replaced while some transaction had a snapshot, oldest first.
    replaced: FxHashMap<Place, Vec<Stored>>,
    /// Commits so far.
    sequence: u64,
    connections: FxHashMap<ConnectionId, Transaction>,
    /// Transactions that have a snapshot.
    snapshots: usize,
    writer: Option<ConnectionId>,
    waiting: VecDeque<(ConnectionId, DbCommand)>,
}

#[derive(Clone, Debug, Default)]
struct Transaction {
    snapshot: Option<u64>,
    writes: BTreeMap<Place, Stored>,
}

impl Model {
    /// An empty database.
    pub fn new() -> Model {
        Model::default()
    }

    /// As it was when it was made, with these rows committed: connections, locks and
    /// history are gone.
    pub fn reset(&mut self, rows: &[(Table, Row)]) {
        self.latest.clear();
        self.replaced.clear();
        self.sequence = 0;
        self.connections.clear();
        self.snapshots = 0;
        self.writer = None;
        self.waiting.clear();
        for (table, row) in rows {
            let stored = Stored { sequence: 0, version: row.version, row: Some(row.clone()) };
            self.latest.insert((*table, row.id), stored);
        }
    }

    fn attempt(
        &mut self,
        on: ConnectionId,
        command: &DbCommand,
        footprint: &mut Footprint,
    ) -> Option<DbReply> {
        match command {
            // A deferred BEGIN takes neither lock nor snapshot.
            DbCommand::Begin(_) => Some(self.begin(on)),
            DbCommand::Commit => Some(self.commit(on, footprint)),
            DbCommand::Rollback => Some(self.roll_back(on, footprint)),
            DbCommand::Select { table, id, .. } => {
                self.note_read(on, Location::Row(*table, *id), footprint);
                let snapshot = self.snapshot(on);
                Some(DbReply::Row(self.read(on, snapshot, (*table, *id)).and_then(|s| s.row)))
            }
            DbCommand::SelectWhere { table, column, equals } => {
                self.note_read(on, Location::Table(*table), footprint);
                let mut rows = self.visible(on, *table);
                rows.retain(|row| row.columns.get(usize::from(*column)) == Some(equals));
                Some(DbReply::Rows(rows))
            }
            write => self.write(on, write, footprint),
        }
    }

    /// Outside a transaction a select reads what is committed; the first statement of a
    /// transaction depends on all commits before it, later ones on none.
    fn note_read(&self, on: ConnectionId, what: Location, footprint: &mut Footprint) {
        match self.connections.get(&on) {
            None => footprint.read(|| what),
            Some(Transaction { snapshot: None, .. }) => footprint.read(|| Location::CommitClock),
            Some(_) => {}
        }
    }

    fn begin(&mut self, on: ConnectionId) -> DbReply {
        if self.connections.contains_key(&on) {
            return DbReply::Error(SqlError::TransactionState);
        }
        self.connections.insert(on, Transaction::default());
        DbReply::Done
    }

    fn commit(&mut self, on: ConnectionId, footprint: &mut Footprint) -> DbReply {
        let Some(transaction) = self.end(on, footprint) else {
            return DbReply::Error(SqlError::TransactionState);
        };
        if !transaction.writes.is_empty() {
            footprint.add(|| Location::CommitClock);
            self.sequence += 1;
            for (place, stored) in transaction.writes {
                footprint.write(|| Location::Row(place.0, place.1));
                self.install(place, stored);
            }
        }
        DbReply::Done
    }

    fn roll_back(&mut self, on: ConnectionId, footprint: &mut Footprint) -> DbReply {
        match self.end(on, footprint) {
            Some(_) => DbReply::Done,
            None => DbReply::Error(SqlError::TransactionState),
        }
    }

    fn end(&mut self, on: ConnectionId, footprint: &mut Footprint) -> Option<Transaction> {
        let transaction = self.connections.remove(&on)?;
        if transaction.snapshot.is_some() {
            self.snapshots -= 1;
            if self.snapshots == 0 {
                self.replaced.clear();
            }
        }
        if self.writer == Some(on) {
            footprint.write(|| Location::DatabaseLock);
            self.writer = None;
        }
        Some(transaction)
    }

    /// The snapshot that a statement reads; the first statement of a transaction takes it.
    fn snapshot(&mut self, on: ConnectionId) -> u64 {
        let sequence = self.sequence;
        match self.connections.get_mut(&on) {
            None => sequence,
            Some(transaction) => *transaction.snapshot.get_or_insert_with(|| {
                self.snapshots += 1;
                sequence
            }),
        }
    }

    fn read(&self, on: ConnectionId, snapshot: u64, place: Place) -> Option<Stored> {
        let own = self.connections.get(&on).and_then(|t| t.writes.get(&place));
        own.or_else(|| self.committed(snapshot, place)).cloned()
    }

    fn committed(&self, snapshot: u64, place: Place) -> Option<&Stored> {
        let latest = self.latest.get(&place)?;
        if latest.sequence <= snapshot {
            return Some(latest);
        }
        let older = self.replaced.get(&place)?;
        older.iter().rev().find(|stored| stored.sequence <= snapshot)
    }

    fn visible(&mut self, on: ConnectionId, table: Table) -> Vec<Row> {
        let snapshot = self.snapshot(on);
        let mut places: Vec<Place> = self.latest.keys().copied().collect();
        if let Some(transaction) = self.connections.get(&on) {
            places.extend(transaction.writes.keys());
        }
        places.retain(|(of, _)| *of == table);
        places.sort_unstable();
        places.dedup();
        let rows = places.into_iter().filter_map(|place| self.read(on, snapshot, place));
        rows.filter_map(|stored| stored.row).collect()
    }

    /// `None` when the write has to wait for the write lock.
    fn write(
        &mut self,
        on: ConnectionId,
        command: &DbCommand,
        footprint: &mut Footprint,
    ) -> Option<DbReply> {
        if self.writer.is_some_and(|writer| writer != on) {
            footprint.write(|| Location::DatabaseLock);
            return None;
        }
        let in_transaction = self.connections.contains_key(&on);
        let holds_lock = self.writer == Some(on);
        if !holds_lock {
            footprint.read(|| Location::DatabaseLock);
        }
        if in_transaction && !holds_lock {
            footprint.read(|| Location::CommitClock);
        }
        let snapshot = self.snapshot(on);
        if snapshot < self.sequence {
            return Some(DbReply::Error(SqlError::Serialization));
        }
        if in_transaction && !holds_lock {
            footprint.write(|| Location::DatabaseLock);
            self.writer = Some(on);
        }
        let (table, id) = command.row().expect("a write names its row");
        let place = (table, id);
        let before = self.read(on, snapshot, place);
        let version = before.as_ref().map_or(0, |stored| stored.version);
        let row = before.and_then(|stored| stored.row);
        let after = match apply(command, version, row) {
            Ok(after) => after,
            Err(reply) => {
                if !in_transaction {
                    footprint.read(|| Location::Row(table, id));
                }
                return Some(reply);
            }
        };
        let version = Some(after.version);
        match self.connections.get_mut(&on) {
            Some(transaction) => {
                transaction.writes.insert(place, after);
            }
            None => {
                footprint.write(|| Location::Row(table, id));
                footprint.add(|| Location::CommitClock);
                self.sequence += 1;
                self.install(place, after);
            }
        }
        Some(DbReply::Written(Written { affected: 1, version }))
    }

    fn install(&mut self, place: Place, mut stored: Stored) {
        stored.sequence = self.sequence;
        let before = self.latest.insert(place, stored);
        if let Some(before) = before
            && self.snapshots > 0
        {
            self.replaced.entry(place).or_default().push(before);
        }
    }
}

/// What a write makes of a row, or the reply when it changes nothing.
fn apply(command: &DbCommand, version: u64, row: Option<Row>) -> Result<Stored, DbReply> {
    let nothing = DbReply::Written(Written { affected: 0, version: None });
    let next = version + 1;
    let stored = |row| Ok(Stored { sequence: 0, version: next, row });
    match (command, row) {
        (DbCommand::Insert { .. }, Some(_)) => Err(DbReply::Error(SqlError::DuplicateKey)),
        (DbCommand::Insert { id, writer, columns, .. }, None) => {
            let columns = columns.clone();
            stored(Some(Row { id: *id, version: next, writer: *writer, columns }))
        }
        (DbCommand::Update { if_version: Some(expected), .. }, Some(_)) if *expected != version => {
            Err(nothing)
        }
        (DbCommand::Update { id, writer, columns, .. }, Some(_)) => {
            let columns = columns.clone();
            stored(Some(Row { id: *id, version: next, writer: *writer, columns }))
        }
        (DbCommand::Delete { .. }, Some(_)) => stored(None),
        _ => Err(nothing),
    }
}

impl Database for Model {
    fn describe(&self) -> String {
        "model of SQLite in WAL mode".to_owned()
    }

    fn create(&mut self, _: &[TableSpec], rows: &[(Table, Row)]) -> Result<(), BackendError> {
        self.reset(rows);
        Ok(())
    }

    fn submit(
        &mut self,
        connection: ConnectionId,
        command: &DbCommand,
        footprint: &mut Footprint,
    ) -> Result<Submitted, BackendError> {
        // Who waits keeps its place: a newcomer does not overtake, since the real busy lock
        // is retried in that order by this harness.
        Ok(match self.attempt(connection, command, footprint) {
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
        let mut done = Vec::new();
        let mut place = 0;
        while self.writer.is_none() && place < self.waiting.len() {
            let (connection, command) = self.waiting[place].clone();
            match self.attempt(connection, &command, footprint) {
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
        if self.waiting.iter().any(|(waiting, _)| *waiting == connection) {
            footprint.write(|| Location::DatabaseLock);
            self.waiting.retain(|(waiting, _)| *waiting != connection);
        }
        self.end(connection, footprint);
        Ok(())
    }

    fn would_change(&self, table: Table, row: RowId, how: OpKind) -> Option<bool> {
        let is_there = self.latest.get(&(table, row)).is_some_and(|stored| stored.row.is_some());
        Some(self.writer.is_none() && is_there != (how == OpKind::Insert))
    }

    fn fingerprint(&self, into: &mut dyn Hasher) -> bool {
        let mut into = into;
        Model::fingerprint(self, &mut into);
        true
    }

    fn save(&self) -> Option<Box<dyn Any>> {
        Some(Box::new(self.clone()))
    }

    fn restore(&mut self, saved: &dyn Any) {
        self.clone_from(saved.downcast_ref().expect("it was saved here"));
    }

    fn rows(&mut self, table: Table) -> Result<Vec<Row>, BackendError> {
        let mut rows: Vec<Row> = self
            .latest
            .iter()
            .filter(|((of, _), _)| *of == table)
            .filter_map(|(_, stored)| stored.row.clone())
            .collect();
        rows.sort_unstable_by_key(|row| row.id);
        Ok(rows)
    }
}
