//! Row locks: holders, tuple locks and their queue, who waits for whom, who is woken.

use std::collections::BTreeMap;

use super::{Place, Postgres, Session, Stage, Waiting};
use crate::step::{ConnectionId, DbCommand, DbReply, Footprint, Location, Row, RowLock, SqlError};

/// How a row is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    Share,
    Exclusive,
}

impl Mode {
    pub(super) fn conflicts(self, other: Mode) -> bool {
        self == Mode::Exclusive || other == Mode::Exclusive
    }
}

/// A committed version; a deleted row leaves one without contents.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// The commit that made it.
    pub sequence: u64,
    pub version: u64,
    pub row: Option<Row>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// Oldest first; all that some snapshot can see, and the latest.
    pub committed: Vec<Stored>,
    /// The version that an open transaction has written, and whose it is.
    pub written: Option<(ConnectionId, Stored)>,
    pub holders: Vec<(ConnectionId, Mode)>,
    /// Tuple locks, granted and awaited, in the order of the queue.
    pub queue: Vec<TupleLock>,
}

#[derive(Clone, Debug)]
pub(super) struct TupleLock {
    pub by: ConnectionId,
    /// The version (by commit) whose lock it is.
    pub of: u64,
    pub mode: Mode,
    pub granted: bool,
}

impl Record {
    pub(super) fn latest(&self) -> Option<&Stored> {
        self.committed.last()
    }

    /// Others whose lock is in the way.
    pub(super) fn in_the_way(&self, of: ConnectionId, mode: Mode) -> Vec<ConnectionId> {
        let others = self.holders.iter().filter(|(by, held)| *by != of && held.conflicts(mode));
        others.map(|(by, _)| *by).collect()
    }

    /// Tuple locks of the same version that keep one from being granted: granted ones, and
    /// awaited ones before it.
    pub(super) fn before(&self, place: usize) -> impl Iterator<Item = ConnectionId> + '_ {
        let wanted = &self.queue[place];
        self.queue.iter().enumerate().filter_map(move |(other, lock)| {
            let counts = lock.granted || other < place;
            let meets = lock.of == wanted.of && lock.mode.conflicts(wanted.mode);
            (counts && meets && lock.by != wanted.by).then_some(lock.by)
        })
    }
}

/// What one look at a row's lock gave.
pub(super) enum Lock {
    Granted,
    Waits,
    Changed,
}

impl Postgres {
    /// One look at a row's lock.
    pub(super) fn lock(
        &mut self,
        on: ConnectionId,
        place: Place,
        mode: Mode,
        stage: &mut Stage,
    ) -> Lock {
        let of = stage.of.expect("a version to lock");
        let record = self.records.get_mut(&place).expect("a row to lock");
        let own = record.written.as_ref().is_some_and(|(by, _)| *by == on);
        let latest = record.latest().map_or(0, |stored| stored.sequence);
        if !own && latest != of {
            record.queue.retain(|lock| lock.by != on);
            stage.sleeps_on.clear();
            return Lock::Changed;
        }
        if stage.sleeps_on.iter().any(|(by, number)| is_open(&self.sessions, *by, *number)) {
            return Lock::Waits;
        }
        let in_the_way = record.in_the_way(on, mode);
        let member = record.holders.iter().any(|(by, _)| *by == on);
        if in_the_way.is_empty() {
            record.queue.retain(|lock| lock.by != on);
            if mode == Mode::Exclusive {
                record.holders.retain(|(by, _)| *by != on);
            }
            if mode == Mode::Exclusive || !member {
                record.holders.push((on, mode));
            }
            let locked = &mut self.sessions.get_mut(&on).expect("a session").locked;
            if !locked.contains(&place) {
                locked.push(place);
            }
            return Lock::Granted;
        }
        // Who holds the row already does not queue for more of it.
        if !member && !queue_up(record, on, of, mode) {
            stage.sleeps_on.clear();
            return Lock::Waits;
        }
        let numbered = in_the_way.into_iter().map(|by| (by, self.sessions[&by].number));
        stage.sleeps_on = numbered.collect();
        Lock::Waits
    }

