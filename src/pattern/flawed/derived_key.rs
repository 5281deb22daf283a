//! `derived-key`: readers use an entry that is derived from the row (a rendered card, a list)
//! under a key of its own.
//!
//! Wrong as long as writers delete the row's key only; with `complete = true` they delete both.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through;
use crate::pattern::{Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Key, Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "derived-key",
    summary: "flawed: entries derived from a row, which its writers do not delete",
    source: include_str!("derived_key.rs"),
    traits: Traits::CACHING,
    settings: &[SettingSpec {
        name: "complete",
        default: "false",
        summary: "writers delete the derived entry too",
    }],
};

/// Forgets what was derived.
pub(crate) struct DerivedKey {
    complete: bool,
}

impl DerivedKey {
    pub(crate) fn new(settings: &Settings) -> Result<DerivedKey, String> {
        Ok(DerivedKey { complete: Options::new(settings, ABOUT.settings)?.flag("complete")? })
    }
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let card = card_of(cx, id);
    if let Some(hit) = cx.cache.get(&card).await? {
        return cx.open(&hit).map(Some);
    }
    let row = read_through::read(cx, id).await?;
    if let Some(row) = &row {
        cx.cache.set(&card, cx.seal(row), cx.ttl()).await?;
    }
    Ok(row)
}

fn card_of(cx: &Cx, id: RowId) -> Key {
    Key::from(format!("card:{}", cx.key(id)))
}

impl Pattern for DerivedKey {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let change = cx.db.apply(&action).await?;
            let id = row_of(&action);
            cx.cache.delete(&cx.key(id)).await?;
            if self.complete {
                cx.cache.delete(&card_of(cx, id)).await?;
            }
            Ok(change)
        })
        .await
    }
}
