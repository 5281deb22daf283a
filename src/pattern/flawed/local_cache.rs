//! `local-cache`: each process keeps what it read in its own memory, above the shared cache.
//!
//! Wrong with more than one process: a writer deletes the shared entry and its own process's
//! copy, and the other processes' copies stay. They have no expiry here.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through;
use crate::pattern::{Cx, Failure, Traits};
use crate::step::{Key, Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "local-cache",
    summary: "flawed: a copy in each process above the shared cache, deleted in one of them",
    source: include_str!("local_cache.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// Two tiers, one invalidation.
pub(crate) async fn local_cache(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let change = cx.db.apply(&action).await?;
        let id = row_of(&action);
        cx.cache.delete(&cx.key(id)).await?;
        cx.local.store(&copy_of(cx, id), None).await;
        Ok(change)
    })
    .await
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let copy = copy_of(cx, id);
    if let Some(hit) = cx.local.load(&copy).await {
        return cx.open(&hit).map(Some);
    }
    let row = read_through::read(cx, id).await?;
    if let Some(row) = &row {
        cx.local.store(&copy, Some(cx.seal(row))).await;
    }
    Ok(row)
}

fn copy_of(cx: &Cx, id: RowId) -> Key {
    Key::from(format!("copy:{}", cx.key(id)))
}
