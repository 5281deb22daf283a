//! `sync-invalidate-cdc` (CacheFront): after its commit a writer puts a mark with the new version
//! in the entry's place; a reader of the log of commits does the same later; readers fill only
//! what is at least as new as the mark.
//!
//! Promises that a writer's own mark makes its write visible at once, and that the log's mark
//! follows if the writer dies. A mark that is evicted, or expires, lets an old fill in.

use bytes::Bytes;

use super::cdc_invalidate::{done, next_record};
use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{CasOutcome, Cx, Failure, Pattern, Settings, Tick, Traits};
use crate::step::{Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "sync-invalidate-cdc",
    summary: "writers mark entries with the new version, the log does so again; fills compare",
    source: include_str!("sync_invalidate_cdc.rs"),
    traits: Traits { background: true, reads_log: true, ..Traits::CACHING },
    settings: &[],
};

/// How often a store that was overtaken looks again before it gives up.
const TRIES: usize = 8;
const MARK: &str = "sp0 version ";

/// Marks with versions, twice.
pub(crate) struct SyncInvalidateCdc;

impl SyncInvalidateCdc {
    pub(crate) fn new(_: &Settings) -> Result<SyncInvalidateCdc, String> {
        Ok(SyncInvalidateCdc)
    }
}

/// The version that a value has or demands.
fn version(cx: &Cx, value: &[u8]) -> Result<u64, Failure> {
    match value.strip_prefix(MARK.as_bytes()) {
        Some(digits) => {
            let text = std::str::from_utf8(digits).ok();
            text.and_then(|text| text.parse().ok()).ok_or(Failure::Undecodable)
        }
        None => Ok(cx.open(value)?.version),
    }
}

/// Puts a value in the place of whatever has a lower version; a row also in that of the mark
/// that demands it.
async fn put(cx: &Cx, id: RowId, value: Bytes) -> Result<(), Failure> {
    let key = cx.key(id);
    let own = version(cx, &value)?;
    for _ in 0..TRIES {
        let put = match cx.cache.gets(&key).await? {
            None => cx.cache.add(&key, value.clone(), cx.ttl()).await?,
            Some((there, token)) => {
                let (demanded, is_mark) =
                    (version(cx, &there)?, there.starts_with(MARK.as_bytes()));
                let fits = own > demanded || (own == demanded && is_mark);
                if !fits {
                    return Ok(());
                }
                let outcome = cx.cache.cas(&key, value.clone(), cx.ttl(), token).await?;
                outcome == CasOutcome::Stored
            }
        };
        if put {
            return Ok(());
        }
    }
    Err(Failure::GaveUp("the entry was overtaken again and again"))
}

fn mark(version: u64) -> Bytes {
    Bytes::from(format!("{MARK}{version}"))
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    if let Some(value) = cx.cache.get(&cx.key(id)).await?
        && !value.starts_with(MARK.as_bytes())
    {
        return cx.open(&value).map(Some);
    }
    let row = cx.db.select(id).await?;
    if let Some(row) = &row {
        put(cx, id, cx.seal(row)).await?;
    }
    Ok(row)
}

impl Pattern for SyncInvalidateCdc {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let change = cx.db.apply(&action).await?;
            // What this misses, the log's reader does.
            let _ = match &change.row {
                Some(row) => put(cx, row.id, mark(row.version)).await,
                None => cx.cache.delete(&cx.key(row_of(&action))).await.map(|_| ()),
            };
            Ok(change)
        })
        .await
    }

    async fn tick(&self, cx: &Cx) -> Result<Tick, Failure> {
        let Some(record) = next_record(cx).await? else { return Ok(Tick::Idle) };
        put(cx, record.id, mark(record.version)).await?;
        done(cx, &record).await;
        Ok(Tick::Worked)
    }
}
