//! `stale-lease` (stale-while-revalidate): writers mark the entry stale; of the readers that see
//! the mark one wins the right to load it anew, the others are served the old row meanwhile.
//!
//! Promises that a write causes neither a storm of misses nor a slow read, and that a fill that
//! began before the mark is refused. It serves old rows on purpose: a writer may not see its own
//! write. A winner that dies leaves the item stale, and nobody else wins until it expires.

use std::time::Duration;

use super::lease;
use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{Cx, Failure, Pattern, Settings, Traits};
use crate::step::{MetaDelete, MetaGet, Row, RowId, Ttl, Win};

pub(crate) const ABOUT: About = About {
    name: "stale-lease",
    summary: "writers mark entries stale (md I); one reader reloads, the others get the old row",
    source: include_str!("stale_lease.rs"),
    traits: Traits::CACHING,
    settings: &[
        SettingSpec { name: "stale-seconds", default: "30", summary: "how long it is served" },
        SettingSpec { name: "wait", default: "2ms", summary: "the pause between two looks" },
        SettingSpec { name: "looks", default: "5", summary: "looks before reading the database" },
    ],
};

/// Serves the old row while one reader loads the new one.
pub(crate) struct StaleLease {
    stale: Ttl,
    wait: Duration,
    looks: u32,
}

impl Default for StaleLease {
    fn default() -> StaleLease {
        StaleLease::new(&Settings::new()).expect("the defaults are well-formed")
    }
}

impl StaleLease {
    pub(crate) fn new(settings: &Settings) -> Result<StaleLease, String> {
        let options = Options::new(settings, ABOUT.settings)?;
        let stale = options.seconds("stale-seconds")?;
        Ok(StaleLease { stale, wait: options.duration("wait")?, looks: options.number("looks")? })
    }

    pub(crate) async fn read(&self, cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
        let key = cx.key(id);
        for _ in 0..self.looks {
            let get = MetaGet::vivifying(key.clone(), self.stale);
            let Some(item) = cx.cache.meta_get(get).await? else { break };
            match item.win {
                Win::Won => {
                    let row = cx.db.select(id).await?;
                    lease::fill(cx, &key, row.as_ref(), item.cas).await?;
                    return Ok(row);
                }
                // A stub has no old row to serve.
                Win::Lost if item.value.is_empty() => cx.sleep(self.wait).await,
                Win::Lost => {
                    cx.mark("stale-lease: served the old row");
                    return cx.open(&item.value).map(Some);
                }
                Win::None => return cx.open(&item.value).map(Some),
            }
        }
        cx.db.select(id).await
    }
}

impl Pattern for StaleLease {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        let read = async |cx: &Cx, id| self.read(cx, id).await;
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let change = cx.db.apply(&action).await?;
            let key = cx.key(row_of(&action));
            // A deleted row must not be served for another while.
            let invalidate = !matches!(action, Action::Delete(_));
            let ttl = invalidate.then_some(self.stale);
            cx.cache.meta_delete(MetaDelete { key, cas: None, invalidate, ttl }).await?;
            Ok(change)
        })
        .await
    }
}
