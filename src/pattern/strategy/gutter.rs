//! `gutter`: while a key's node fails, readers use a spare entry under another key, which lives
//! for seconds; deletes that fail wait in the process until they succeed, and until then its
//! readers avoid the home entry. Fills of the home entry are by lease.
//!
//! Promises that an entry on a node that comes back is not served by a process that knows of a
//! write to it, and that a spare entry is old for seconds at most. Another process does not know;
//! a crash forgets the waiting deletes.

use bytes::Bytes;

use super::lease;
use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::carry_out;
use crate::pattern::{Cx, Failure, Pattern, Settings, Tick, Traits};
use crate::step::{Item, Key, MetaGet, Row, RowId, Ttl, Win};

pub(crate) const ABOUT: About = About {
    name: "gutter",
    summary: "spare entries of short life while a node fails; failed deletes wait and are retried",
    source: include_str!("gutter.rs"),
    traits: Traits { background: true, ..Traits::CACHING },
    settings: &[SettingSpec {
        name: "gutter-seconds",
        default: "10",
        summary: "the expiry of spare entries",
    }],
};

const LEASE: Ttl = Ttl(30);

/// Never another node for the same key.
pub(crate) struct Gutter {
    spare: Ttl,
}

impl Gutter {
    pub(crate) fn new(settings: &Settings) -> Result<Gutter, String> {
        Ok(Gutter { spare: Options::new(settings, ABOUT.settings)?.seconds("gutter-seconds")? })
    }

    async fn read(&self, cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
        let key = cx.key(id);
        let pending = cx.local.load(&pending(id)).await.is_some();
        if !pending
            && let Ok(item) = cx.cache.meta_get(MetaGet::vivifying(key.clone(), LEASE)).await
        {
            return at_home(cx, id, &key, item).await;
        }
        cx.mark("gutter: the home node is avoided");
        let spare = spare_of(&key);
        if let Ok(Some(hit)) = cx.cache.get(&spare).await {
            return cx.open(&hit).map(Some);
        }
        let row = cx.db.select(id).await?;
        if let Some(row) = &row {
            let _ = cx.cache.set(&spare, cx.seal(row), self.spare).await;
        }
        Ok(row)
    }
}

/// The home node answered: fills there are by lease.
async fn at_home(
    cx: &Cx,
    id: RowId,
    key: &Key,
    item: Option<Item>,
) -> Result<Option<Row>, Failure> {
    match item {
        Some(item) if item.win == Win::None => cx.open(&item.value).map(Some),
        Some(item) if item.win == Win::Won => {
            let row = cx.db.select(id).await?;
            // The reader has its row whatever becomes of the fill.
            let _ = lease::fill(cx, key, row.as_ref(), item.cas).await;
            Ok(row)
        }
        _ => cx.db.select(id).await,
    }
}

fn pending(id: RowId) -> Key {
    Key::from(format!("pending:{}", id.0))
}

fn queue() -> Key {
    Key::from("deletes")
}

fn spare_of(key: &Key) -> Key {
    Key::from(format!("spare:{key}"))
}

impl Pattern for Gutter {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        let read = async |cx: &Cx, id| self.read(cx, id).await;
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let change = cx.db.apply(&action).await?;
            let key = cx.key(change.id);
            if cx.cache.delete(&key).await.is_err() {
                let row = Bytes::from(change.id.0.to_le_bytes().to_vec());
                cx.local.store(&pending(change.id), Some(row.clone())).await;
                cx.local.push(&queue(), row).await;
                // The spare entry ends by itself if this fails too.
                let _ = cx.cache.delete(&spare_of(&key)).await;
            }
            Ok(change)
        })
        .await
    }

    async fn tick(&self, cx: &Cx) -> Result<Tick, Failure> {
        let Some(entry) = cx.local.pop(&queue()).await else { return Ok(Tick::Idle) };
        let id = RowId(u64::from_le_bytes(entry[..].try_into().expect("run() pushes 8 bytes")));
        match cx.cache.delete(&cx.key(id)).await {
            Ok(_) => cx.local.store(&pending(id), None).await,
            Err(_) => cx.local.push(&queue(), entry).await,
        }
        Ok(Tick::Worked)
    }
}
