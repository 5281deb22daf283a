//! Every row against its entry, after the load: read without touching an item, and a mismatch is
//! looked at again before it counts. `check::audit` says what an entry is; here they are counted.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backend::{BackendError, Database};
use crate::check::audit::{self, Class, Content, Judged, Versions};
use crate::entity::Entity;
use crate::run::audit::peek;
use crate::step::{
    Answer, CacheCommand, CacheReply, Key, MetaDelete, NodeId, Remaining, Row, RowId, Table, Win,
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
        match examine(subject, &mut links, &rows, id).class {
            class if class.is_bad() || class == Class::Unreachable => again.push(id),
            class => entries.count(class),
        }
    }
    if again.is_empty() {
        return Ok(entries);
    }
    std::thread::sleep(LOOK_AGAIN);
    let rows = subject.database.rows(Table(0))?;
    for id in again {
        let Judged { class, behind, remaining, .. } = examine(subject, &mut links, &rows, id);
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

fn examine(subject: &Subject<'_>, links: &mut [CacheLink], rows: &[Row], id: RowId) -> Judged {
    let key = subject.entity.key(Table(0), id);
    let node = (subject.node_of)(&key);
    let link = &mut links[usize::from(node.0)];
    let content = match link.execute(&peek(&key)) {
        Answer::Cache(CacheReply::Found(item)) => {
            if item.win == Win::Won {
                link.execute(&give_back(&key, item.cas));
            }
            Content::Item(item)
        }
        Answer::Cache(CacheReply::Miss) => Content::Nothing,
        _ => Content::NoAnswer,
    };
    audit::judge(&key, &content, audit::row_of(rows, id), subject.entity, &Versions)
}

/// A real server gives the token of an item that is marked stale to whoever reads it first, the
/// audit too: the item is marked once more, unless somebody has stored another since, so that the
/// next reader wins. Whoever marked it may be another application: no step says so.
fn give_back(key: &Key, cas: u64) -> CacheCommand {
    let (key, cas) = (key.clone(), Some(cas));
    CacheCommand::MetaDelete(MetaDelete { key, cas, invalidate: true, ttl: None })
}
