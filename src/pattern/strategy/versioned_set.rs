//! `versioned-set`: every value carries its row's version, and readers and writers store only
//! what is newer than what is there, by a `cas` loop.
//!
//! Promises that an entry never goes back while it lives, in whatever order sets arrive. An
//! absent key has no version: after a delete or an eviction an old fill finds nothing to
//! compare with. A set that is lost leaves the old row.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::carry_out;
use crate::pattern::{CasOutcome, Cx, Failure, Traits};
use crate::step::{Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "versioned-set",
    summary: "readers and writers store a row only over an older version of it",
    source: include_str!("versioned_set.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// How often a store that was overtaken looks again before it gives up.
const TRIES: usize = 8;

/// Reads through the cache; every store compares versions.
pub(crate) async fn versioned_set(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let change = cx.db.apply(&action).await?;
        match &change.row {
            Some(row) => store_if_newer(cx, row).await?,
            None => drop(cx.cache.delete(&cx.key(change.id)).await?),
        }
        Ok(change)
    })
    .await
}

/// Reads; fills only over what is older.
pub(crate) async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    if let Some(hit) = cx.cache.get(&cx.key(id)).await? {
        return cx.open(&hit).map(Some);
    }
    let row = cx.db.select(id).await?;
    if let Some(row) = &row {
        store_if_newer(cx, row).await?;
    }
    Ok(row)
}

/// Stores a row unless its key holds the same or a newer version.
pub(crate) async fn store_if_newer(cx: &Cx, row: &Row) -> Result<(), Failure> {
    let key = cx.key(row.id);
    for _ in 0..TRIES {
        let stored = match cx.cache.gets(&key).await? {
            None => cx.cache.add(&key, cx.seal(row), cx.ttl()).await?,
            Some((value, _)) if cx.open(&value)?.version >= row.version => {
                cx.mark("versioned-set: an older row was refused");
                true
            }
            Some((_, token)) => {
                cx.cache.cas(&key, cx.seal(row), cx.ttl(), token).await? == CasOutcome::Stored
            }
        };
        if stored {
            return Ok(());
        }
    }
    Err(Failure::GaveUp("the entry was overtaken again and again"))
}
