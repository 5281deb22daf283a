//! The model's state as exploration compares it: what any later reply can depend on.

use std::hash::{Hash, Hasher};

use super::{Model, Place, Stored, Transaction};
use crate::step::ConnectionId;

impl Model {
    /// Feeds the state to a hasher, connections by their own numbers.
    ///
    /// Two models with equal fingerprints answer every further sequence of statements alike.
    /// Commits are not counted: of a transaction's snapshot there is whether a commit has
    /// passed it, and the rows that it sees otherwise than they are now.
    pub fn fingerprint(&self, into: &mut impl Hasher) {
        self.fingerprint_as(|connection| u64::from(connection.0), into);
    }

    /// The same with other names for the connections, so that runs that opened theirs in
    /// another order can be compared. Different connections need different names.
    pub fn fingerprint_as(&self, name: impl Fn(ConnectionId) -> u64, into: &mut impl Hasher) {
        let Model {
            latest,
            // What snapshots see of it is in their transactions' names.
            replaced: _,
            // Only which of two commits was later counts.
            sequence: _,
            connections,
            // A count of the transactions that have one.
            snapshots: _,
            writer,
            waiting,
        } = self;
        let mut rows: Vec<(&Place, &Stored)> = latest.iter().collect();
        rows.sort_unstable_by_key(|(place, _)| **place);
        rows.len().hash(into);
        for (place, stored) in rows {
            (place, stored.version, &stored.row).hash(into);
        }
        writer.map(&name).hash(into);
        let mut open: Vec<(u64, &Transaction)> =
            connections.iter().map(|(connection, open)| (name(*connection), open)).collect();
        open.sort_unstable_by_key(|(name, _)| *name);
        open.len().hash(into);
        for (name, transaction) in open {
            name.hash(into);
            self.fingerprint_transaction(transaction, into);
        }
        waiting.len().hash(into);
        for (connection, command) in waiting {
            (name(*connection), command).hash(into);
        }
    }

    fn fingerprint_transaction(&self, transaction: &Transaction, into: &mut impl Hasher) {
        let Transaction { snapshot, writes } = transaction;
        let stale = snapshot.map(|snapshot| snapshot < self.sequence);
        stale.hash(into);
        if let Some(snapshot) = *snapshot
            && stale == Some(true)
        {
            let since = |(_, stored): &(&Place, &Stored)| stored.sequence > snapshot;
            let mut changed: Vec<_> = self.latest.iter().filter(since).collect();
            changed.sort_unstable_by_key(|(place, _)| **place);
            changed.len().hash(into);
            for (place, _) in changed {
                let seen = self.committed(snapshot, *place);
                (place, seen.map(|stored| (stored.version, &stored.row))).hash(into);
            }
        }
        writes.len().hash(into);
        for (place, stored) in writes {
            (place, stored.version, &stored.row).hash(into);
        }
    }
}
