//! A model of PostgreSQL's transactions: read committed and repeatable read.
//!
//! Rows have committed versions, at most one uncommitted one, and lock holders. A statement
//! that needs a row goes through the stages of `heap_lock_tuple`: it looks at the version that
//! its snapshot shows; while others hold the row it queues for the *tuple lock* of that
//! version, then sleeps until their transactions have ended; when the version has been
//! replaced meanwhile, read committed goes on with the newest one and checks its condition
//! again (EvalPlanQual, and the row stays locked whatever comes out), repeatable read fails.
//! A share lock on a row that is share-locked does not queue, so it overtakes writers. The
//! statement whose wait closes a circle is the victim. A failed statement aborts its
//! transaction. An insert is the real backend's: over a tombstone, with ON CONFLICT.
//!
//! Sources: `src/backend/access/heap/README.tuplock` of PostgreSQL and chapter 13 of its
//! manual; held to PostgreSQL 15 by `tests/servers/database_differential_postgres.rs`.
//! Serializable is not modelled.

mod database;
mod fingerprint;
mod locks;

use std::collections::BTreeMap;

use locks::{Lock, Mode, Record, Stored, mode};

use super::transaction::Open;
use crate::step::{
    ConnectionId, DbCommand, DbReply, Footprint, Isolation, Location, Row, RowId, RowLock,
    SqlError, Table, Written,
};

type Place = (Table, RowId);

/// A connection's transaction; a statement outside one is a transaction of its own.
#[derive(Clone, Debug, Default)]
struct Session {
    open: Open,
    /// The number of its transaction, by which others wait for it.
    number: u64,
    repeatable: bool,
    /// Commits that a repeatable-read transaction sees.
    snapshot: Option<u64>,
    locked: Vec<Place>,
}

/// A statement that waits, and how far it has come.
#[derive(Clone, Debug)]
struct Waiting {
    connection: ConnectionId,
    command: DbCommand,
    stage: Stage,
}

#[derive(Clone, Debug)]
struct Stage {
    /// The version that it wants, by its commit; `None` for an insert that starts anew.
    of: Option<u64>,
    /// It has come to a newer version than its snapshot's.
    newer: bool,
    /// Transactions, by number, that have to end first.
    sleeps_on: Vec<(ConnectionId, u64)>,
}

/// The modelled database.
#[derive(Clone, Debug)]
pub struct Postgres {
    isolation: Isolation,
    records: BTreeMap<Place, Record>,
    sessions: BTreeMap<ConnectionId, Session>,
    waiting: Vec<Waiting>,
    commits: u64,
    transactions: u64,
}

impl Postgres {
    /// An empty database whose transactions have this isolation by default.
    pub fn new(isolation: Isolation) -> Postgres {
        Postgres {
            isolation,
            records: BTreeMap::new(),
            sessions: BTreeMap::new(),
            waiting: Vec::new(),
            commits: 0,
            transactions: 0,
        }
    }

    /// As it was when it was made, with these rows committed.
    pub fn reset(&mut self, rows: &[(Table, Row)]) {
        *self = Postgres::new(self.isolation);
        for (table, row) in rows {
            let stored = Stored { sequence: 0, version: row.version, row: Some(row.clone()) };
            let record = Record { committed: vec![stored], ..Record::default() };
            self.records.insert((*table, row.id), record);
        }
    }

    fn session(&mut self, on: ConnectionId) -> &mut Session {
        let transactions = &mut self.transactions;
        let repeatable = self.isolation == Isolation::RepeatableRead;
        self.sessions.entry(on).or_insert_with(|| {
            *transactions += 1;
            Session { number: *transactions, repeatable, ..Session::default() }
        })
    }

