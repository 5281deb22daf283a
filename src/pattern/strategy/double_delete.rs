//! `double-delete`: the entry is deleted before the database is changed and again after it.
//!
//! Promises what cache-aside does, and that what a reader filled between the first delete and
//! the commit goes with the second. A fill that arrives after the second delete stays.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::read;
use crate::pattern::{Cx, Failure, Traits};

pub(crate) const ABOUT: About = About {
    name: "double-delete",
    summary: "writers delete the entry, change the database, delete the entry again",
    source: include_str!("double_delete.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// Reads through the cache; writes delete on both sides of the change.
pub(crate) async fn double_delete(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let key = cx.key(row_of(&action));
        cx.cache.delete(&key).await?;
        let change = cx.db.apply(&action).await?;
        cx.cache.delete(&key).await?;
        Ok(change)
    })
    .await
}
