//! `negative-caching`: that a row does not exist is cached too.
//!
//! Wrong in two ways. With `invalidate = false` an insert deletes nothing, "because the row is
//! new", and the row stays invisible. With `invalidate = true` a reader that found no row may
//! still set its mark after the insert's delete.

use crate::entity::envelope;
use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "negative-caching",
    summary: "flawed: absent rows are cached as absent, by a plain set",
    source: include_str!("negative_caching.rs"),
    traits: Traits::CACHING,
    settings: &[SettingSpec {
        name: "invalidate",
        default: "true",
        summary: "inserts delete the entry as other writes do",
    }],
};

/// Caches absence.
pub(crate) struct NegativeCaching {
    invalidate: bool,
}

impl NegativeCaching {
    pub(crate) fn new(settings: &Settings) -> Result<NegativeCaching, String> {
        let invalidate = Options::new(settings, ABOUT.settings)?.flag("invalidate")?;
        Ok(NegativeCaching { invalidate })
    }
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let key = cx.key(id);
    match cx.cache.get(&key).await? {
        Some(hit) if hit == envelope::ABSENT => return Ok(None),
        Some(hit) => return cx.open(&hit).map(Some),
        None => {}
    }
    let row = cx.db.select(id).await?;
    let value = row.as_ref().map_or(envelope::ABSENT.into(), |row| cx.seal(row));
    cx.cache.set(&key, value, cx.ttl()).await?;
    Ok(row)
}

impl Pattern for NegativeCaching {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let change = cx.db.apply(&action).await?;
            if self.invalidate || !matches!(action, Action::Insert(..)) {
                cx.cache.delete(&cx.key(row_of(&action))).await?;
            }
            Ok(change)
        })
        .await
    }
}
