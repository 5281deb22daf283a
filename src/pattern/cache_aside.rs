//! `cache-aside`: read through the cache, delete the entry after each commit. Promises that
//! a stale entry does not survive the next write; a reader that fills during a write breaks
//! it (stale-set).

use super::read_through::{read, read_many};
use super::{Cx, Failure};
use crate::operation::{Action, Op, Reply};

/// Reads through the cache; writes change the database and then delete the cached row.
pub async fn cache_aside(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    match op.action {
        Action::Read(id) => Ok(Reply::Row(read(cx, id).await?)),
        Action::ReadMany(ids) => Ok(Reply::Rows(read_many(cx, &ids).await?)),
        Action::Modify(id, columns) => {
            let base = read(cx, id).await?;
            let change = cx.db.update(id, &columns).await?;
            cx.cache.delete(&cx.key(id)).await?;
            Ok(Reply::Modified { base, changed: change.changed })
        }
        write => {
            let change = cx.db.apply(&write).await?;
            cx.cache.delete(&cx.key(change.id)).await?;
            Ok(change.reply())
        }
    }
}
