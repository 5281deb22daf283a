//! `delete-before-write`: the entry is deleted, then the database is changed.
//!
//! Promises that a write that cannot reach the cache does not happen at all. A reader that
//! misses between the two fills the old row again, for good: worse than the other order.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::read;
use crate::pattern::{Cx, Failure, Traits};

pub(crate) const ABOUT: About = About {
    name: "delete-before-write",
    summary: "writers delete the entry, then change the database",
    source: include_str!("delete_before_write.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// Reads through the cache; writes delete first.
pub(crate) async fn delete_before_write(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        cx.cache.delete(&cx.key(row_of(&action))).await?;
        cx.db.apply(&action).await
    })
    .await
}
