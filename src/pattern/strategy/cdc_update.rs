//! `cdc-update`: a reader of the database's log of commits stores each changed row in the cache.
//! With `compare` (the default) it stores only what is newer than what is there, and so do readers
//! that fill; without it, both set.
//!
//! Promises, with `compare`, what `cdc-invalidate` does, and hits after writes: records that are
//! replayed or dealt with out of order do no harm to a living entry. An entry that was deleted
//! or evicted has no version to compare with. With several processes the records are dealt out
//! among them, by row or in turn.

use super::cdc_invalidate::{done, next_record};
use super::versioned_set::{self, store_if_newer};
use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::carry_out;
use crate::pattern::{Cx, Failure, Pattern, Settings, Tick, Traits, read_through};
use crate::step::LogRecord;

pub(crate) const ABOUT: About = About {
    name: "cdc-update",
    summary: "a reader of the log of commits stores changed rows; writers only write",
    source: include_str!("cdc_update.rs"),
    traits: Traits { background: true, reads_log: true, ..Traits::CACHING },
    settings: &[
        SettingSpec { name: "compare", default: "true", summary: "store only what is newer" },
        SettingSpec { name: "workers", default: "1", summary: "processes that share the log" },
        SettingSpec { name: "partition", default: "row", summary: "shared by `row` or in `turn`" },
    ],
};

/// Updates from the log.
pub(crate) struct CdcUpdate {
    compare: bool,
    workers: u32,
    in_turn: bool,
}

impl CdcUpdate {
    pub(crate) fn new(settings: &Settings) -> Result<CdcUpdate, String> {
        let options = Options::new(settings, ABOUT.settings)?;
        let in_turn = options.choice("partition", &["row", "turn"])? == 1;
        let workers = options.number("workers")?;
        Ok(CdcUpdate { compare: options.flag("compare")?, workers, in_turn })
    }

    /// Whether a record is for the process that carries out this tick.
    fn is_ours(&self, cx: &Cx, record: &LogRecord) -> bool {
        let number = if self.in_turn { record.position } else { record.id.0 };
        let process = cx.client().process_of_background().unwrap_or_default();
        number % u64::from(self.workers) == u64::from(process.0 % self.workers)
    }

    async fn store(&self, cx: &Cx, record: &LogRecord) -> Result<(), Failure> {
        let key = cx.key(record.id);
        match &record.row {
            Some(row) if self.compare => store_if_newer(cx, row).await,
            Some(row) => cx.cache.set(&key, cx.seal(row), cx.ttl()).await,
            None => cx.cache.delete(&key).await.map(|_| ()),
        }
    }
}

impl Pattern for CdcUpdate {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        let read = async |cx: &Cx, id| match self.compare {
            true => versioned_set::read(cx, id).await,
            false => read_through::read(cx, id).await,
        };
        carry_out(cx, op, read, async |cx: &Cx, action: Action| cx.db.apply(&action).await).await
    }

    async fn tick(&self, cx: &Cx) -> Result<Tick, Failure> {
        let Some(record) = next_record(cx).await? else { return Ok(Tick::Idle) };
        if self.is_ours(cx, &record) {
            self.store(cx, &record).await?;
        }
        done(cx, &record).await;
        Ok(Tick::Worked)
    }
}
