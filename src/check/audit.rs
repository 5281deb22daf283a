//! The audit: each key of the cache against its row, after everything has come to rest.
//!
//! It asks no server. [`judge`] gets what a node said of a key ([`Content`]), the key's row, and
//! what is known of the values that rows had ([`Knowledge`]): the order of commits
//! ([`Commits`]), or, without a history, versions alone ([`Versions`]). [`Audit`] makes the
//! entries of a run. Who reads the servers, and looks again at what differs, is `run/audit.rs`
//! and, over connections of its own, a load.

use serde::{Deserialize, Serialize};

use super::States;
use super::cause::{self, Cause};
use super::exposure::Interval;
use crate::entity::envelope::Stamp;
use crate::entity::{Entity, envelope};
use crate::history::record::{History, KeyId};
use crate::operation::OpId;
use crate::step::{Item, Key, NodeId, Remaining, Row, RowId, Win};
use crate::time::Time;

/// How a key's entry compares with its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// They agree.
    Match,
    /// The cache has no entry, or only a tombstone or a lease's stub in its place, or one that
    /// whoever reads it next will load anew: it is marked stale, or readers compare it with its
    /// row.
    Absent,
    /// The entry is an older version of the row.
    Stale,
    /// The entry was never committed.
    Ahead,
    /// The entry's row was deleted.
    Ghost,
    /// The cache says that there is no row, and there is one.
    NegativeStale,
    /// The same write, other data.
    Diverged,
    /// The entry belongs to another key.
    WrongKey,
    /// The entry is not a row.
    Undecodable,
    /// The node did not answer.
    Unreachable,
}

impl Class {
    /// All classes.
    pub const ALL: [Class; 10] = [
        Class::Match,
        Class::Absent,
        Class::Stale,
        Class::Ahead,
        Class::Ghost,
        Class::NegativeStale,
        Class::Diverged,
        Class::WrongKey,
        Class::Undecodable,
        Class::Unreachable,
    ];

    /// Whether readers would be served something wrong.
    pub fn is_bad(self) -> bool {
        !matches!(self, Class::Match | Class::Absent | Class::Unreachable)
    }

    /// The lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Class::Match => "match",
            Class::Absent => "absent",
            Class::Stale => "stale",
            Class::Ahead => "ahead",
            Class::Ghost => "ghost",
            Class::NegativeStale => "negative-stale",
            Class::Diverged => "diverged",
            Class::WrongKey => "wrong-key",
            Class::Undecodable => "undecodable",
            Class::Unreachable => "unreachable",
        }
    }
}

/// One key at the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: KeyId,
    /// The row.
    pub row: RowId,
    /// The node that has the key.
    pub node: NodeId,
    /// How entry and row compare.
    pub class: Class,
    /// The writer of the cached value.
    pub cached: Option<OpId>,
    /// The writer of the row.
    pub current: Option<OpId>,
    /// Commits by which the entry is behind.
    pub behind: u64,
    /// Since when it has been wrong.
    pub since: Option<Time>,
    /// How long it will stay so by itself.
    pub remaining: Option<Remaining>,
    /// When it expired, where that was before the audit and after the workload.
    pub healed: Option<Time>,
    /// How it came to be; only for bad entries of histories with steps.
    pub cause: Option<Cause>,
}

/// What a node said when it was asked, without touching anything, what it has under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// An item.
    Item(Item),
    /// That it has none.
    Nothing,
    /// Nothing at all.
    NoAnswer,
}

/// What is known of the values that the database had.
pub trait Knowledge {
    /// By how many commits a value is behind its row; `None` when the database never had it.
    fn behind(&self, value: &Stamp, row: Option<&Row>) -> Option<u64>;
}

/// A history's knowledge: the commits of one key in their order. It tells of every value
/// whether it was ever committed, also when the row is gone.
pub struct Commits<'a> {
    /// The states of all rows.
    pub states: &'a States,
    /// The key.
    pub key: KeyId,
}

impl Knowledge for Commits<'_> {
    fn behind(&self, value: &Stamp, _: Option<&Row>) -> Option<u64> {
        let place = self.states.place(self.key, value.writer)?;
        Some((self.states.of(self.key).len() - 1 - place) as u64)
    }
}

/// What a value and its row say themselves, where nobody kept a history. A value with a version
/// above its row's, of another writer, was never committed. Of one that was cached before the
/// database gave it a version, and of every value whose row is gone, nothing is known: it is
/// taken for a committed one.
pub struct Versions;

impl Knowledge for Versions {
    fn behind(&self, value: &Stamp, row: Option<&Row>) -> Option<u64> {
        match row {
            Some(row) if row.writer != value.writer && value.version > row.version => None,
            Some(row) if value.version > 0 => Some(row.version.saturating_sub(value.version)),
            _ => Some(0),
        }
    }
}

