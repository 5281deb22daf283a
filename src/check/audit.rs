//! The audit: each key of the cache against its row, after everything has come to rest.
//!
//! The cache is read without touching or bumping items, and a mismatch is looked at again
//! before it counts, as Meta's Polaris does: on a real server an expiry or a straggling
//! write may fall between the two reads.

use serde::{Deserialize, Serialize};

use super::States;
use super::cause::{self, Cause};
use crate::backend::{BackendError, Cache, Database, Origin};
use crate::entity::{Entity, envelope};
use crate::history::record::{History, KeyId};
use crate::operation::OpId;
use crate::step::{
    CacheCommand, CacheReply, ConnectionId, Footprint, Item, MetaGet, NodeId, Remaining, Row,
    RowId, Table, Win,
};
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
    /// How it came to be; only for bad entries of histories with steps.
    pub cause: Option<Cause>,
}

/// What the audit compares.
pub struct Subject<'a> {
    /// The cache.
    pub cache: &'a mut dyn Cache,
    /// The database.
    pub database: &'a mut dyn Database,
    /// The rows' keys and encoding.
    pub entity: &'a dyn Entity,
    /// Which node has a key.
    pub node_of: &'a dyn Fn(&crate::step::Key) -> NodeId,
}

/// Compares every row that ever existed with its entry.
pub fn audit(
    history: &History,
    states: &States,
    subject: &mut Subject<'_>,
) -> Result<Vec<Entry>, BackendError> {
    let mut rows = subject.database.rows(Table(0))?;
    let mut entries = Vec::new();
    for (number, row) in history.rows.iter().enumerate() {
        let Some(row) = row else { continue };
        let key = KeyId(number as u32);
        let mut entry = examine(history, states, subject, &rows, key, *row);
        if entry.class.is_bad() {
            rows = subject.database.rows(Table(0))?;
            entry = examine(history, states, subject, &rows, key, *row);
        }
        if matches!(entry.class, Class::Stale | Class::Ghost) && history.readers_validate {
            entry.class = Class::Absent;
        }
        if entry.class.is_bad() && history.steps_kept {
            entry.cause = cause::find(history, states, key, entry.class, entry.cached);
            entry.since = entry.cause.as_ref().map(|cause| cause.since);
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn examine(
    history: &History,
    states: &States,
    subject: &mut Subject<'_>,
    rows: &[Row],
    key: KeyId,
    id: RowId,
) -> Entry {
    let name = history.keys.name(key);
    let node = (subject.node_of)(name);
    let row = rows.binary_search_by_key(&id, |row| row.id).ok().map(|place| &rows[place]);
    let peek = CacheCommand::MetaGet(MetaGet {
        key: name.clone(),
        vivify: None,
        recache: None,
        touch: None,
        peek: true,
    });
    let reply = subject.cache.execute(
        history.phases.audit,
        node,
        ConnectionId(u32::MAX),
        Origin::default(),
        &peek,
        &mut Footprint::off(),
    );
    let mut entry = Entry {
        key,
        row: id,
        node,
        class: Class::Unreachable,
        cached: None,
        current: row.map(|row| row.writer),
        behind: 0,
        since: None,
        remaining: None,
        cause: None,
    };
    match reply {
        Ok(CacheReply::Found(item)) => {
            entry.remaining = Some(item.remaining);
            compare(&mut entry, states, subject.entity, name.as_bytes(), &item, row);
        }
        Ok(_) => entry.class = Class::Absent,
        Err(_) => {}
    }
    entry
}

fn compare(
    entry: &mut Entry,
    states: &States,
    entity: &dyn Entity,
    key: &[u8],
    item: &Item,
    row: Option<&Row>,
) {
    if &item.value[..] == envelope::ABSENT {
        entry.class = if row.is_some() { Class::NegativeStale } else { Class::Match };
        return;
    }
    // A stale mark means a miss for the next reader, unless somebody has won it already.
    let marked_stale = item.stale && item.win != Win::Lost;
    if marked_stale || envelope::is_mark(&item.value) {
        entry.class = Class::Absent;
        return;
    }
    let Some(opened) = envelope::open(&item.value) else {
        entry.class = Class::Undecodable;
        return;
    };
    let writer = opened.stamp.writer;
    entry.cached = Some(writer);
    let committed = states.place(entry.key, writer);
    if let Some(place) = committed {
        entry.behind = (states.of(entry.key).len() - 1 - place) as u64;
    }
    entry.class = match row {
        _ if opened.key != key => Class::WrongKey,
        _ if committed.is_none() => Class::Ahead,
        None => Class::Ghost,
        Some(row) if row.writer != writer => Class::Stale,
        Some(row) => match entity.decode(opened.payload) {
            None => Class::Undecodable,
            Some(columns) if columns == row.columns => Class::Match,
            Some(_) => Class::Diverged,
        },
    };
}
