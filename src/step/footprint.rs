//! What the execution of a step read and wrote: the basis of independence in exploration.

use super::{Key, NodeId, RowId, Table};
use crate::operation::ProcessId;

/// Something that steps may share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Location {
    /// One item of one node.
    Item(NodeId, Key),
    /// All of a node: limits, flushes, restarts.
    Node(NodeId),
    /// The counter from which a node draws CAS ids, where their numbers matter.
    CasIds(NodeId),
    /// One row.
    Row(Table, RowId),
    /// All rows of a table.
    Table(Table),
    /// The order of commits, on which snapshots depend.
    CommitClock,
    /// One row lock, or a lock on the whole database where it has only one.
    Lock(Table, RowId),
    /// The lock of a whole database.
    DatabaseLock,
    /// One cell or queue of a process.
    Cell(ProcessId, Key),
    /// The clock.
    Clock,
    /// A fault rule that counts its matches.
    FaultRule(u32),
}

/// How a location was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Its state was looked at.
    Read,
    /// Its state was, or may have been, changed.
    Write,
    /// It was counted up, or something was added to it, so that two of these may be
    /// exchanged: two commits of different rows, which both conflict with a snapshot.
    Add,
}

impl Access {
    /// Whether the two, at one location, may not be exchanged.
    fn conflicts(self, other: Access) -> bool {
        self != other || self == Access::Write
    }
}

/// Collects accesses while a step executes; switched off it costs a branch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    entries: Vec<(Location, Access)>,
    collecting: bool,
}

impl Footprint {
    /// A footprint that ignores what it is told.
    pub fn off() -> Footprint {
        Footprint::default()
    }

    /// A footprint that collects.
    pub fn on() -> Footprint {
        Footprint { entries: Vec::new(), collecting: true }
    }

    /// Whether it collects.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.collecting
    }

    /// Notes a read; the closure runs only when collecting.
    #[inline]
    pub fn read(&mut self, location: impl FnOnce() -> Location) {
        if self.collecting {
            self.entries.push((location(), Access::Read));
        }
    }

    /// Notes a write; the closure runs only when collecting.
    #[inline]
    pub fn write(&mut self, location: impl FnOnce() -> Location) {
        if self.collecting {
            self.entries.push((location(), Access::Write));
        }
    }

    /// Notes an addition; the closure runs only when collecting.
    #[inline]
    pub fn add(&mut self, location: impl FnOnce() -> Location) {
        if self.collecting {
            self.entries.push((location(), Access::Add));
        }
    }

    /// Adds an access.
    pub fn note(&mut self, location: Location, access: Access) {
        self.entries.push((location, access));
    }

    /// Adds another's accesses.
    pub fn append(&mut self, other: &Footprint) {
        self.entries.extend_from_slice(&other.entries);
    }

    /// The accesses so far.
    pub fn entries(&self) -> &[(Location, Access)] {
        &self.entries
    }

    /// Forgets the accesses, keeps the mode.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Whether two steps may be exchanged: neither's writes meet the other's accesses.
    pub fn independent_of(&self, other: &Footprint) -> bool {
        !self.entries.iter().any(|(a, how_a)| {
            other.entries.iter().any(|(b, how_b)| how_a.conflicts(*how_b) && overlap(a, b))
        })
    }
}

/// Whether two locations can be the same or contain one another.
fn overlap(a: &Location, b: &Location) -> bool {
    match (a, b) {
        (Location::Item(x, _), Location::Node(y)) | (Location::Node(y), Location::Item(x, _)) => {
            x == y
        }
        (Location::CasIds(x), Location::Node(y)) | (Location::Node(y), Location::CasIds(x)) => {
            x == y
        }
        (Location::Row(x, _), Location::Table(y)) | (Location::Table(y), Location::Row(x, _)) => {
            x == y
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footprint(entries: &[(Location, Access)]) -> Footprint {
        Footprint { entries: entries.to_vec(), collecting: true }
    }

    #[test]
    fn reads_commute_and_writes_do_not() {
        let item = || Location::Item(NodeId(0), Key::from("a"));
        let read = footprint(&[(item(), Access::Read)]);
        let write = footprint(&[(item(), Access::Write)]);
        let node = footprint(&[(Location::Node(NodeId(0)), Access::Write)]);
        let other = footprint(&[(Location::Item(NodeId(1), Key::from("a")), Access::Write)]);
        assert!(read.independent_of(&read));
        assert!(!read.independent_of(&write));
        assert!(!read.independent_of(&node));
        assert!(node.independent_of(&other) && other.independent_of(&write));
    }

    #[test]
    fn additions_commute_with_one_another_alone() {
        let clock = |how| footprint(&[(Location::CommitClock, how)]);
        let commit = clock(Access::Add);
        assert!(commit.independent_of(&commit));
        assert!(!commit.independent_of(&clock(Access::Read)));
        assert!(!clock(Access::Write).independent_of(&commit));
    }
}
