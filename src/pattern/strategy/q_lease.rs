//! `q-lease` (IQ-invalidate): before its transaction a writer replaces the entry by a mark, which
//! voids every fill under way; readers that see the mark read the database and do not fill;
//! after the commit the mark is removed. Writers of one key count in the mark.
//!
//! Promises that readers of one key see writes in order, as long as marks outlive transactions
//! and all use one node and the primary. A writer that dies leaves a mark that expires, and the
//! entry goes with it. A write whose mark cannot be placed does not happen.

use bytes::Bytes;

use super::lease;
use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{CasOutcome, Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Key, MetaDelete, MetaGet, Row, RowId, Ttl, Win};

pub(crate) const ABOUT: About = About {
    name: "q-lease",
    summary: "writers mark the entry before their transaction and remove it after the commit",
    source: include_str!("q_lease.rs"),
    traits: Traits::CACHING,
    settings: &[SettingSpec {
        name: "mark-seconds",
        default: "10",
        summary: "the expiry of marks and of readers' leases",
    }],
};

/// How often a writer that was overtaken tries again.
const TRIES: usize = 8;
/// A mark is this and the number of writers.
const MARK: &[u8] = b"sp0 q";

/// Marks before the change, deletes after it.
pub(crate) struct QLease {
    term: Ttl,
}

impl QLease {
    pub(crate) fn new(settings: &Settings) -> Result<QLease, String> {
        Ok(QLease { term: Options::new(settings, ABOUT.settings)?.seconds("mark-seconds")? })
    }

    async fn read(&self, cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
        let key = cx.key(id);
        match cx.cache.meta_get(MetaGet::vivifying(key.clone(), self.term)).await? {
            Some(item) if item.win == Win::Won => {
                let row = cx.db.select(id).await?;
                lease::fill(cx, &key, row.as_ref(), item.cas).await?;
                Ok(row)
            }
            Some(item) if item.win == Win::None && writers(&item.value).is_none() => {
                cx.open(&item.value).map(Some)
            }
            // A mark, or another reader's stub.
            _ => {
                cx.mark("q-lease: read past a mark");
                cx.db.select(id).await
            }
        }
    }

    async fn mark(&self, cx: &Cx, key: &Key) -> Result<(), Failure> {
        for _ in 0..TRIES {
            let placed = match cx.cache.gets(key).await? {
                None => cx.cache.add(key, mark(1), self.term).await?,
                Some((value, token)) => {
                    let mark = mark(writers(&value).unwrap_or(0) + 1);
                    cx.cache.cas(key, mark, self.term, token).await? == CasOutcome::Stored
                }
            };
            if placed {
                return Ok(());
            }
        }
        Err(Failure::GaveUp("the mark was overtaken again and again"))
    }

    async fn release(&self, cx: &Cx, key: &Key) -> Result<(), Failure> {
        for _ in 0..TRIES {
            let Some((value, token)) = cx.cache.gets(key).await? else { return Ok(()) };
            let released = match writers(&value) {
                Some(others @ 2..) => {
                    let fewer = mark(others - 1);
                    cx.cache.cas(key, fewer, self.term, token).await? == CasOutcome::Stored
                }
                // The own mark, or what a reader filled after it had expired.
                _ => delete(cx, key, token).await?,
            };
            if released {
                return Ok(());
            }
        }
        cx.cache.delete(key).await.map(|_| ())
    }
}

async fn delete(cx: &Cx, key: &Key, token: u64) -> Result<bool, Failure> {
    let (key, cas) = (key.clone(), Some(token));
    cx.cache.meta_delete(MetaDelete { key, cas, invalidate: false, ttl: None }).await
}

fn mark(writers: u8) -> Bytes {
    Bytes::from([MARK, &[b'0' + writers.min(200)]].concat())
}

fn writers(value: &[u8]) -> Option<u8> {
    match value.strip_prefix(MARK) {
        Some([digit]) => Some(digit.saturating_sub(b'0')),
        _ => None,
    }
}

impl Pattern for QLease {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        let read = async |cx: &Cx, id| self.read(cx, id).await;
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let key = cx.key(row_of(&action));
            self.mark(cx, &key).await?;
            let change = cx.db.apply(&action).await;
            // Also when the change failed, and when nobody knows whether it did.
            let released = self.release(cx, &key).await;
            released.and(change)
        })
        .await
    }
}
