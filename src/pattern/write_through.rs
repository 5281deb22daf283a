//! `write-through`, as in the article: the database first, then the same value into the
//! cache. Promises that a committed write is in the cache; keeps it while writers of a key
//! take turns and the set succeeds.

use super::read_through::{read, read_many};
use super::{Change, Cx, Failure};
use crate::operation::{Action, Op, Reply};

/// Reads through the cache; writes update the database and then set the cache.
pub async fn write_through(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    match op.action {
        Action::Read(id) => Ok(Reply::Row(read(cx, id).await?)),
        Action::ReadMany(ids) => Ok(Reply::Rows(read_many(cx, &ids).await?)),
        Action::Modify(id, columns) => {
            let base = read(cx, id).await?;
            let change = cx.db.update(id, &columns).await?;
            cache(cx, &change).await?;
            Ok(Reply::Modified { base, changed: change.changed })
        }
        write => {
            // A failed statement ends the operation here: nothing reaches the cache.
            let change = cx.db.apply(&write).await?;
            cache(cx, &change).await?;
            Ok(change.reply())
        }
    }
}

/// The row as written goes into the cache; a deleted row leaves it. When this fails the
/// update reports failure, although the database has changed.
async fn cache(cx: &Cx, change: &Change) -> Result<(), Failure> {
    let key = cx.key(change.id);
    match &change.row {
        Some(row) => cx.cache.set(&key, cx.seal(row), cx.ttl()).await,
        None if change.changed => cx.cache.delete(&key).await.map(|_| ()),
        None => Ok(()),
    }
}
