//! `refresh-ahead`: who hits an entry also loads it anew, with a plain set, before it expires.
//!
//! Wrong because the load may be older than a write, and its set gives the old row a new TTL.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::fill;
use crate::pattern::{Cx, Failure, Traits};
use crate::step::{Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "refresh-ahead",
    summary: "flawed: hits are loaded anew in advance, with a plain set; writers delete",
    source: include_str!("refresh_ahead.rs"),
    // A hit is followed by a select, so none counts as served by the cache alone.
    traits: Traits { caches: false, ..Traits::CACHING },
    settings: &[],
};

/// Refreshes without asking what happened meanwhile.
pub(crate) async fn refresh_ahead(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let change = cx.db.apply(&action).await?;
        cx.cache.delete(&cx.key(row_of(&action))).await?;
        Ok(change)
    })
    .await
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let Some(hit) = cx.cache.get(&cx.key(id)).await? else { return fill(cx, id).await };
    let row = cx.open(&hit)?;
    cx.mark("refresh-ahead: loads a hit anew");
    fill(cx, id).await?;
    Ok(Some(row))
}
