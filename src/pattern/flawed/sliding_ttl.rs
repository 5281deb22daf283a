//! `sliding-ttl`: every read gives the entry a new expiry (`gat`), so that what is read often
//! stays.
//!
//! Wrong where the TTL was to bound staleness: an old entry that is read often enough never ends.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::fill;
use crate::pattern::{Cx, Failure, Traits};
use crate::step::{Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "sliding-ttl",
    summary: "flawed: cache-aside whose reads extend the expiry (gat)",
    source: include_str!("sliding_ttl.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// Cache-aside, but entries that are read do not expire.
pub(crate) async fn sliding_ttl(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let change = cx.db.apply(&action).await?;
        cx.cache.delete(&cx.key(row_of(&action))).await?;
        Ok(change)
    })
    .await
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    match cx.cache.get_and_touch(&cx.key(id), cx.ttl()).await? {
        Some(hit) => cx.open(&hit).map(Some),
        None => fill(cx, id).await,
    }
}
