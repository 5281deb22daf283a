//! `cas-after-read`: readers fill by `cas`, with a token that they take *after* their select.
//!
//! Wrong because the token then says nothing about what happened during the select: an old row
//! is stored over the new one with a valid token.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::carry_out;
use crate::pattern::{Cx, Failure, Traits};
use crate::step::{Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "cas-after-read",
    summary: "flawed: fills by cas with a token taken after the select; writers set",
    source: include_str!("cas_after_read.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// Launders an old row with a new token.
pub(crate) async fn cas_after_read(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let change = cx.db.apply(&action).await?;
        let key = cx.key(change.id);
        match &change.row {
            Some(row) => cx.cache.set(&key, cx.seal(row), cx.ttl()).await?,
            None => drop(cx.cache.delete(&key).await?),
        }
        Ok(change)
    })
    .await
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let key = cx.key(id);
    if let Some(hit) = cx.cache.get(&key).await? {
        return cx.open(&hit).map(Some);
    }
    let row = cx.db.select(id).await?;
    if let Some(row) = &row {
        match cx.cache.gets(&key).await? {
            Some((_, token)) => drop(cx.cache.cas(&key, cx.seal(row), cx.ttl(), token).await?),
            None => drop(cx.cache.add(&key, cx.seal(row), cx.ttl()).await?),
        }
    }
    Ok(row)
}
