//! `iq-refresh`: like `q-lease`, but a mark belongs to one writer, others wait for it, and after
//! the commit the writer puts the new row in the mark's place.
//!
//! Promises what `q-lease` does, and that a write leaves a hit behind. Writers of a hot key wait
//! for one another and give up after a while, before anything is written.

use std::time::Duration;

use bytes::Bytes;

use super::lease;
use crate::entity::envelope;
use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{CasOutcome, Change, Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Key, MetaGet, Row, RowId, Ttl, Win};

pub(crate) const ABOUT: About = About {
    name: "iq-refresh",
    summary: "writers take a mark each in turn, and put the new row in its place after the commit",
    source: include_str!("iq_refresh.rs"),
    traits: Traits::CACHING,
    settings: &[
        SettingSpec { name: "mark-seconds", default: "10", summary: "the expiry of marks" },
        SettingSpec { name: "wait", default: "2ms", summary: "a writer's pause between two tries" },
        SettingSpec { name: "tries", default: "8", summary: "tries before a write gives up" },
    ],
};

/// One writer of a key at a time, which refreshes the entry.
pub(crate) struct IqRefresh {
    term: Ttl,
    wait: Duration,
    tries: u32,
}

impl IqRefresh {
    pub(crate) fn new(settings: &Settings) -> Result<IqRefresh, String> {
        let options = Options::new(settings, ABOUT.settings)?;
        let term = options.seconds("mark-seconds")?;
        Ok(IqRefresh { term, wait: options.duration("wait")?, tries: options.number("tries")? })
    }

    async fn read(&self, cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
        let key = cx.key(id);
        match cx.cache.meta_get(MetaGet::vivifying(key.clone(), self.term)).await? {
            Some(item) if item.win == Win::Won => {
                let row = cx.db.select(id).await?;
                lease::fill(cx, &key, row.as_ref(), item.cas).await?;
                Ok(row)
            }
            Some(item) if item.win == Win::None && !envelope::is_mark(&item.value) => {
                cx.open(&item.value).map(Some)
            }
            _ => cx.db.select(id).await,
        }
    }

    /// Takes the key for one writer, whose mark is then under it.
    async fn take(&self, cx: &Cx, key: &Key, mark: &Bytes) -> Result<(), Failure> {
        for _ in 0..self.tries {
            let taken = match cx.cache.gets(key).await? {
                None => cx.cache.add(key, mark.clone(), self.term).await?,
                Some((value, _)) if value.starts_with(b"sp0 iq ") => {
                    cx.mark("iq-refresh: waited for another writer");
                    cx.sleep(self.wait).await;
                    false
                }
                Some((_, token)) => {
                    let outcome = cx.cache.cas(key, mark.clone(), self.term, token).await?;
                    outcome == CasOutcome::Stored
                }
            };
            if taken {
                return Ok(());
            }
        }
        Err(Failure::GaveUp("another writer has the key"))
    }

    /// Puts the new row in the mark's place; whatever else is there is removed.
    async fn give(
        &self,
        cx: &Cx,
        key: &Key,
        mark: &Bytes,
        change: &Result<Change, Failure>,
    ) -> Result<(), Failure> {
        if let Ok(Change { row: Some(row), .. }) = change
            && let Some((value, token)) = cx.cache.gets(key).await?
            && value == mark
            && cx.cache.cas(key, cx.seal(row), cx.ttl(), token).await? == CasOutcome::Stored
        {
            return Ok(());
        }
        cx.cache.delete(key).await.map(|_| ())
    }
}

impl Pattern for IqRefresh {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        let read = async |cx: &Cx, id| self.read(cx, id).await;
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let key = cx.key(row_of(&action));
            let mark = Bytes::from(format!("sp0 iq {}", cx.tag()));
            self.take(cx, &key, &mark).await?;
            let change = cx.db.apply(&action).await;
            let given = self.give(cx, &key, &mark, &change).await;
            given.and(change)
        })
        .await
    }
}
