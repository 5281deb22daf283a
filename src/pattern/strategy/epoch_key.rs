//! `epoch-key`: keys carry an epoch of the process, which begins at random and
//! moves on whenever an invalidation fails; entries of older epochs are never asked for again.
//!
//! Promises that a node that comes back, or is dropped from the ring and returns, does not bring
//! old entries with it: who could not delete does not read there again. Processes have epochs
//! of their own here, so each fills its own entries and deletes those of its own only; with more
//! than one process another's entries stay old for up to the TTL.

use bytes::Bytes;

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{Cx, Failure, Traits};
use crate::step::{Key, Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "epoch-key",
    summary: "keys carry an epoch that moves on when an invalidation fails; writers delete",
    source: include_str!("epoch_key.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// Reads through the cache, in the current epoch.
pub(crate) async fn epoch_key(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let change = cx.db.apply(&action).await;
        // The epoch after the change: in a later one nothing older can be filled.
        let epoch = epoch(cx).await;
        let id = row_of(&action);
        let deleted = cx.cache.delete(&in_epoch(cx, id, &epoch)).await;
        if deleted.is_err() {
            let next = String::from_utf8_lossy(&epoch).parse().unwrap_or(0u64) + 1;
            cx.local.compare_and_store(&cell(), epoch, Some(next.to_string().into())).await;
        }
        change
    })
    .await
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let key = in_epoch(cx, id, &epoch(cx).await);
    if let Some(hit) = cx.cache.get(&key).await? {
        return cx.open(&hit).map(Some);
    }
    let row = cx.db.select(id).await?;
    if let Some(row) = &row {
        cx.cache.set(&key, cx.seal(row), cx.ttl()).await?;
    }
    Ok(row)
}

async fn epoch(cx: &Cx) -> Bytes {
    if let Some(epoch) = cx.local.load(&cell()).await {
        return epoch;
    }
    let start = Bytes::from((cx.random_tag() >> 2).to_string());
    match cx.local.store_if_empty(&cell(), start.clone()).await {
        true => start,
        false => cx.local.load(&cell()).await.unwrap_or(start),
    }
}

fn cell() -> Key {
    Key::from("epoch")
}

fn in_epoch(cx: &Cx, id: RowId, epoch: &[u8]) -> Key {
    Key::from(format!("e{}:{}", String::from_utf8_lossy(epoch), cx.key(id)))
}
