//! `locked-fill`: a reader that misses selects the row with a share lock and sets the entry
//! before its transaction ends, so that no writer commits in between.
//!
//! Promises that a fill does not straddle a commit, on a database with row locks; the delete of
//! the next writer comes after it. On SQLite, which has none, it promises nothing of the kind. A
//! set that arrives after its reader gave up escapes the lock.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::carry_out;
use crate::pattern::{Cx, Failure, Traits};
use crate::step::{Row, RowId, RowLock};

pub(crate) const ABOUT: About = About {
    name: "locked-fill",
    summary: "readers fill inside a transaction that holds a share lock on the row",
    source: include_str!("locked_fill.rs"),
    traits: Traits { transactions: true, ..Traits::CACHING },
    settings: &[],
};

/// Fills under the database's own lock.
pub(crate) async fn locked_fill(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let change = cx.db.apply(&action).await?;
        cx.cache.delete(&cx.key(change.id)).await?;
        Ok(change)
    })
    .await
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let key = cx.key(id);
    if let Some(hit) = cx.cache.get(&key).await? {
        return cx.open(&hit).map(Some);
    }
    cx.db.begin().await?;
    let row = match cx.db.select_with(id, RowLock::Share).await {
        Ok(row) => row,
        Err(_) => {
            // A deadlock or a wait that was too long: read without filling.
            cx.db.rollback().await?;
            return cx.db.select(id).await;
        }
    };
    if let Some(row) = &row {
        // Whether or not the set succeeds, the transaction has to end.
        let _ = cx.cache.set(&key, cx.seal(row), cx.ttl()).await;
    }
    cx.db.commit().await?;
    Ok(row)
}
