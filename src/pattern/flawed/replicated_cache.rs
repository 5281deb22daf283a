//! `replicated-cache`: every entry has two copies, under two keys that the ring may put on two
//! nodes; readers take either, writers delete both and are content with one.
//!
//! Wrong because the copy whose delete failed is served by every other read.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{Cx, Failure, Traits};
use crate::step::{Key, Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "replicated-cache",
    summary: "flawed: two copies of each entry; a write is content with deleting one of them",
    source: include_str!("replicated_cache.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// Two copies, no quorum.
pub(crate) async fn replicated_cache(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let change = cx.db.apply(&action).await?;
        let [one, two] = copies(cx, row_of(&action));
        let (one, two) = (cx.cache.delete(&one).await, cx.cache.delete(&two).await);
        one.or(two)?;
        Ok(change)
    })
    .await
}

/// Clients differ in the copy that they ask first; a fill goes to both.
async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let copies = copies(cx, id);
    let own = &copies[(cx.op().client().0 % 2) as usize];
    if let Some(hit) = cx.cache.get(own).await? {
        return cx.open(&hit).map(Some);
    }
    let row = cx.db.select(id).await?;
    if let Some(row) = &row {
        for copy in &copies {
            cx.cache.set(copy, cx.seal(row), cx.ttl()).await?;
        }
    }
    Ok(row)
}

fn copies(cx: &Cx, id: RowId) -> [Key; 2] {
    let key = cx.key(id);
    [Key::from(format!("second:{key}")), key]
}