    /// A statement waits, unless that closes a circle: then it is the victim.
    pub(super) fn wait(
        &mut self,
        on: ConnectionId,
        stage: Stage,
        footprint: &mut Footprint,
    ) -> Result<DbReply, Stage> {
        footprint.write(|| Location::DatabaseLock);
        let mut seen = Vec::new();
        let mut open: Vec<ConnectionId> = self.awaited(on, &stage);
        while let Some(other) = open.pop() {
            if other == on {
                return Ok(self.fail(on, SqlError::Deadlock, footprint));
            }
            if seen.contains(&other) {
                continue;
            }
            seen.push(other);
            if let Some(waiting) = self.waiting.iter().find(|w| w.connection == other) {
                open.extend(self.awaited(other, &waiting.stage));
            }
        }
        Err(stage)
    }

    /// Whom a waiting statement waits for.
    pub(super) fn awaited(&self, on: ConnectionId, stage: &Stage) -> Vec<ConnectionId> {
        let mut awaited: Vec<ConnectionId> = stage
            .sleeps_on
            .iter()
            .filter(|(by, number)| is_open(&self.sessions, *by, *number))
            .map(|(by, _)| *by)
            .collect();
        for record in self.records.values() {
            let own = record.queue.iter().position(|lock| lock.by == on && !lock.granted);
            if let Some(place) = own {
                awaited.extend(record.before(place));
            }
        }
        awaited
    }

    /// Lets every waiting statement go on as far as it can, in the order in which they began
    /// to wait, until nothing moves any more.
    pub(super) fn settle(&mut self, footprint: &mut Footprint) -> Vec<(ConnectionId, DbReply)> {
        let order: Vec<ConnectionId> = self.waiting.iter().map(|w| w.connection).collect();
        let mut done = Vec::new();
        let mut moved = true;
        while moved {
            moved = false;
            let mut place = 0;
            while place < self.waiting.len() {
                let Waiting { connection, command, stage } = self.waiting[place].clone();
                if !self.can_move(connection, &command, &stage) {
                    place += 1;
                    continue;
                }
                moved = true;
                let (table, id) = command.row().expect("only a statement on a row waits");
                footprint.write(|| Location::Lock(table, id));
                footprint.read(|| Location::Row(table, id));
                // While it moves it waits for nobody.
                let waiting = self.waiting.remove(place);
                match self.go_on(connection, &command, stage, footprint) {
                    Ok(reply) => done.push((connection, reply)),
                    Err(stage) => {
                        self.waiting.insert(place, Waiting { stage, ..waiting });
                        place += 1;
                    }
                }
            }
        }
        done.sort_by_key(|(connection, _)| order.iter().position(|other| other == connection));
        done
    }

    /// Whether what a statement waits for has come.
    pub(super) fn can_move(&self, on: ConnectionId, command: &DbCommand, stage: &Stage) -> bool {
        let place = command.row().expect("only a statement on a row waits");
        let sleeps = |(by, number): &(ConnectionId, u64)| is_open(&self.sessions, *by, *number);
        if stage.sleeps_on.iter().any(sleeps) {
            return false;
        }
        let Some(record) = self.records.get(&place) else { return true };
        match record.queue.iter().position(|lock| lock.by == on && !lock.granted) {
            Some(queued) => record.before(queued).next().is_none(),
            None => true,
        }
    }
}

/// Takes the tuple lock of a version, or a place in its queue; says which.
pub(super) fn queue_up(record: &mut Record, on: ConnectionId, of: u64, mode: Mode) -> bool {
    let place = match record.queue.iter().position(|lock| lock.by == on) {
        Some(place) => place,
        None => {
            record.queue.push(TupleLock { by: on, of, mode, granted: false });
            record.queue.len() - 1
        }
    };
    let free = record.before(place).next().is_none();
    record.queue[place].granted |= free;
    record.queue[place].granted
}

pub(super) fn is_open(
    sessions: &BTreeMap<ConnectionId, Session>,
    by: ConnectionId,
    number: u64,
) -> bool {
    sessions.get(&by).is_some_and(|session| session.number == number)
}

pub(super) fn mode(command: &DbCommand) -> Mode {
    match command {
        DbCommand::Select { lock: RowLock::Share, .. } => Mode::Share,
        _ => Mode::Exclusive,
    }
}
