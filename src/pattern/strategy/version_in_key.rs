//! `version-in-key`: entries are immutable, under keys that carry the row's version; a pointer
//! entry says which version is current.
//!
//! Promises that an entry is never older than its key says, so sets in any order do no harm. The
//! pointer is an ordinary cached value, set by readers and writers, and has all of
//! write-through's hazards.

use bytes::Bytes;

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::carry_out;
use crate::pattern::{Cx, Failure, Traits};
use crate::step::{Key, Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "version-in-key",
    summary: "entries under keys with the version in them, and a pointer to the current one",
    source: include_str!("version_in_key.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// Reads over a pointer; writers move it.
pub(crate) async fn version_in_key(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let change = cx.db.apply(&action).await?;
        match &change.row {
            Some(row) => store(cx, row).await?,
            None => drop(cx.cache.delete(&pointer(cx, change.id)).await?),
        }
        Ok(change)
    })
    .await
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    if let Some(version) = cx.cache.get(&pointer(cx, id)).await?
        && let Some(hit) = cx.cache.get(&entry(cx, id, &version)).await?
    {
        return cx.open(&hit).map(Some);
    }
    let row = cx.db.select(id).await?;
    if let Some(row) = &row {
        store(cx, row).await?;
    }
    Ok(row)
}

/// The entry before the pointer: who sees the pointer finds the entry.
async fn store(cx: &Cx, row: &Row) -> Result<(), Failure> {
    let version = Bytes::from(row.version.to_string());
    cx.cache.set(&entry(cx, row.id, &version), cx.seal(row), cx.ttl()).await?;
    cx.cache.set(&pointer(cx, row.id), version, cx.ttl()).await
}

fn pointer(cx: &Cx, id: RowId) -> Key {
    Key::from(format!("{}:current", cx.key(id)))
}

fn entry(cx: &Cx, id: RowId, version: &[u8]) -> Key {
    Key::from(format!("{}@{}", cx.key(id), String::from_utf8_lossy(version)))
}