/// What is said of a key's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// How it compares with the row.
    pub class: Class,
    /// The writer of the cached value.
    pub cached: Option<OpId>,
    /// Commits by which it is behind.
    pub behind: u64,
    /// How long it will stay by itself.
    pub remaining: Option<Remaining>,
}

/// Compares what lies under a key with the key's row.
pub fn judge(
    key: &Key,
    content: &Content,
    row: Option<&Row>,
    entity: &dyn Entity,
    known: &dyn Knowledge,
) -> Judged {
    let judged = |class| Judged { class, cached: None, behind: 0, remaining: None };
    let item = match content {
        Content::Item(item) => item,
        Content::Nothing => return judged(Class::Absent),
        Content::NoAnswer => return judged(Class::Unreachable),
    };
    let judged = |class| Judged { remaining: Some(item.remaining), ..judged(class) };
    if &item.value[..] == envelope::ABSENT {
        return judged(if row.is_some() { Class::NegativeStale } else { Class::Match });
    }
    // A stale mark means a miss for the next reader, unless somebody has won it already.
    let marked_stale = item.stale && item.win != Win::Lost;
    if marked_stale || envelope::is_mark(&item.value) {
        return judged(Class::Absent);
    }
    let Some(opened) = envelope::open(&item.value) else {
        return judged(Class::Undecodable);
    };
    let writer = opened.stamp.writer;
    let behind = known.behind(&opened.stamp, row);
    let class = match row {
        _ if opened.key != key.as_bytes() => Class::WrongKey,
        _ if behind.is_none() => Class::Ahead,
        None => Class::Ghost,
        Some(row) if row.writer != writer => Class::Stale,
        Some(row) => match entity.decode(opened.payload) {
            None => Class::Undecodable,
            Some(columns) if columns == row.columns => Class::Match,
            Some(_) => Class::Diverged,
        },
    };
    Judged { cached: Some(writer), behind: behind.unwrap_or(0), ..judged(class) }
}

/// The row with this id; `rows` are in the order of their ids, as a database gives them.
pub fn row_of(rows: &[Row], id: RowId) -> Option<&Row> {
    rows.binary_search_by_key(&id, |row| row.id).ok().map(|place| &rows[place])
}

/// What was read of a row's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The key.
    pub key: KeyId,
    /// The row.
    pub row: RowId,
    /// The node that has the key.
    pub node: NodeId,
    /// What it said.
    pub content: Content,
}

/// The audit of a run whose history is known.
pub struct Audit<'a> {
    /// What happened.
    pub history: &'a History,
    /// The states that the rows went through.
    pub states: &'a States,
    /// The rows' keys and encoding.
    pub entity: &'a dyn Entity,
}

impl Audit<'_> {
    /// Compares what was read with the row.
    pub fn entry(&self, read: &Read, rows: &[Row]) -> Entry {
        let name = self.history.keys.name(read.key);
        let row = row_of(rows, read.row);
        let known = Commits { states: self.states, key: read.key };
        let Judged { class, cached, behind, remaining } =
            judge(name, &read.content, row, self.entity, &known);
        Entry {
            key: read.key,
            row: read.row,
            node: read.node,
            class,
            cached,
            current: row.map(|row| row.writer),
            behind,
            since: None,
            remaining,
            healed: None,
            cause: None,
        }
    }

    /// An entry that has expired since, as long as it was wrong.
    pub(super) fn as_it_was(&self, found: &Entry, interval: &Interval) -> Entry {
        let of_key = self.states.of(interval.key);
        let absent = of_key.last().is_some_and(|state| state.absent);
        let place = interval.value.and_then(|writer| self.states.place(interval.key, writer));
        let class = match (interval.value, place) {
            (None, _) => Class::NegativeStale,
            (Some(_), None) => Class::Ahead,
            (Some(_), Some(_)) if absent => Class::Ghost,
            (Some(_), Some(_)) => Class::Stale,
        };
        Entry {
            class,
            cached: interval.value,
            behind: place.map_or(0, |place| (of_key.len() - 1 - place) as u64),
            remaining: Some(Remaining::Seconds(0)),
            healed: interval.until,
            ..found.clone()
        }
    }

    /// Adds what the history says of an entry that was looked at for the last time: readers may
    /// validate it, so that it does no harm, and there may be a cause.
    pub fn explain(&self, entry: &mut Entry) {
        if matches!(entry.class, Class::Stale | Class::Ghost) && self.history.readers_validate {
            entry.class = Class::Absent;
        }
        if entry.class.is_bad() && self.history.steps_kept {
            entry.cause =
                cause::find(self.history, self.states, entry.key, entry.class, entry.cached);
            entry.since = entry.cause.as_ref().map(|cause| cause.since);
        }
    }
}
