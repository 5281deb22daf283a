//! `cdc-invalidate`: a reader of the database's log of commits deletes the entry of each row that
//! changed; writers only write. Fills are by lease.
//!
//! Promises that every logged write is invalidated in the end, whoever made it, with a lag. A
//! record that is purged before it is read is never seen; a reader that starts anew begins at
//! the beginning, which does no harm to deletes.

use super::lease::Lease;
use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::carry_out;
use crate::pattern::{Cx, Failure, Pattern, Settings, Tick, Traits};
use crate::step::{Key, LogRecord};

pub(crate) const ABOUT: About = About {
    name: "cdc-invalidate",
    summary: "a reader of the log of commits deletes entries; writers only write",
    source: include_str!("cdc_invalidate.rs"),
    traits: Traits { background: true, reads_log: true, ..Traits::CACHING },
    settings: &[],
};

/// Invalidation from the log.
pub(crate) struct CdcInvalidate {
    lease: Lease,
}

impl CdcInvalidate {
    pub(crate) fn new(_: &Settings) -> Result<CdcInvalidate, String> {
        Ok(CdcInvalidate { lease: Lease::default() })
    }
}

/// The next record that this process has not dealt with, and its position in the cell.
pub(crate) async fn next_record(cx: &Cx) -> Result<Option<LogRecord>, Failure> {
    let held = cx.local.load(&cell()).await;
    let after = held.and_then(|held| held[..].try_into().ok()).map_or(0, u64::from_le_bytes);
    let record = cx.log.read(after, 1).await?.into_iter().next();
    if record.as_ref().is_some_and(|record| record.position > after + 1) {
        cx.mark("cdc: the log has a gap");
    }
    Ok(record)
}

/// Remembers that a record is dealt with; in memory, so a new process begins anew.
pub(crate) async fn done(cx: &Cx, record: &LogRecord) {
    let position = record.position.to_le_bytes().to_vec();
    cx.local.store(&cell(), Some(position.into())).await;
}

fn cell() -> Key {
    Key::from("log-position")
}

impl Pattern for CdcInvalidate {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        let read = async |cx: &Cx, id| self.lease.read(cx, id).await;
        carry_out(cx, op, read, async |cx: &Cx, action: Action| cx.db.apply(&action).await).await
    }

    async fn tick(&self, cx: &Cx) -> Result<Tick, Failure> {
        let Some(record) = next_record(cx).await? else { return Ok(Tick::Idle) };
        cx.cache.delete(&cx.key(record.id)).await?;
        done(cx, &record).await;
        Ok(Tick::Worked)
    }
}
