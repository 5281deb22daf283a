//! What became of items, as `stats` counts it. No reply to another command depends on it.

use super::entry::{Entry, NEVER};

/// Counts since the start, or since they were reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// A command met an item that had expired.
    pub get_expired: u64,
    /// A command met an item that had been flushed.
    pub get_flushed: u64,
    /// Room was made by removing an item that was gone already.
    pub reclaimed: u64,
    /// Of these, those that had never been fetched.
    pub expired_unfetched: u64,
    /// Evicted without ever having been fetched.
    pub evicted_unfetched: u64,
    /// Evicted though fetched at least twice.
    pub evicted_active: u64,
    /// Evicted though it had an expiry.
    pub evicted_nonzero: u64,
}

impl Tally {
    /// A command met an item that is gone.
    pub(super) fn met(&mut self, flushed: bool) {
        if flushed {
            self.get_flushed += 1;
        } else {
            self.get_expired += 1;
        }
    }

    /// A live item made room for another.
    pub(super) fn evicted(&mut self, entry: &Entry) {
        self.evicted_unfetched += u64::from(!entry.fetched);
        self.evicted_active += u64::from(entry.active);
        self.evicted_nonzero += u64::from(entry.expires != NEVER);
    }

    /// An item that was gone made room for another.
    pub(super) fn reclaimed(&mut self, entry: &Entry) {
        self.reclaimed += 1;
        self.expired_unfetched += u64::from(!entry.fetched);
    }
}
