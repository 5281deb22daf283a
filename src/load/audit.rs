//! Every row against its entry, after the load: without touching an item, and a mismatch is
//! looked at again before it counts.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backend::{BackendError, Database};
use crate::check::audit::Class;
use crate::entity::{Entity, envelope};
use crate::step::{
    Answer, CacheCommand, CacheReply, Item, Key, MetaGet, NodeId, Remaining, Row, RowId, Table, Win,
};

use super::link::CacheLink;

/// Entries by class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// Rows compared.
    pub rows: u64,
    /// Entries that agree with their rows.
    pub matching: u64,
    /// Rows without an entry.
    pub absent: u64,
    /// Entries that are older versions.
    pub stale: u64,
    /// Entries that the database never had.
    pub ahead: u64,
    /// Entries of deleted rows.
    pub ghost: u64,
    /// Entries that say that there is no row, and there is one.
    pub negative_stale: u64,
    /// Entries of the right version with other data.
    pub diverged: u64,
    /// Entries that are another key's value.
    pub wrong_key: u64,
    /// Entries that are not rows.
    pub undecodable: u64,
    /// Entries that could not be asked for.
    pub unreachable: u64,
    /// Bad entries that never expire.
    pub permanent: u64,
    /// The most versions that an entry is behind.
    pub versions_behind: u64,
    /// Mismatches that were gone when they were looked at again.
    pub transient: u64,
}

impl Entries {
    /// Entries that would serve readers something wrong.
    pub fn bad(&self) -> u64 {
        self.stale
            + self.ahead
            + self.ghost
            + self.negative_stale
            + self.diverged
            + self.wrong_key
            + self.undecodable
    }

    fn count(&mut self, class: Class) {
        let counter = match class {
            Class::Match => &mut self.matching,
            Class::Absent => &mut self.absent,
            Class::Stale => &mut self.stale,
            Class::Ahead => &mut self.ahead,
            Class::Ghost => &mut self.ghost,
            Class::NegativeStale => &mut self.negative_stale,
            Class::Diverged => &mut self.diverged,
            Class::WrongKey => &mut self.wrong_key,
            Class::Undecodable => &mut self.undecodable,
            Class::Unreachable => &mut self.unreachable,
        };
        *counter += 1;
    }
}

/// What is compared.
pub(super) struct Subject<'a> {
    pub database: &'a mut dyn Database,
    pub entity: &'a dyn Entity,
    pub nodes: &'a [SocketAddr],
    pub node_of: &'a dyn Fn(&Key) -> NodeId,
    /// The rows that existed at the start.
    pub initial: Vec<RowId>,
}

/// What a straggler may take to arrive.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// A node that does not answer for so long is unreachable.
const PATIENCE: Duration = Duration::from_secs(2);

/// Compares all rows that exist or existed at the start.
pub(super) fn audit(subject: &mut Subject<'_>) -> Result<Entries, BackendError> {
    let mut links: Vec<CacheLink> =
        subject.nodes.iter().map(|node| CacheLink::new(*node, PATIENCE)).collect();
    let rows = subject.database.rows(Table(0))?;
    let mut ids: Vec<RowId> =
        rows.iter().map(|row| row.id).chain(subject.initial.iter().copied()).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut entries = Entries { rows: ids.len() as u64, ..Entries::default() };
    let mut again = Vec::new();
    for id in ids {
        match examine(subject, &mut links, &rows, id) {
            (class, ..) if class.is_bad() || class == Class::Unreachable => again.push(id),
            (class, ..) => entries.count(class),
        }
    }
    if again.is_empty() {
        return Ok(entries);
    }
    std::thread::sleep(LOOK_AGAIN);
    let rows = subject.database.rows(Table(0))?;
    for id in again {
        let (class, behind, remaining) = examine(subject, &mut links, &rows, id);
        entries.count(class);
        match class.is_bad() {
            true => {
                entries.permanent += u64::from(remaining == Some(Remaining::Never));
                entries.versions_behind = entries.versions_behind.max(behind);
            }
            false => entries.transient += u64::from(class != Class::Unreachable),
        }
    }
    Ok(entries)
}

fn examine(
    subject: &Subject<'_>,
    links: &mut [CacheLink],
    rows: &[Row],
    id: RowId,
) -> (Class, u64, Option<Remaining>) {
    let key = subject.entity.key(Table(0), id);
    let row = rows.binary_search_by_key(&id, |row| row.id).ok().map(|place| &rows[place]);
    let node = (subject.node_of)(&key);
    let peek = CacheCommand::MetaGet(MetaGet {
        key: key.clone(),
        vivify: None,
        recache: None,
        touch: None,
        peek: true,
    });
    match links[usize::from(node.0)].execute(&peek) {
        Answer::Cache(CacheReply::Found(item)) => {
            let (class, behind) = compare(subject.entity, key.as_bytes(), &item, row);
            (class, behind, Some(item.remaining))
        }
        Answer::Cache(CacheReply::Miss) => (Class::Absent, 0, None),
        _ => (Class::Unreachable, 0, None),
    }
}

/// The class of an entry and how many versions it is behind. Without a history a value is known
/// by its version; one that was cached before the database gave it a version is known by its
/// writer, and counts as stale when the row has another.
fn compare(entity: &dyn Entity, key: &[u8], item: &Item, row: Option<&Row>) -> (Class, u64) {
    if &item.value[..] == envelope::ABSENT {
        return (if row.is_some() { Class::NegativeStale } else { Class::Match }, 0);
    }
    let marked_stale = item.stale && item.win != Win::Lost;
    if marked_stale || envelope::is_mark(&item.value) {
        return (Class::Absent, 0);
    }
    let Some(opened) = envelope::open(&item.value) else { return (Class::Undecodable, 0) };
    let stamp = opened.stamp;
    let class = match row {
        _ if opened.key != key => Class::WrongKey,
        None => Class::Ghost,
        Some(row) if row.writer != stamp.writer && stamp.version > row.version => Class::Ahead,
        Some(row) if row.writer != stamp.writer => Class::Stale,
        Some(row) => match entity.decode(opened.payload) {
            None => Class::Undecodable,
            Some(columns) if columns == row.columns => Class::Match,
            Some(_) => Class::Diverged,
        },
    };
    let behind = match row {
        Some(row) if stamp.version > 0 => row.version.saturating_sub(stamp.version),
        _ => 0,
    };
    (class, behind)
}