    /// Executes a statement, or says how it waits.
    fn execute(
        &mut self,
        on: ConnectionId,
        command: &DbCommand,
        footprint: &mut Footprint,
    ) -> Result<DbReply, Stage> {
        let open = self.session(on).open;
        if let Some(error) = open.refuses(command) {
            return Ok(DbReply::Error(error));
        }
        match command {
            DbCommand::Begin(isolation) => Ok(self.begin(on, *isolation)),
            DbCommand::Commit if open == Open::Aborted => {
                self.end(on, false, footprint);
                Ok(DbReply::Error(SqlError::TransactionAborted))
            }
            DbCommand::Commit | DbCommand::Rollback => {
                self.end(on, *command == DbCommand::Commit, footprint);
                Ok(DbReply::Done)
            }
            DbCommand::Select { table, id, lock: RowLock::None } => {
                let snapshot = self.snapshot(on, Location::Row(*table, *id), footprint);
                let seen = self.visible(on, snapshot, (*table, *id));
                Ok(DbReply::Row(seen.and_then(|stored| stored.row.clone())))
            }
            DbCommand::SelectWhere { table, column, equals } => {
                let snapshot = self.snapshot(on, Location::Table(*table), footprint);
                let places: Vec<Place> = self.records.keys().copied().collect();
                let of_table = places.into_iter().filter(|(of, _)| of == table);
                let rows = of_table.filter_map(|place| {
                    self.visible(on, snapshot, place).and_then(|stored| stored.row.clone())
                });
                let matches = |row: &Row| row.columns.get(usize::from(*column)) == Some(equals);
                Ok(DbReply::Rows(rows.filter(matches).collect()))
            }
            _ => self.start(on, command, footprint),
        }
    }

    fn begin(&mut self, on: ConnectionId, isolation: Isolation) -> DbReply {
        let isolation = if isolation.is_default() { self.isolation } else { isolation };
        let session = self.session(on);
        session.open = Open::Yes;
        session.repeatable = isolation == Isolation::RepeatableRead;
        DbReply::Done
    }

    /// Ends a transaction: its locks are released, its writes are committed or forgotten.
    fn end(&mut self, on: ConnectionId, commits: bool, footprint: &mut Footprint) {
        let Some(session) = self.sessions.remove(&on) else { return };
        let wrote = |record: &Record| record.written.as_ref().is_some_and(|(by, _)| *by == on);
        let mut committed = false;
        for place in session.locked {
            footprint.write(|| Location::Lock(place.0, place.1));
            let record = self.records.get_mut(&place).expect("a locked row has a record");
            record.holders.retain(|(by, _)| *by != on);
            if wrote(record) {
                let (_, mut stored) = record.written.take().expect("it was written");
                if commits {
                    committed = true;
                    footprint.write(|| Location::Row(place.0, place.1));
                    stored.sequence = self.commits + 1;
                    record.committed.push(stored);
                }
            }
        }
        if committed {
            footprint.add(|| Location::CommitClock);
            self.commits += 1;
        }
        self.forget();
    }

    /// Drops versions that no snapshot can see.
    fn forget(&mut self) {
        let oldest = self.sessions.values().filter_map(|session| session.snapshot).min();
        let oldest = oldest.unwrap_or(self.commits);
        for record in self.records.values_mut() {
            let seen = record.committed.iter().rposition(|stored| stored.sequence <= oldest);
            record.committed.drain(..seen.unwrap_or(0));
        }
        self.records.retain(|_, record| {
            !record.committed.is_empty()
                || record.written.is_some()
                || !record.holders.is_empty()
                || !record.queue.is_empty()
        });
    }

    /// A failed statement aborts its transaction, which gives everything up at once.
    fn abort(&mut self, on: ConnectionId, footprint: &mut Footprint) {
        let open = self.session(on).open;
        self.end(on, false, footprint);
        if open != Open::No {
            self.session(on).open = Open::Aborted;
        }
    }

