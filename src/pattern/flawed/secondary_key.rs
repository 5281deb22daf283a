//! `secondary-key`: entries are found under the value of an indexed column, here "was it ever
//! updated": a row at version 1 is under `new`, a later one under `changed`.
//!
//! Wrong as long as a writer that moves a row deletes the entry of the new value only: who asks
//! under the old value still finds the old row. With `complete = true` it deletes both.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Key, Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "secondary-key",
    summary: "flawed: entries by an indexed column; writers delete the new value's entry only",
    source: include_str!("secondary_key.rs"),
    traits: Traits::CACHING,
    settings: &[SettingSpec {
        name: "complete",
        default: "false",
        summary: "writers delete the old value's entry too",
    }],
};

const VALUES: [&str; 2] = ["new", "changed"];

/// Forgets the place that a row has left.
pub(crate) struct SecondaryKey {
    complete: bool,
}

impl SecondaryKey {
    pub(crate) fn new(settings: &Settings) -> Result<SecondaryKey, String> {
        Ok(SecondaryKey { complete: Options::new(settings, ABOUT.settings)?.flag("complete")? })
    }
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    for value in VALUES {
        if let Some(hit) = cx.cache.get(&place(cx, id, value)).await? {
            return cx.open(&hit).map(Some);
        }
    }
    let row = cx.db.select(id).await?;
    if let Some(row) = &row {
        let value = VALUES[usize::from(row.version > 1)];
        cx.cache.set(&place(cx, id, value), cx.seal(row), cx.ttl()).await?;
    }
    Ok(row)
}

fn place(cx: &Cx, id: RowId, value: &str) -> Key {
    Key::from(format!("by-state:{value}:{}", cx.key(id)))
}

impl Pattern for SecondaryKey {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let change = cx.db.apply(&action).await?;
            let id = row_of(&action);
            cx.cache.delete(&place(cx, id, VALUES[1])).await?;
            if self.complete {
                cx.cache.delete(&place(cx, id, VALUES[0])).await?;
            }
            Ok(change)
        })
        .await
    }
}
