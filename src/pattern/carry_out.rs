//! An operation from its two halves: how one row is read, and how one row is written.

use super::{Change, Cx, Failure};
use crate::operation::{Action, Op, Reply};
use crate::step::{Row, RowId};

/// Carries out an operation of a pattern that treats each row alone: several rows are read
/// one after the other, and a read-modify-write is a read and then an update. A read that the
/// cache fails is answered by the database: the row is there.
pub(super) async fn carry_out(
    cx: &Cx,
    op: Op,
    read: impl AsyncFn(&Cx, RowId) -> Result<Option<Row>, Failure>,
    write: impl AsyncFn(&Cx, Action) -> Result<Change, Failure>,
) -> Result<Reply, Failure> {
    let read = async |id| match read(cx, id).await {
        Err(Failure::Cache(_) | Failure::CacheRefusal(_)) => cx.db.select(id).await,
        result => result,
    };
    match op.action {
        Action::Read(id) => Ok(Reply::Row(read(id).await?)),
        Action::ReadMany(ids) => {
            let mut rows = Vec::with_capacity(ids.len());
            for id in ids {
                rows.push(read(id).await?);
            }
            Ok(Reply::Rows(rows))
        }
        Action::Modify(id, columns) => {
            let base = read(id).await?;
            let change = write(cx, Action::Update(id, columns)).await?;
            Ok(Reply::Modified { base, changed: change.changed })
        }
        action => Ok(write(cx, action).await?.reply()),
    }
}

/// The row that a write is about.
pub(super) fn row_of(action: &Action) -> RowId {
    match action {
        Action::Update(id, _)
        | Action::Modify(id, _)
        | Action::Insert(id, _)
        | Action::Delete(id)
        | Action::Read(id) => *id,
        Action::ReadMany(_) => unreachable!("a read of several rows is not a write"),
    }
}
