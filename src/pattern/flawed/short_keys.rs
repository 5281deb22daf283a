//! `short-keys`: keys are shortened, so that two rows share one.
//!
//! Wrong because a reader gets another row than it asked for. With `verify = true` it compares
//! the entry's row with the one it wants, and takes a foreign entry for a miss.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Key, Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "short-keys",
    summary: "flawed: keys so short that two rows share one",
    source: include_str!("short_keys.rs"),
    traits: Traits::CACHING,
    settings: &[SettingSpec {
        name: "verify",
        default: "false",
        summary: "readers check whose entry it is",
    }],
};

/// Rows 2n and 2n+1 share a key.
pub(crate) struct ShortKeys {
    verify: bool,
}

impl ShortKeys {
    pub(crate) fn new(settings: &Settings) -> Result<ShortKeys, String> {
        Ok(ShortKeys { verify: Options::new(settings, ABOUT.settings)?.flag("verify")? })
    }

    async fn read(&self, cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
        let key = short(cx, id);
        if let Some(hit) = cx.cache.get(&key).await? {
            let row = cx.open(&hit)?;
            if !self.verify || row.id == id {
                return Ok(Some(row));
            }
        }
        let row = cx.db.select(id).await?;
        if let Some(row) = &row {
            cx.cache.set(&key, cx.seal(row), cx.ttl()).await?;
        }
        Ok(row)
    }
}

fn short(cx: &Cx, id: RowId) -> Key {
    cx.key(RowId(id.0 & !1))
}

impl Pattern for ShortKeys {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        let read = async |cx: &Cx, id| self.read(cx, id).await;
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let change = cx.db.apply(&action).await?;
            cx.cache.delete(&short(cx, row_of(&action))).await?;
            Ok(change)
        })
        .await
    }
}
