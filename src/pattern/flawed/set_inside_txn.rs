//! `set-inside-txn`: the new row is set in the cache inside the transaction.
//!
//! Wrong because a transaction that is rolled back leaves an entry that was never committed, and
//! because readers see the row before the commit.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::carry_out;
use crate::pattern::read_through::read;
use crate::pattern::{Cx, Failure, Traits};

pub(crate) const ABOUT: About = About {
    name: "set-inside-txn",
    summary: "flawed: writers set the cache inside their transaction, before the commit",
    source: include_str!("set_inside_txn.rs"),
    traits: Traits { transactions: true, ..Traits::CACHING },
    settings: &[],
};

/// Sets too early.
pub(crate) async fn set_inside_txn(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        cx.db.begin().await?;
        let change = cx.db.apply(&action).await?;
        let key = cx.key(change.id);
        match &change.row {
            Some(row) => cx.cache.set(&key, cx.seal(row), cx.ttl()).await?,
            None => drop(cx.cache.delete(&key).await?),
        }
        cx.db.commit().await?;
        Ok(change)
    })
    .await
}
