//! `nested-transaction`: rows 2n and 2n+1 are two halves of one object. A write changes its own
//! half in a transaction, and the other half in a transaction of its own, on another connection,
//! before the first commits: what a framework does when a listener asks for a new transaction.
//!
//! Wrong where two writers begin with different halves: each holds what the other's second
//! transaction waits for. The database sees no circle, since the first transactions wait for
//! nothing that it knows, and so nobody is chosen to give way: all wait until a timeout. On SQLite,
//! which has one writer at a time, one write is enough.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::read;
use crate::pattern::{Cx, Failure, Traits};
use crate::step::RowId;

pub(crate) const ABOUT: About = About {
    name: "nested-transaction",
    summary: "flawed: a transaction that waits for a second one of the same write",
    source: include_str!("nested_transaction.rs"),
    traits: Traits { transactions: true, ..Traits::CACHING },
    settings: &[],
};

/// A transaction within another, on a connection of its own.
pub(crate) async fn nested_transaction(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let id = row_of(&action);
        let other = RowId(id.0 ^ 1);
        cx.db.begin().await?;
        let change = cx.db.apply(&action).await?;
        if let Action::Update(_, columns) = &action {
            cx.db.update_apart(other, columns).await?;
        }
        cx.db.commit().await?;
        cx.cache.delete(&cx.key(id)).await?;
        cx.cache.delete(&cx.key(other)).await?;
        Ok(change)
    })
    .await
}
