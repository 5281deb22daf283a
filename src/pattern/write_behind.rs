//! `write-behind`: writes go to the cache and are acknowledged; a flusher writes them to the
//! database later. Keys wait in the process's queue, values in the cache, so a crash loses
//! the keys and a restarted or evicting node loses the values.

use bytes::Bytes;

use super::read_through::{read, read_many};
use super::{Change, Cx, Failure, Pattern, Tick};
use crate::operation::{Action, Op, OpId, Reply};
use crate::step::{Columns, Key, Row, RowId, SqlError, Ttl};

/// Acknowledges writes from the cache and flushes them from a queue in the process.
pub struct WriteBehind {
    queue: Key,
}

impl Default for WriteBehind {
    fn default() -> WriteBehind {
        WriteBehind { queue: Key::from("dirty") }
    }
}

/// What waits in the queue beside a row's number: whether it is to be deleted.
const DELETE: u8 = b'd';
const WRITE: u8 = b'w';

impl WriteBehind {
    async fn write(&self, cx: &Cx, id: RowId, columns: Columns) -> Result<Reply, Failure> {
        // The version is the database's to give, and it has not been asked yet: 0. Dirty
        // entries never expire: the value is nowhere else.
        let row = Row { id, version: 0, writer: cx.op(), columns };
        cx.cache.set(&cx.key(id), cx.seal(&row), Ttl::NEVER).await?;
        self.enqueue(cx, WRITE, id).await;
        Ok(Reply::Written)
    }

    async fn enqueue(&self, cx: &Cx, what: u8, id: RowId) {
        let mut entry = vec![what];
        entry.extend_from_slice(&id.0.to_le_bytes());
        entry.extend_from_slice(&cx.op().0.to_le_bytes());
        cx.local.push(&self.queue, Bytes::from(entry)).await;
    }

    async fn flush(&self, cx: &Cx, id: RowId) -> Result<(), Failure> {
        let key = cx.key(id);
        let Some((value, token)) = cx.cache.gets(&key).await? else {
            // The node lost the only copy; there is nothing left to write.
            cx.mark("write-behind: the dirty value is gone");
            return Ok(());
        };
        let row = cx.open(&value)?;
        if let Some(flushed) = upsert(cx, &row).await?.row {
            // A plain set would undo a write acknowledged since the `gets`.
            cx.cache.cas(&key, cx.seal(&flushed), cx.ttl(), token).await?;
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
                self.enqueue(cx, DELETE, id).await;
                Ok(Reply::Written)
            }
        }
    }

    async fn tick(&self, cx: &Cx) -> Result<Tick, Failure> {
        let Some(entry) = cx.local.pop(&self.queue).await else { return Ok(Tick::Idle) };
        let (what, id, writer) = entry_of(&entry);
        let done = match what {
            DELETE => cx.db.delete_as(writer, id).await.map(|_| ()),
            _ => self.flush(cx, id).await,
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