    /// The snapshot of a statement, and what it makes the statement depend on.
    fn snapshot(&mut self, on: ConnectionId, what: Location, footprint: &mut Footprint) -> u64 {
        let commits = self.commits;
        let session = self.session(on);
        if !session.repeatable {
            footprint.read(|| what);
            return commits;
        }
        match session.open {
            // A statement of its own looks at its row and no other.
            Open::No => footprint.read(|| what),
            _ if session.snapshot.is_none() => footprint.read(|| Location::CommitClock),
            _ => {}
        }
        *session.snapshot.get_or_insert(commits)
    }

    fn visible(&self, on: ConnectionId, snapshot: u64, place: Place) -> Option<&Stored> {
        let record = self.records.get(&place)?;
        match &record.written {
            Some((by, stored)) if *by == on => Some(stored),
            _ => record.committed.iter().rev().find(|stored| stored.sequence <= snapshot),
        }
    }

    /// The first look of a statement that locks its row.
    fn start(
        &mut self,
        on: ConnectionId,
        command: &DbCommand,
        footprint: &mut Footprint,
    ) -> Result<DbReply, Stage> {
        let place = command.row().expect("only a statement on a row locks");
        footprint.write(|| Location::Lock(place.0, place.1));
        footprint.read(|| Location::Row(place.0, place.1));
        let snapshot = self.snapshot(on, Location::Row(place.0, place.1), footprint);
        let mut stage = Stage { of: None, newer: false, sleeps_on: Vec::new() };
        if matches!(command, DbCommand::Insert { .. }) {
            return self.go_on(on, command, stage, footprint);
        }
        let seen = self.visible(on, snapshot, place);
        // What the snapshot does not show is neither waited for nor locked.
        match seen.filter(|stored| fits(command, stored)) {
            None => Ok(self.finish(on, nothing(command), footprint)),
            Some(stored) => {
                stage.of = Some(stored.sequence);
                self.go_on(on, command, stage, footprint)
            }
        }
    }

    /// From where a statement stands to its reply, or to where it waits next.
    fn go_on(
        &mut self,
        on: ConnectionId,
        command: &DbCommand,
        mut stage: Stage,
        footprint: &mut Footprint,
    ) -> Result<DbReply, Stage> {
        let place = command.row().expect("only a statement on a row locks");
        let inserts = matches!(command, DbCommand::Insert { .. });
        loop {
            if inserts && stage.of.is_none() {
                match self.conflicting(on, place, &mut stage) {
                    Ok(true) => {}
                    Ok(false) => return Ok(self.carry_out(on, command, footprint)),
                    Err(()) => return self.wait(on, stage, footprint),
                }
            }
            match self.lock(on, place, mode(command), &mut stage) {
                Lock::Waits => return self.wait(on, stage, footprint),
                Lock::Granted => break,
                Lock::Changed if self.session(on).repeatable => {
                    return Ok(self.fail(on, SqlError::Serialization, footprint));
                }
                Lock::Changed => {
                    stage.newer = true;
                    let latest = self.records[&place].latest().map(|stored| stored.sequence);
                    stage.of = if inserts { None } else { latest };
                }
            }
        }
        if self.invisible(on, place) {
            return Ok(self.fail(on, SqlError::Serialization, footprint));
        }
        Ok(self.carry_out(on, command, footprint))
    }

    /// Whether a repeatable-read transaction has come to a row that its snapshot lacks.
    fn invisible(&self, on: ConnectionId, place: Place) -> bool {
        let snapshot = self.sessions.get(&on).and_then(|session| session.snapshot);
        let record = &self.records[&place];
        let own = record.written.as_ref().is_some_and(|(by, _)| *by == on);
        let latest = record.latest().map_or(0, |stored| stored.sequence);
        !own && snapshot.is_some_and(|snapshot| latest > snapshot)
    }

