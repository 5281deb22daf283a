//! `cached-counter`: beside the row a counter of its writes is kept by `incr`, and an `incr` that
//! got no answer is sent again.
//!
//! Wrong because the first one may have been carried out: the counter is then ahead of the row.

use bytes::Bytes;

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{Cx, Failure, Traits};
use crate::step::{Key, Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "cached-counter",
    summary: "flawed: a counter beside the row, whose increments are retried blindly",
    source: include_str!("cached_counter.rs"),
    traits: Traits { caches: false, ..Traits::CACHING },
    settings: &[],
};

/// Counts writes in the cache.
pub(crate) async fn cached_counter(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let change = cx.db.apply(&action).await?;
        let counter = counter_of(cx, row_of(&action));
        if let Err(Failure::Cache(_)) = cx.cache.incr(&counter, 1).await {
            cx.mark("cached-counter: sent the increment again");
            cx.cache.incr(&counter, 1).await?;
        }
        Ok(change)
    })
    .await
}

/// The counter begins with the row's version, which counts the same writes.
async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let row = cx.db.select(id).await?;
    if let Some(row) = &row {
        let count = Bytes::from(row.version.to_string());
        cx.cache.add(&counter_of(cx, id), count, cx.ttl()).await?;
    }
    Ok(row)
}

fn counter_of(cx: &Cx, id: RowId) -> Key {
    Key::from(format!("writes:{}", cx.key(id)))
}
