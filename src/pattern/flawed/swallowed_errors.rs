//! `swallowed-errors`: cache-aside over a client library that answers "no" both when there was
//! nothing to delete and when the delete failed.
//!
//! Wrong because a write whose delete failed reports success: nobody will try again.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::read;
use crate::pattern::{Cx, Failure, Traits};

pub(crate) const ABOUT: About = About {
    name: "swallowed-errors",
    summary: "flawed: cache-aside that takes a failed delete for one of an absent entry",
    source: include_str!("swallowed_errors.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// Cannot tell absent from failed.
pub(crate) async fn swallowed_errors(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let change = cx.db.apply(&action).await?;
        let _deleted = cx.cache.delete(&cx.key(row_of(&action))).await.unwrap_or(false);
        Ok(change)
    })
    .await
}
