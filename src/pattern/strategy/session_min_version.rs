//! `session-min-version`: each session (here: each client) remembers the newest version of each
//! row that it has written or seen, and does not accept an older entry.
//!
//! Promises that a session reads its own writes and never goes back, whatever the cache does;
//! other sessions may see older rows for as long as cache-aside lets them.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::carry_out;
use crate::pattern::{Cx, Failure, Traits};
use crate::step::{Key, Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "session-min-version",
    summary: "a session refuses entries older than what it has written or seen; writers delete",
    source: include_str!("session_min_version.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// Reads through the cache, but never back in time.
pub(crate) async fn session_min_version(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let change = cx.db.apply(&action).await?;
        if let Some(row) = &change.row {
            remember(cx, row).await;
        }
        cx.cache.delete(&cx.key(change.id)).await?;
        Ok(change)
    })
    .await
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let key = cx.key(id);
    let least = least(cx, id).await;
    // A cache that fails is a miss: the session's promise stands all the same.
    if let Ok(Some(hit)) = cx.cache.get(&key).await {
        let row = cx.open(&hit)?;
        if row.version >= least {
            remember(cx, &row).await;
            return Ok(Some(row));
        }
        cx.mark("session: refused an older entry");
    }
    let mut row = cx.db.select(id).await?;
    if row.as_ref().is_some_and(|row| row.version < least) {
        row = cx.db.select_primary(id).await?;
    }
    if let Some(row) = &row {
        remember(cx, row).await;
        let _ = cx.cache.set(&key, cx.seal(row), cx.ttl()).await;
    }
    Ok(row)
}

fn cell(cx: &Cx, id: RowId) -> Key {
    Key::from(format!("session:{}:{}", cx.client_tag(), id.0))
}

async fn least(cx: &Cx, id: RowId) -> u64 {
    let held = cx.local.load(&cell(cx, id)).await;
    held.and_then(|held| held[..].try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// A session is one client, which does one thing at a time: its cell needs no comparing.
async fn remember(cx: &Cx, row: &Row) {
    let version = row.version.to_le_bytes().to_vec();
    cx.local.store(&cell(cx, row.id), Some(version.into())).await;
}
