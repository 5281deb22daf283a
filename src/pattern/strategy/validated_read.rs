//! `validated-read`: every hit is compared with the row's version in the database.
//!
//! Promises what the database does, under every fault of the cache: an entry of another version
//! is not used. It saves no round trip to the database, only the work of deriving a value.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::carry_out;
use crate::pattern::{Cx, Failure, Traits};
use crate::step::{Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "validated-read",
    summary: "every read asks the database for the version, and uses an entry only if it has it",
    source: include_str!("validated_read.rs"),
    // Every read asks the database, so none counts as served by the cache.
    traits: Traits { caches: false, validates: true, ..Traits::CACHING },
    settings: &[],
};

/// Uses an entry only if the database says that it is current.
pub(crate) async fn validated_read(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| cx.db.apply(&action).await).await
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let key = cx.key(id);
    let hit = cx.cache.get(&key).await?.map(|hit| cx.open(&hit)).transpose()?;
    let row = cx.db.select(id).await?;
    match (hit, row) {
        (Some(hit), Some(row)) if hit.version == row.version => {
            cx.mark("validated-read: the entry is current");
            Ok(Some(hit))
        }
        (_, Some(row)) => {
            cx.cache.set(&key, cx.seal(&row), cx.ttl()).await?;
            Ok(Some(row))
        }
        (_, None) => Ok(None),
    }
}
