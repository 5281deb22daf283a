//! `retried-transaction`: the cache is set first, and a statement that the database aborts (a
//! deadlock, a serialization failure) is tried again, without the cache.
//!
//! Wrong because another writer may have come in between: the cache keeps its row, the database
//! takes ours.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::read;
use crate::pattern::{Change, Cx, Failure, Traits};
use crate::step::Row;

pub(crate) const ABOUT: About = About {
    name: "retried-transaction",
    summary: "flawed: cache first, and only the database's part is tried again after an abort",
    source: include_str!("retried_transaction.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

const TRIES: usize = 3;

/// Retries half of the write.
pub(crate) async fn retried_transaction(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let id = row_of(&action);
        let key = cx.key(id);
        match &action {
            Action::Update(_, columns) | Action::Insert(_, columns) => {
                let row = Row { id, version: 0, writer: cx.tag(), columns: columns.clone() };
                cx.cache.set(&key, cx.seal(&row), cx.ttl()).await?;
            }
            _ => drop(cx.cache.delete(&key).await?),
        }
        let change = insist(cx, &action).await;
        if !matches!(&change, Ok(change) if change.changed) {
            cx.cache.delete(&key).await?;
        }
        change
    })
    .await
}

async fn insist(cx: &Cx, action: &Action) -> Result<Change, Failure> {
    for _ in 1..TRIES {
        match cx.db.apply(action).await {
            Err(Failure::Sql(_)) => cx.mark("retried-transaction: tried again"),
            result => return result,
        }
    }
    cx.db.apply(action).await
}
