//! `early-refresh`: an entry that is about to expire is loaded anew by one reader, who wins that
//! right from memcached (`mg R`); the others are served the entry. Fills are by lease.
//!
//! Promises no storm of misses when a hot entry expires, and nothing beyond `lease` about what is
//! filled. The window stands for XFetch's draw, which needs the cost of a load.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{Cx, Failure, Pattern, Settings, Traits};
use crate::step::{MetaGet, Row, RowId, Ttl, Win};

use super::lease;

pub(crate) const ABOUT: About = About {
    name: "early-refresh",
    summary: "one reader reloads an entry that is about to expire (mg R); fills are by lease",
    source: include_str!("early_refresh.rs"),
    traits: Traits::CACHING,
    settings: &[
        SettingSpec { name: "window-seconds", default: "30", summary: "how long before the end" },
        SettingSpec { name: "lease-seconds", default: "30", summary: "the expiry of a stub" },
    ],
};

/// Reloads before the end.
pub(crate) struct EarlyRefresh {
    window: Ttl,
    term: Ttl,
}

impl EarlyRefresh {
    pub(crate) fn new(settings: &Settings) -> Result<EarlyRefresh, String> {
        let options = Options::new(settings, ABOUT.settings)?;
        let window = options.seconds("window-seconds")?;
        Ok(EarlyRefresh { window, term: options.seconds("lease-seconds")? })
    }

    async fn read(&self, cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
        let key = cx.key(id);
        let vivifying = MetaGet::vivifying(key.clone(), self.term);
        let get = MetaGet { recache: Some(self.window), ..vivifying };
        let Some(item) = cx.cache.meta_get(get).await? else { return cx.db.select(id).await };
        match item.win {
            Win::Won => {
                let row = cx.db.select(id).await?;
                lease::fill(cx, &key, row.as_ref(), item.cas).await?;
                Ok(row)
            }
            Win::Lost if item.value.is_empty() => cx.db.select(id).await,
            _ => cx.open(&item.value).map(Some),
        }
    }
}

impl Pattern for EarlyRefresh {
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
