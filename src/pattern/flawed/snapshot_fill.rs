//! `snapshot-fill`: readers work in a repeatable-read transaction, whose first statement takes
//! the snapshot; a miss later in it is filled from that snapshot.
//!
//! Wrong because the snapshot may be older than the last invalidation. With `fill = "lease"`
//! fills are by lease, which does not help: the token is newer than the snapshot.

use super::super::strategy::lease;
use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Isolation, Key, MetaGet, Row, RowId, Ttl, Win};

pub(crate) const ABOUT: About = About {
    name: "snapshot-fill",
    summary: "flawed: readers fill from the snapshot of an older transaction",
    source: include_str!("snapshot_fill.rs"),
    traits: Traits { transactions: true, ..Traits::CACHING },
    settings: &[SettingSpec { name: "fill", default: "set", summary: "`set` or `lease`" }],
};

/// Fills from a snapshot.
pub(crate) struct SnapshotFill {
    by_lease: bool,
}

impl SnapshotFill {
    pub(crate) fn new(settings: &Settings) -> Result<SnapshotFill, String> {
        let options = Options::new(settings, ABOUT.settings)?;
        Ok(SnapshotFill { by_lease: options.choice("fill", &["set", "lease"])? == 1 })
    }

    async fn read(&self, cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
        cx.db.begin_at(Isolation::RepeatableRead).await?;
        // Whatever the transaction reads first fixes its snapshot.
        cx.db.select(id).await?;
        let row = self.through_cache(cx, id, &cx.key(id)).await?;
        cx.db.commit().await?;
        Ok(row)
    }

    async fn through_cache(&self, cx: &Cx, id: RowId, key: &Key) -> Result<Option<Row>, Failure> {
        if !self.by_lease {
            return super::super::read_through::read(cx, id).await;
        }
        match cx.cache.meta_get(MetaGet::vivifying(key.clone(), Ttl::seconds(30))).await? {
            Some(item) if item.win == Win::None => cx.open(&item.value).map(Some),
            Some(item) if item.win == Win::Won => {
                let row = cx.db.select(id).await?;
                lease::fill(cx, key, row.as_ref(), item.cas).await?;
                Ok(row)
            }
            _ => cx.db.select(id).await,
        }
    }
}

impl Pattern for SnapshotFill {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        let read = async |cx: &Cx, id| self.read(cx, id).await;
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let change = cx.db.apply(&action).await?;
            cx.cache.delete(&cx.key(row_of(&action))).await?;
            Ok(change)
        })
        .await
    }
}
