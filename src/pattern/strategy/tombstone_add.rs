//! `tombstone-add` (WANObjectCache): writers replace the entry by a tombstone for a hold-off;
//! readers fill with `add`, and not at all while the tombstone stands.
//!
//! Promises that no fill that began before a commit outlives it, as long as fills are shorter
//! than the hold-off and the tombstone is neither lost nor evicted. Both are assumptions: a
//! reader that is stopped for longer adds the old row.

use crate::entity::envelope;
use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Row, RowId, Ttl};

pub(crate) const ABOUT: About = About {
    name: "tombstone-add",
    summary: "writers leave a tombstone for a while; readers fill by `add`",
    source: include_str!("tombstone_add.rs"),
    traits: Traits::CACHING,
    settings: &[SettingSpec {
        name: "hold-seconds",
        default: "10",
        summary: "how long a tombstone keeps readers from filling",
    }],
};

/// Fills by `add`, holds fills off by tombstones.
pub(crate) struct TombstoneAdd {
    hold: Ttl,
}

impl TombstoneAdd {
    pub(crate) fn new(settings: &Settings) -> Result<TombstoneAdd, String> {
        Ok(TombstoneAdd { hold: Options::new(settings, ABOUT.settings)?.seconds("hold-seconds")? })
    }
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let key = cx.key(id);
    match cx.cache.get(&key).await? {
        Some(value) if value == envelope::TOMBSTONE => cx.db.select(id).await,
        Some(hit) => cx.open(&hit).map(Some),
        None => {
            let row = cx.db.select(id).await?;
            if let Some(row) = &row
                && !cx.cache.add(&key, cx.seal(row), cx.ttl()).await?
            {
                cx.mark("tombstone-add: a late fill was refused");
            }
            Ok(row)
        }
    }
}

impl Pattern for TombstoneAdd {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let change = cx.db.apply(&action).await?;
            cx.cache.set(&cx.key(row_of(&action)), envelope::TOMBSTONE.into(), self.hold).await?;
            Ok(change)
        })
        .await
    }
}
