//! `write-through-cache-first`: the cache is set, then the database; an error of the database
//! deletes the entry.
//!
//! Promises that a reader sees a write as soon as anybody can. Readers may see what is never
//! committed, two writers may reach cache and database in different orders, and a writer that
//! dies between the two leaves an entry that no row stands behind.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::read;
use crate::pattern::{Cx, Failure, Traits};
use crate::step::Row;

pub(crate) const ABOUT: About = About {
    name: "write-through-cache-first",
    summary: "writers set the cache, then change the database; on an error they delete",
    source: include_str!("write_through_cache_first.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// Reads through the cache; writes go to the cache before the database.
pub(crate) async fn write_through_cache_first(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let id = row_of(&action);
        let key = cx.key(id);
        match &action {
            Action::Update(_, columns) | Action::Insert(_, columns) => {
                // The version is the database's to give, and it has not been asked yet: 0.
                let row = Row { id, version: 0, writer: cx.tag(), columns: columns.clone() };
                cx.cache.set(&key, cx.seal(&row), cx.ttl()).await?;
            }
            _ => drop(cx.cache.delete(&key).await?),
        }
        let change = cx.db.apply(&action).await;
        if !matches!(&change, Ok(change) if change.changed) {
            // Whether or not this delete succeeds, the caller learns how the change ended.
            let _ = cx.cache.delete(&key).await;
        }
        change
    })
    .await
}
