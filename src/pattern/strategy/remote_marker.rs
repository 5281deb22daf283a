//! `remote-marker`: before a write its key is marked; a reader that misses a marked key reads
//! the primary, else the nearest replica. Fills are by lease.
//!
//! Promises that a lagging replica does not refill what a write has just deleted, for as long as
//! the marker lives: it has to outlive the lag. An evicted marker protects nothing.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Key, MetaGet, Row, RowId, Ttl, Win};

use super::lease;

pub(crate) const ABOUT: About = About {
    name: "remote-marker",
    summary: "writers mark the key for a while, readers that miss a marked key read the primary",
    source: include_str!("remote_marker.rs"),
    traits: Traits::CACHING,
    settings: &[SettingSpec {
        name: "marker-seconds",
        default: "30",
        summary: "the marker's expiry: longer than any lag",
    }],
};

/// Readers know when a replica may be behind.
pub(crate) struct RemoteMarker {
    marker: Ttl,
}

impl RemoteMarker {
    pub(crate) fn new(settings: &Settings) -> Result<RemoteMarker, String> {
        let options = Options::new(settings, ABOUT.settings)?;
        Ok(RemoteMarker { marker: options.seconds("marker-seconds")? })
    }

    async fn read(&self, cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
        let key = cx.key(id);
        let item = cx.cache.meta_get(MetaGet::vivifying(key.clone(), self.marker)).await?;
        let token = match item {
            Some(item) if item.win == Win::None => return cx.open(&item.value).map(Some),
            Some(item) if item.win == Win::Won => Some(item.cas),
            _ => None,
        };
        let row = match cx.cache.get(&marker_of(&key)).await? {
            Some(_) => cx.db.select_primary(id).await?,
            None => cx.db.select(id).await?,
        };
        if let Some(token) = token {
            lease::fill(cx, &key, row.as_ref(), token).await?;
        }
        Ok(row)
    }
}

fn marker_of(key: &Key) -> Key {
    Key::from(format!("remote:{key}"))
}

impl Pattern for RemoteMarker {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        let read = async |cx: &Cx, id| self.read(cx, id).await;
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let key = cx.key(row_of(&action));
            cx.cache.set(&marker_of(&key), "sp0 remote".into(), self.marker).await?;
            let change = cx.db.apply(&action).await?;
            cx.cache.delete(&key).await?;
            Ok(change)
        })
        .await
    }
}
