//! The model's state as exploration compares it: what any later reply can depend on.

use std::hash::{Hash, Hasher};

use super::locks::{Mode, Record, is_open};
use super::{Postgres, Session, Waiting};
use crate::backend::transaction::Open;
use crate::step::ConnectionId;

impl Postgres {
    /// Feeds the state to a hasher, with names for the connections: all that later replies can
    /// depend on, commits and transactions relative to one another.
    pub fn fingerprint_as(&self, name: impl Fn(ConnectionId) -> u64, into: &mut impl Hasher) {
        let Postgres {
            // The same for a whole search.
            isolation: _,
            records,
            sessions,
            waiting,
            // Only which of two commits, or transactions, came later counts.
            commits: _,
            transactions: _,
        } = self;
        for (place, record) in records {
            let Record {
                // What snapshots see of the older ones is in their sessions' names.
                committed: _,
                written,
                holders,
                queue,
            } = record;
            let latest = record.latest();
            (place, latest.map(|stored| (stored.version, &stored.row))).hash(into);
            let written = written.as_ref();
            written.map(|(by, stored)| (name(*by), stored.version, &stored.row)).hash(into);
            let mut holders: Vec<(u64, Mode)> =
                holders.iter().map(|(by, mode)| (name(*by), *mode)).collect();
            holders.sort_unstable_by_key(|(by, _)| *by);
            holders.hash(into);
            let newest = latest.map(|stored| stored.sequence);
            queue.len().hash(into);
            for lock in queue {
                let current = Some(lock.of) == newest;
                (name(lock.by), current, lock.mode, lock.granted).hash(into);
            }
        }
        // A session outside a transaction, without a waiting statement, is as good as none.
        let mut open: Vec<(u64, &Session)> =
            sessions.iter().map(|(by, session)| (name(*by), session)).collect();
        open.retain(|(_, session)| session.open != Open::No);
        open.sort_unstable_by_key(|(by, _)| *by);
        open.len().hash(into);
        for (by, session) in open {
            let Session {
                open,
                // Who waits for a transaction names its connection.
                number: _,
                repeatable,
                snapshot,
                // Each record has its holders.
                locked: _,
            } = session;
            (by, open, repeatable).hash(into);
            self.fingerprint_snapshot(*snapshot, into);
        }
        for Waiting { connection, command, stage } in waiting {
            let record = command.row().and_then(|place| self.records.get(&place));
            let newest = record.and_then(Record::latest).map(|stored| stored.sequence);
            let current = stage.of.map(|of| Some(of) == newest);
            let snapshot = self.sessions.get(connection).and_then(|session| session.snapshot);
            // A repeatable-read insert fails on a row that is newer than its snapshot.
            snapshot.map(|snapshot| newest.is_some_and(|newest| newest > snapshot)).hash(into);
            (name(*connection), command, current, stage.newer).hash(into);
            let alive = stage.sleeps_on.iter().filter(|(by, n)| is_open(&self.sessions, *by, *n));
            let mut alive: Vec<u64> = alive.map(|(by, _)| name(*by)).collect();
            alive.sort_unstable();
            alive.hash(into);
        }
    }

    fn fingerprint_snapshot(&self, snapshot: Option<u64>, into: &mut impl Hasher) {
        let Some(snapshot) = snapshot else { return 0_u8.hash(into) };
        1_u8.hash(into);
        for (place, record) in &self.records {
            let latest = record.latest().map_or(0, |stored| stored.sequence);
            if latest > snapshot {
                let seen = record.committed.iter().rev();
                let seen = seen.map(|s| (s.sequence, s)).find(|(of, _)| *of <= snapshot);
                (place, seen.map(|(_, stored)| (stored.version, &stored.row))).hash(into);
            }
        }
    }
}
