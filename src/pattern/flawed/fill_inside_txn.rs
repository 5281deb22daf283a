//! `fill-inside-txn`: a writer deletes the entry and reads its own change back through the cache
//! before it commits.
//!
//! Wrong because the fill is of a row that nobody else can see yet, and that a rollback takes
//! back.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::read;
use crate::pattern::{Cx, Failure, Traits};

pub(crate) const ABOUT: About = About {
    name: "fill-inside-txn",
    summary: "flawed: a writer reads its own uncommitted change through the cache",
    source: include_str!("fill_inside_txn.rs"),
    traits: Traits { transactions: true, ..Traits::CACHING },
    settings: &[],
};

/// Fills with what is not committed.
pub(crate) async fn fill_inside_txn(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let id = row_of(&action);
        cx.db.begin().await?;
        let change = cx.db.apply(&action).await?;
        cx.cache.delete(&cx.key(id)).await?;
        read(cx, id).await?;
        cx.db.commit().await?;
        Ok(change)
    })
    .await
}
