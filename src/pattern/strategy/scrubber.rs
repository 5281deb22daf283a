//! `scrubber`: cache-aside, and a background round that compares every entry with its row and
//! deletes what is older, by token.
//!
//! Promises that whatever is wrong and can be seen from the outside is gone one round later, also
//! what writes behind the application's back or a lost log have left. Between two rounds it
//! promises nothing. It deletes and never sets: a repair that sets could itself be old.

use crate::entity::envelope;
use crate::operation::{Op, Reply};
use crate::pattern::about::About;
use crate::pattern::cache_aside::cache_aside;
use crate::pattern::{Cx, Failure, Pattern, Settings, Tick, Traits};
use crate::step::{MetaDelete, RowId};

pub(crate) const ABOUT: About = About {
    name: "scrubber",
    summary: "cache-aside, and rounds that delete every entry that differs from its row",
    source: include_str!("scrubber.rs"),
    traits: Traits { background: true, ..Traits::CACHING },
    settings: &[],
};

/// Looks at everything, again and again.
pub(crate) struct Scrubber;

impl Scrubber {
    pub(crate) fn new(_: &Settings) -> Result<Scrubber, String> {
        Ok(Scrubber)
    }
}

/// Deletes a row's entry if it is of another version; says whether it did.
async fn scrub(cx: &Cx, id: RowId) -> Result<bool, Failure> {
    let key = cx.key(id);
    let Some((value, token)) = cx.cache.gets(&key).await? else { return Ok(false) };
    if envelope::is_mark(&value) {
        return Ok(false);
    }
    let row = cx.db.select_primary(id).await?;
    let entry = cx.open(&value)?;
    if row.is_some_and(|row| row.version == entry.version) {
        return Ok(false);
    }
    cx.mark("scrubber: an entry differed");
    cx.cache.meta_delete(MetaDelete { key, cas: Some(token), invalidate: false, ttl: None }).await
}

impl Pattern for Scrubber {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        cache_aside(cx, op).await
    }

    async fn tick(&self, cx: &Cx) -> Result<Tick, Failure> {
        let mut worked = Tick::Idle;
        for id in 0..cx.initial_rows() {
            if scrub(cx, RowId(id)).await? {
                worked = Tick::Worked;
            }
        }
        Ok(worked)
    }
}
