//! `cas-or-add`: readers renew what they hit by `cas`, with a token taken before the select, and
//! when the item is gone they `add`.
//!
//! Wrong because the item is gone for a reason: somebody deleted it after a write.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::fill;
use crate::pattern::{CasOutcome, Cx, Failure, Traits};
use crate::step::{Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "cas-or-add",
    summary: "flawed: renews entries by cas, and adds them when they are gone; writers delete",
    source: include_str!("cas_or_add.rs"),
    // A hit is followed by a select, so none counts as served by the cache alone.
    traits: Traits { caches: false, ..Traits::CACHING },
    settings: &[],
};

/// Takes "gone" for "free".
pub(crate) async fn cas_or_add(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let change = cx.db.apply(&action).await?;
        cx.cache.delete(&cx.key(row_of(&action))).await?;
        Ok(change)
    })
    .await
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let key = cx.key(id);
    let Some((hit, token)) = cx.cache.gets(&key).await? else { return fill(cx, id).await };
    let Some(row) = cx.db.select(id).await? else { return cx.open(&hit).map(Some) };
    if cx.cache.cas(&key, cx.seal(&row), cx.ttl(), token).await? == CasOutcome::NotFound {
        cx.mark("cas-or-add: the item was gone");
        cx.cache.add(&key, cx.seal(&row), cx.ttl()).await?;
    }
    cx.open(&hit).map(Some)
}