    /// Looks for the row that an insert would collide with: whether there is one, or that
    /// somebody's uncommitted version of it has to be waited for.
    fn conflicting(
        &mut self,
        on: ConnectionId,
        place: Place,
        stage: &mut Stage,
    ) -> Result<bool, ()> {
        let Some(record) = self.records.get(&place) else { return Ok(false) };
        match &record.written {
            Some((by, _)) if *by != on => {
                let by = *by;
                stage.sleeps_on = vec![(by, self.sessions[&by].number)];
                return Err(());
            }
            Some((_, stored)) => stage.of = Some(stored.sequence),
            None => match record.latest() {
                Some(stored) => stage.of = Some(stored.sequence),
                None => return Ok(false),
            },
        }
        stage.sleeps_on.clear();
        Ok(true)
    }

    /// The row is locked: does what the statement is for, on the newest version.
    fn carry_out(
        &mut self,
        on: ConnectionId,
        command: &DbCommand,
        footprint: &mut Footprint,
    ) -> DbReply {
        let place = command.row().expect("only a statement on a row locks");
        let before = self.visible(on, self.commits, place).cloned();
        if let (DbCommand::Insert { .. }, Some(Stored { row: Some(_), .. })) = (command, &before) {
            return self.fail(on, SqlError::DuplicateKey, footprint);
        }
        let fits = before.as_ref().is_some_and(|stored| fits(command, stored));
        if let DbCommand::Select { .. } = command {
            let row = before.filter(|_| fits).and_then(|stored| stored.row);
            return self.finish(on, DbReply::Row(row), footprint);
        }
        if !fits && !matches!(command, DbCommand::Insert { .. }) {
            return self.finish(on, nothing(command), footprint);
        }
        let sequence = before.as_ref().map_or(u64::MAX, |stored| stored.sequence);
        let version = before.map_or(0, |stored| stored.version) + 1;
        let row = contents(command, version);
        let record = self.records.entry(place).or_default();
        record.written = Some((on, Stored { sequence, version, row }));
        if !record.holders.iter().any(|(by, _)| *by == on) {
            record.holders.push((on, Mode::Exclusive));
        }
        let locked = &mut self.session(on).locked;
        if !locked.contains(&place) {
            locked.push(place);
        }
        let written = Written { affected: 1, version: Some(version) };
        self.finish(on, DbReply::Written(written), footprint)
    }

    /// A statement outside a transaction commits itself.
    fn finish(&mut self, on: ConnectionId, reply: DbReply, footprint: &mut Footprint) -> DbReply {
        if self.session(on).open == Open::No {
            self.end(on, true, footprint);
        }
        reply
    }

    fn fail(&mut self, on: ConnectionId, error: SqlError, footprint: &mut Footprint) -> DbReply {
        self.give_up_queue(on);
        self.abort(on, footprint);
        DbReply::Error(error)
    }

    fn give_up_queue(&mut self, on: ConnectionId) {
        for record in self.records.values_mut() {
            record.queue.retain(|lock| lock.by != on);
        }
    }
}

/// Whether a version meets a statement's condition.
fn fits(command: &DbCommand, stored: &Stored) -> bool {
    let version = match command {
        DbCommand::Update { if_version, .. } => *if_version,
        _ => None,
    };
    stored.row.is_some() && version.is_none_or(|version| version == stored.version)
}

fn nothing(command: &DbCommand) -> DbReply {
    match command {
        DbCommand::Select { .. } => DbReply::Row(None),
        _ => DbReply::Written(Written { affected: 0, version: None }),
    }
}

fn contents(command: &DbCommand, version: u64) -> Option<Row> {
    match command {
        DbCommand::Insert { id, writer, columns, .. }
        | DbCommand::Update { id, writer, columns, .. } => {
            Some(Row { id: *id, version, writer: *writer, columns: columns.clone() })
        }
        _ => None,
    }
}

impl Postgres {
    /// Outside a transaction nothing is kept of a session between statements.
    fn rest(&mut self, on: ConnectionId, footprint: &mut Footprint) {
        if self.sessions.get(&on).is_some_and(|session| session.open == Open::No) {
            self.end(on, false, footprint);
        }
    }
}
