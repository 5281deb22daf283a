//! `read-through`: the article's read path alone. Writers only update the database, so an
//! entry is as old as its expiry allows.

use super::{Cx, Failure};
use crate::operation::{Action, Op, Reply};
use crate::step::{Row, RowId};

/// Reads through the cache; writes go to the database and to nothing else.
pub async fn read_through(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    match op.action {
        Action::Read(id) => Ok(Reply::Row(read(cx, id).await?)),
        Action::ReadMany(ids) => Ok(Reply::Rows(read_many(cx, &ids).await?)),
        Action::Modify(id, columns) => {
            let base = read(cx, id).await?;
            let change = cx.db.update(id, &columns).await?;
            Ok(Reply::Modified { base, changed: change.changed })
        }
        write => Ok(cx.db.apply(&write).await?.reply()),
    }
}

/// Get; on a miss select, and set what was found. Absent rows are not cached. A cache that
/// fails does not fail the read: the row is in the database.
pub async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let key = cx.key(id);
    if let Ok(Some(hit)) = cx.cache.get(&key).await {
        return cx.open(&hit).map(Some);
    }
    fill(cx, id).await
}

/// The miss path of [`read`].
pub async fn fill(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let row = cx.db.select(id).await?;
    if let Some(row) = &row {
        // The reader has its row whatever becomes of the fill.
        let _ = cx.cache.set(&cx.key(id), cx.seal(row), cx.ttl()).await;
    }
    Ok(row)
}

/// Several rows with one multi-get; misses are filled one by one.
pub async fn read_many(cx: &Cx, ids: &[RowId]) -> Result<Vec<Option<Row>>, Failure> {
    let keys: Vec<_> = ids.iter().map(|id| cx.key(*id)).collect();
    let cached = cx.cache.get_many(&keys).await.unwrap_or_else(|_| vec![None; ids.len()]);
    let mut rows = Vec::with_capacity(ids.len());
    for (id, hit) in ids.iter().zip(cached) {
        rows.push(match hit {
            Some(hit) => Some(cx.open(&hit)?),
            None => fill(cx, *id).await?,
        });
    }
    Ok(rows)
}
