//! `no-cache`: the control. Every read asks the database.

use super::{Cx, Failure};
use crate::operation::{Action, Op, Reply};

/// Reads and writes the database only; clean under everything but lagging replicas.
pub async fn no_cache(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    match op.action {
        Action::Read(id) => Ok(Reply::Row(cx.db.select(id).await?)),
        Action::ReadMany(ids) => {
            let mut rows = Vec::with_capacity(ids.len());
            for id in ids {
                rows.push(cx.db.select(id).await?);
            }
            Ok(Reply::Rows(rows))
        }
        Action::Modify(id, columns) => {
            let base = cx.db.select(id).await?;
            let change = cx.db.update(id, &columns).await?;
            Ok(Reply::Modified { base, changed: change.changed })
        }
        write => Ok(cx.db.apply(&write).await?.reply()),
    }
}
