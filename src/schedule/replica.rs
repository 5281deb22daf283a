//! A read replica with lag: the log of commits, read at a position in the past.

use rustc_hash::FxHashMap;

use crate::step::{Row, RowId};
use crate::time::Time;

/// What a row was, from when on.
type Log = Vec<(Time, Option<Row>)>;

/// Every version of every row of the first table, with the time of its commit.
#[derive(Debug, Default)]
pub(crate) struct Replica {
    rows: FxHashMap<RowId, Log>,
}

impl Replica {
    pub fn load(&mut self, row: &Row) {
        self.rows.insert(row.id, vec![(Time::ZERO, Some(row.clone()))]);
    }

    pub fn commit(&mut self, at: Time, id: RowId, row: Option<Row>) {
        self.rows.entry(id).or_default().push((at, row));
    }

    /// The row as it was at a point in time.
    pub fn row_at(&self, id: RowId, at: Time) -> Option<Row> {
        let log = self.rows.get(&id)?;
        let later = log.partition_point(|(committed, _)| *committed <= at);
        log[..later].last().and_then(|(_, row)| row.clone())
    }
}
