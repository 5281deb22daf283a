//! `optimistic-modify`: cache-aside whose read-modify-writes take their base from the database and
//! write only if the row still has the version that they read.
//!
//! Promises that no read-modify-write overwrites a write that it has not seen. Its reads are
//! those of cache-aside.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::cache_aside::cache_aside;
use crate::pattern::{Cx, Failure, Traits};

pub(crate) const ABOUT: About = About {
    name: "optimistic-modify",
    summary: "cache-aside; read-modify-writes read the database and compare the version",
    source: include_str!("optimistic_modify.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// How often a write that was overtaken starts again.
const TRIES: usize = 8;

/// Modifies by version, does everything else as cache-aside does.
pub(crate) async fn optimistic_modify(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    let Action::Modify(id, columns) = &op.action else { return cache_aside(cx, op).await };
    for _ in 0..TRIES {
        let Some(base) = cx.db.select_primary(*id).await? else {
            return Ok(Reply::Modified { base: None, changed: false });
        };
        if cx.db.update_if(base.version, *id, columns).await?.changed {
            cx.cache.delete(&cx.key(*id)).await?;
            return Ok(Reply::Modified { base: Some(base), changed: true });
        }
    }
    Err(Failure::GaveUp("the row was overtaken again and again"))
}
