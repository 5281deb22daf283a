//! `ttl-only` (write-around): readers fill, writers change the database only.
//!
//! Promises that an entry is at most its TTL, plus the time of its fill, plus memcached's tick
//! of a second behind its row, whatever fails: there is no invalidation that could be lost.
//! Does not promise that a writer sees its own write, and a TTL of 0 leaves no bound at all.

use crate::operation::{Op, Reply};
use crate::pattern::about::About;
use crate::pattern::read_through::read_through;
use crate::pattern::{Cx, Failure, Traits};

pub(crate) const ABOUT: About = About {
    name: "ttl-only",
    summary: "readers fill, writers change the database only; entries just expire",
    source: include_str!("ttl_only.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// The steps of `read-through`, judged by the bound that a TTL gives.
pub(crate) async fn ttl_only(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    read_through(cx, op).await
}
