//! The audit's reads: what cache and database hold at rest, and a second look at what differs.
//!
//! The cache is read without touching or bumping items, and a mismatch is looked at again
//! before it counts, as Meta's Polaris does: on a real server an expiry or a straggling
//! write may fall between the two reads. What the contents mean is `check::audit`'s to say.

use crate::backend::{BackendError, Cache, Database, Origin};
use crate::check::audit::{Audit, Content, Entry, Read};
use crate::history::record::KeyId;
use crate::step::{
    CacheCommand, CacheReply, ConnectionId, Footprint, Key, MetaGet, NodeId, RowId, Table,
};
use crate::time::Time;

/// The servers that are read.
pub(crate) struct Servers<'a> {
    /// The cache.
    pub cache: &'a mut dyn Cache,
    /// The database.
    pub database: &'a mut dyn Database,
    /// Which node has a key.
    pub node_of: &'a dyn Fn(&Key) -> NodeId,
}

/// Compares every row that ever existed with its entry.
pub(crate) fn audit(
    audit: &Audit<'_>,
    servers: &mut Servers<'_>,
) -> Result<Vec<Entry>, BackendError> {
    let history = audit.history;
    let mut rows = servers.database.rows(Table(0))?;
    let mut entries = Vec::new();
    for (number, row) in history.rows.iter().enumerate() {
        let Some(row) = *row else { continue };
        let key = KeyId(number as u32);
        let name = history.keys.name(key);
        let mut entry = audit.entry(&servers.read(history.phases.audit, key, name, row), &rows);
        if entry.class.is_bad() {
            rows = servers.database.rows(Table(0))?;
            entry = audit.entry(&servers.read(history.phases.audit, key, name, row), &rows);
        }
        audit.explain(&mut entry);
        entries.push(entry);
    }
    Ok(entries)
}

impl Servers<'_> {
    fn read(&mut self, now: Time, key: KeyId, name: &Key, row: RowId) -> Read {
        let node = (self.node_of)(name);
        let reply = self.cache.execute(
            now,
            node,
            ConnectionId(u32::MAX),
            Origin::default(),
            &peek(name),
            &mut Footprint::off(),
        );
        let content = match reply {
            Ok(CacheReply::Found(item)) => Content::Item(item),
            Ok(_) => Content::Nothing,
            Err(_) => Content::NoAnswer,
        };
        Read { key, row, node, content }
    }
}

/// The request for what a node has under a key that changes nothing there.
pub(crate) fn peek(key: &Key) -> CacheCommand {
    CacheCommand::MetaGet(MetaGet {
        key: key.clone(),
        vivify: None,
        recache: None,
        touch: None,
        peek: true,
    })
}
