//! A read replica with lag: the log of commits, read at a position in the past.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::world::World;
use crate::step::{Command, DbCommand, Row, RowId, RowLock, Table};
use crate::time::Time;

/// What a row was, from when on; what was there before the start has no time.
type Log = Vec<(Option<Time>, Option<Row>)>;

/// The time so long ago; `None` when that was before the start.
fn past(now: Time, lag: Duration) -> Option<Time> {
    now.0.checked_sub(lag.as_nanos() as u64).map(Time)
}

/// Every version of every row of the first table, with the time of its commit.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Replica {
    rows: FxHashMap<RowId, Log>,
    /// How many of its row's last commits the next read lacks, where that does not follow from
    /// the time.
    hidden: Option<usize>,
}

impl Replica {
    pub fn load(&mut self, row: &Row) {
        self.rows.insert(row.id, vec![(None, Some(row.clone()))]);
    }

    pub fn commit(&mut self, at: Time, id: RowId, row: Option<Row>) {
        self.rows.entry(id).or_default().push((Some(at), row));
    }

    /// The next read lacks so many of its row's commits, whatever the time.
    pub fn hide(&mut self, commits: usize) {
        self.hidden = Some(commits);
    }

    /// Forgets what a row was before its last commits.
    pub fn keep(&mut self, row: RowId, commits: usize) {
        if let Some(log) = self.rows.get_mut(&row) {
            log.drain(..log.len().saturating_sub(commits + 1));
        }
    }

    /// The row as it was at a point in time, or before the start; or else without the commits that
    /// are hidden.
    pub fn row_at(&self, id: RowId, at: Option<Time>) -> Option<Row> {
        let log = self.rows.get(&id)?;
        if let Some(hidden) = self.hidden {
            let place = log.len().checked_sub(hidden + 1)?;
            return log[place].1.clone();
        }
        let later = log.partition_point(|(committed, _)| *committed <= at);
        log[..later].last().and_then(|(_, row)| row.clone())
    }

    /// Feeds what reads of the replica can still see to a hasher: each row as it is there, and
    /// the commits on their way with the time that they still take.
    pub fn fingerprint(&self, now: Time, lag: Duration, into: &mut impl Hasher) {
        let visible = past(now, lag);
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_unstable_by_key(|(id, _)| **id);
        self.hidden.hash(into);
        if self.hidden.is_some() {
            for (id, log) in rows {
                id.hash(into);
                log.iter().for_each(|(_, row)| row.hash(into));
            }
            return;
        }
        for (id, log) in rows {
            let later = log.partition_point(|(committed, _)| *committed <= visible);
            id.hash(into);
            log[..later].last().map(|(_, row)| row).hash(into);
            for (at, row) in &log[later..] {
                // Rounded as all times of exploration are.
                let since = at.unwrap_or_default().0 - visible.unwrap_or_default().0;
                (since / 1_000, row).hash(into);
            }
        }
    }
}

impl World<'_> {
    /// The row as the lagging replica has it, when the step is one that reads it.
    pub(super) fn read_replica(&self, flight: usize) -> Option<Option<Row>> {
        let id = self.reads_replica(flight)?;
        let (replica, lag) =
            (self.state.followers.replica.as_ref()?, self.fixed.rules.replica_lag?);
        Some(replica.row_at(id, past(self.state.now, lag)))
    }

    /// The row that a step reads on the lagging replica.
    pub(super) fn reads_replica(&self, flight: usize) -> Option<RowId> {
        self.state.followers.replica.as_ref()?;
        let state = self.flight(flight);
        let in_transaction = self.state.network.connection(state.connection).in_transaction;
        match state.command {
            Command::Database(DbCommand::Select { table: Table(0), id, lock: RowLock::None })
                if !in_transaction =>
            {
                Some(id)
            }
            _ => None,
        }
    }
}
