//! `write-behind`: writes go to the cache and are acknowledged; a flusher writes them to the
//! database later. Keys wait in the process's queue, values in the cache, so a crash loses
//! the keys and a restarted or evicting node loses the values. With `queue = "values"` the
//! values wait in the queue too: then a crash alone loses them, whatever becomes of the node.
//!
//! Promises that a reader sees an acknowledged write at once, while the cache keeps it. Does not
//! promise that an acknowledged write survives; flushers of several processes may also bring
//! the writes of one row to the database in another order.

use bytes::Bytes;

use super::about::{About, Options, SettingSpec};
use super::read_through::{read, read_many};
use super::{Change, Cx, Failure, Pattern, Settings, Tick, Traits};
use crate::operation::{Action, Op, OpId, Reply};
use crate::step::{Columns, Key, Row, RowId, SqlError, Ttl};

pub(super) const ABOUT: About = About {
    name: "write-behind",
    summary: "writers set the cache and queue the key; a flusher updates the database later",
    source: include_str!("write_behind.rs"),
    traits: Traits { background: true, ..Traits::CACHING },
    settings: &[SettingSpec {
        name: "queue",
        default: "keys",
        summary: "what waits in the process: `keys`, or `values` too",
    }],
};

/// Acknowledges writes from the cache and flushes them from a queue in the process.
pub struct WriteBehind {
    queue: Key,
    queues_values: bool,
}

/// What waits in the queue beside a row's number: whether it is to be deleted.
const DELETE: u8 = b'd';
const WRITE: u8 = b'w';
/// One byte for that, and two numbers: the row and the writer. A value may follow.
const HEAD: usize = 1 + 8 + 8;

impl WriteBehind {
    pub(super) fn new(settings: &Settings) -> Result<WriteBehind, String> {
        let options = Options::new(settings, ABOUT.settings)?;
        let queues_values = options.choice("queue", &["keys", "values"])? == 1;
        Ok(WriteBehind { queue: Key::from("dirty"), queues_values })
    }

    async fn write(&self, cx: &Cx, id: RowId, columns: Columns) -> Result<Reply, Failure> {
        // The version is the database's to give, and it has not been asked yet: 0. Dirty
        // entries never expire: the value is nowhere else.
        let row = Row { id, version: 0, writer: cx.tag(), columns };
        let value = cx.seal(&row);
        cx.cache.set(&cx.key(id), value.clone(), Ttl::NEVER).await?;
        self.enqueue(cx, WRITE, id, if self.queues_values { &value } else { &[] }).await;
        Ok(Reply::Written)
    }

    async fn enqueue(&self, cx: &Cx, what: u8, id: RowId, value: &[u8]) {
        let mut entry = vec![what];
        entry.extend_from_slice(&id.0.to_le_bytes());
        entry.extend_from_slice(&cx.tag().0.to_le_bytes());
        entry.extend_from_slice(value);
        cx.local.push(&self.queue, Bytes::from(entry)).await;
    }

    async fn flush(&self, cx: &Cx, id: RowId, queued: &[u8]) -> Result<(), Failure> {
        let key = cx.key(id);
        let held = cx.cache.gets(&key).await?;
        let row = match (&held, queued) {
            (Some((value, _)), []) => Some(cx.open(value)?),
            (None, []) => None,
            (_, queued) => Some(cx.open(queued)?),
        };
        // What a reader filled from the database has a version, and is nothing to write: the
        // node lost the only copy of what was.
        let Some(row) = row.filter(|row| row.version == 0) else {
            cx.mark("write-behind: the dirty value is gone");
            return Ok(());
        };
        let flushed = upsert(cx, &row).await?.row;
        if let (Some(flushed), Some((value, token))) = (flushed, held) {
            let held = cx.open(&value)?;
            // A dirty value of a later write (version 0) is flushed in its turn; what a reader
            // filled from the database meanwhile is older.
            let older = held.version != 0 && held.version < flushed.version;
            if held.writer == flushed.writer || older {
                // A plain set would undo a write acknowledged since the `gets`.
                cx.cache.cas(&key, cx.seal(&flushed), cx.ttl(), token).await?;
            }
        }
        Ok(())
    }
}

impl Pattern for WriteBehind {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        match op.action {
            Action::Read(id) => Ok(Reply::Row(read(cx, id).await?)),
            Action::ReadMany(ids) => Ok(Reply::Rows(read_many(cx, &ids).await?)),
            Action::Update(id, columns) | Action::Insert(id, columns) => {
                self.write(cx, id, columns).await
            }
            Action::Modify(id, columns) => {
                let base = read(cx, id).await?;
                self.write(cx, id, columns).await?;
                Ok(Reply::Modified { base, changed: true })
            }
            Action::Delete(id) => {
                cx.cache.delete(&cx.key(id)).await?;
                self.enqueue(cx, DELETE, id, &[]).await;
                Ok(Reply::Written)
            }
        }
    }

    async fn tick(&self, cx: &Cx) -> Result<Tick, Failure> {
        let Some(entry) = cx.local.pop(&self.queue).await else { return Ok(Tick::Idle) };
        let (what, id, writer) = entry_of(&entry);
        let done = match what {
            DELETE => cx.db.delete_as(writer, id).await.map(|_| ()),
            _ => self.flush(cx, id, &entry[HEAD..]).await,
        };
        if done.is_err() {
            // Whatever failed is tried again behind what waits already.
            cx.local.push(&self.queue, entry).await;
        }
        Ok(Tick::Worked)
    }
}

fn entry_of(entry: &[u8]) -> (u8, RowId, OpId) {
    let number = |bytes: &[u8]| {
        u64::from_le_bytes(bytes.try_into().expect("the queue holds what enqueue() pushed"))
    };
    (entry[0], RowId(number(&entry[1..9])), OpId(number(&entry[9..17])))
}

async fn upsert(cx: &Cx, row: &Row) -> Result<Change, Failure> {
    let change = cx.db.update_as(row.writer, row.id, &row.columns).await?;
    if change.changed {
        return Ok(change);
    }
    match cx.db.insert_as(row.writer, row.id, &row.columns).await {
        Err(Failure::Sql(SqlError::DuplicateKey)) => Ok(change),
        result => result,
    }
}
