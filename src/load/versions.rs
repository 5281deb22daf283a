//! When each version of each row was committed, as far as anybody has been told.
//!
//! A commit took place between the sending of its last statement and the reply to it. A read
//! that began after the reply to a commit, and returned an older version, is stale for certain;
//! its staleness is an interval, from the reply to the read's beginning at least, and from the
//! statement's sending at most.
//!
//! Of old commits ever fewer are kept: the last [`KEPT`] of the odd versions, of those divisible
//! by 2 and not by 4, by 4 and not by 8, and so on. So memory does not grow with time, recent
//! commits are exact, and an old one lies between two that are kept, an eighth of its age apart.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Commits kept of each level.
const KEPT: usize = 8;
/// Levels: by how many powers of two a version can be divided.
const LEVELS: usize = 32;

/// The commits of all rows.
#[derive(Debug)]
pub(super) struct Versions {
    /// Of each row, the latest version whose commit was answered. Every read looks here, so they
    /// stand close together.
    latest: Vec<AtomicU64>,
    /// Of rows that were written.
    rows: Vec<OnceLock<Box<Row>>>,
}

#[derive(Debug, Default)]
struct Row {
    levels: [OnceLock<Box<[Commit; KEPT]>>; LEVELS],
}

/// Written by the one client that committed the version, read by all; `version` is written last
/// and looked at before and after.
#[derive(Debug, Default)]
struct Commit {
    version: AtomicU64,
    sent: AtomicU64,
    answered: AtomicU64,
}

/// How stale a value was when the read that returned it began, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Age {
    pub least: u64,
    pub most: u64,
}

/// The level of a version, and its place there.
fn place(version: u64) -> (usize, usize) {
    let level = (version.trailing_zeros() as usize).min(LEVELS - 1);
    (level, (version >> (level + 1)) as usize % KEPT)
}

impl Commit {
    fn write(&self, version: u64, sent: u64, answered: u64) {
        if self.version.load(Ordering::Acquire) < version {
            self.version.store(0, Ordering::Release);
            self.sent.store(sent, Ordering::Release);
            self.answered.store(answered, Ordering::Release);
            self.version.store(version, Ordering::Release);
        }
    }

    /// Version, sent, answered; `None` while it is written.
    fn read(&self) -> Option<(u64, u64, u64)> {
        let before = self.version.load(Ordering::Acquire);
        let (sent, answered) =
            (self.sent.load(Ordering::Acquire), self.answered.load(Ordering::Acquire));
        (before > 0 && self.version.load(Ordering::Acquire) == before)
            .then_some((before, sent, answered))
    }
}

impl Versions {
    /// So many rows, each in its first version.
    pub fn new(rows: usize) -> Versions {
        Versions {
            latest: (0..rows).map(|_| AtomicU64::new(1)).collect(),
            rows: (0..rows).map(|_| OnceLock::new()).collect(),
        }
    }

    /// The latest version of a row whose commit was answered; `None` for rows that did not
    /// exist at the start, which are not followed.
    pub fn latest(&self, row: u64) -> Option<u64> {
        Some(self.latest.get(row as usize)?.load(Ordering::Acquire))
    }

    /// A commit was answered.
    pub fn commit(&self, row: u64, version: u64, sent: u64, answered: u64) {
        let row = row as usize;
        let Some(latest) = self.latest.get(row) else { return };
        let (level, slot) = place(version);
        let levels = &self.rows[row].get_or_init(Box::default).levels;
        levels[level].get_or_init(Box::default)[slot].write(version, sent, answered);
        latest.fetch_max(version, Ordering::AcqRel);
    }

    /// How stale this version was at this time; `None` when nothing has superseded it.
    pub fn age(&self, row: u64, version: u64, at: u64) -> Option<Age> {
        let row = self.rows.get(row as usize)?.get()?;
        let next = version + 1;
        let (level, slot) = place(next);
        let exact = row.levels[level].get().and_then(|level| level[slot].read());
        let (sent, answered) = match exact {
            Some((kept, sent, answered)) if kept == next => (sent, answered),
            _ => row.around(next)?,
        };
        Some(Age { least: at.saturating_sub(answered), most: at.saturating_sub(sent) })
    }
}

impl Row {
    /// For a commit that is forgotten: when the last kept one before it was sent, and the first
    /// kept one after it answered.
    fn around(&self, version: u64) -> Option<(u64, u64)> {
        let (mut before, mut after) = ((1, 0), None);
        let kept = self.levels.iter().filter_map(OnceLock::get).flat_map(|level| level.iter());
        for (at, sent, answered) in kept.filter_map(Commit::read) {
            if at <= version && at > before.0 {
                before = (at, sent);
            }
            if at >= version && after.is_none_or(|(known, _)| at < known) {
                after = Some((at, answered));
            }
        }
        after.map(|(_, answered)| (before.1, answered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_the_interval_since_the_commit() {
        let versions = Versions::new(1);
        versions.commit(0, 2, 100, 140);
        versions.commit(0, 3, 200, 250);
        assert_eq!(versions.latest(0), Some(3));
        assert_eq!(versions.age(0, 1, 1_000), Some(Age { least: 860, most: 900 }));
        assert_eq!(versions.age(0, 2, 1_000), Some(Age { least: 750, most: 800 }));
        assert_eq!(versions.age(0, 3, 1_000), None);
        assert_eq!(versions.latest(7), None);
    }

    #[test]
    fn old_commits_are_known_within_an_eighth_of_their_age() {
        let versions = Versions::new(1);
        let last = 100_000;
        for version in 2..=last {
            versions.commit(0, version, version * 10, version * 10 + 5);
        }
        assert_eq!(versions.latest(0), Some(last));
        let now = last * 10 + 5;
        for version in 1..last {
            let age = versions.age(0, version, now).unwrap();
            let truth = now - (version + 1) * 10;
            assert!(age.least <= truth && truth <= age.most, "version {version}: {age:?}");
            assert!(age.most - age.least <= 5 + truth / 4, "version {version}: {age:?}");
        }
        let exact = Age { least: 150, most: 155 };
        assert_eq!(versions.age(0, last - 16, now), Some(exact));
    }
}
