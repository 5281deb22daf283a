//! A read replica with lag: the log of commits, read at a position in the past.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::step::{Row, RowId};
use crate::time::Time;

/// What a row was, from when on.
type Log = Vec<(Time, Option<Row>)>;

/// Every version of every row of the first table, with the time of its commit.
#[derive(Clone, Debug, Default, PartialEq)]
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

    /// When the next commit becomes visible on a replica that is so far behind.
    pub fn next_visible(&self, now: Time, lag: Duration) -> Option<Time> {
        let all = self.rows.values().flatten().map(|(at, _)| *at + lag);
        all.filter(|at| *at > now).min()
    }

    /// Feeds what reads of the replica can still see to a hasher: each row as it is there, and
    /// the commits on their way with the time that they still take.
    pub fn fingerprint(&self, now: Time, lag: Duration, into: &mut impl Hasher) {
        let visible = Time(now.0.saturating_sub(lag.as_nanos() as u64));
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_unstable_by_key(|(id, _)| **id);
        for (id, log) in rows {
            let later = log.partition_point(|(committed, _)| *committed <= visible);
            id.hash(into);
            log[..later].last().map(|(_, row)| row).hash(into);
            for (at, row) in &log[later..] {
                // Rounded as all times of exploration are.
                ((at.0 - visible.0) / 1_000, row).hash(into);
            }
        }
    }
}
