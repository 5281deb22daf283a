//! `failover`: when a key's node does not answer, the client goes to another one, as rings with
//! automatic ejection do. (The other place is another key here, which the ring puts on a node of
//! its own choice.)
//!
//! Wrong because the first node keeps its entry, which nobody deletes, and comes back with it.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{Cx, Failure, Traits};
use crate::step::{Key, Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "failover",
    summary: "flawed: cache-aside that goes to another node when a key's own does not answer",
    source: include_str!("failover.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// Cache-aside on whichever node answers.
pub(crate) async fn failover(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let change = cx.db.apply(&action).await?;
        let key = cx.key(row_of(&action));
        if let Err(Failure::Cache(_)) = cx.cache.delete(&key).await {
            cx.mark("failover: a delete went elsewhere");
            cx.cache.delete(&elsewhere(&key)).await?;
        }
        Ok(change)
    })
    .await
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let mut key = cx.key(id);
    let hit = match cx.cache.get(&key).await {
        Err(Failure::Cache(_)) => {
            key = elsewhere(&key);
            cx.cache.get(&key).await?
        }
        result => result?,
    };
    if let Some(hit) = hit {
        return cx.open(&hit).map(Some);
    }
    let row = cx.db.select(id).await?;
    if let Some(row) = &row {
        cx.cache.set(&key, cx.seal(row), cx.ttl()).await?;
    }
    Ok(row)
}

fn elsewhere(key: &Key) -> Key {
    Key::from(format!("elsewhere:{key}"))
}
