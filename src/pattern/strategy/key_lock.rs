//! `key-lock`: whoever fills or writes a key holds its lock, an `add` with an expiry.
//!
//! Promises that no fill straddles a write while the lock holds. A hit between commit and delete
//! is old all the same, since hits do not look at the lock; and the lock expires under a holder
//! that is stopped: plain memcached has no fencing token for it.

use std::time::Duration;

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Key, Row, RowId, Ttl};

pub(crate) const ABOUT: About = About {
    name: "key-lock",
    summary: "fills and writes of a key take turns by a lock in the cache; writers delete",
    source: include_str!("key_lock.rs"),
    traits: Traits::CACHING,
    settings: &[
        SettingSpec { name: "lock-seconds", default: "5", summary: "the lock's expiry" },
        SettingSpec { name: "wait", default: "2ms", summary: "the pause between two tries" },
        SettingSpec { name: "tries", default: "8", summary: "tries before giving up" },
    ],
};

/// One fill or write of a key at a time.
pub(crate) struct KeyLock {
    term: Ttl,
    wait: Duration,
    tries: u32,
}

impl KeyLock {
    pub(crate) fn new(settings: &Settings) -> Result<KeyLock, String> {
        let options = Options::new(settings, ABOUT.settings)?;
        let term = options.seconds("lock-seconds")?;
        Ok(KeyLock { term, wait: options.duration("wait")?, tries: options.number("tries")? })
    }

    async fn lock(&self, cx: &Cx, lock: &Key) -> Result<bool, Failure> {
        for _ in 0..self.tries {
            if cx.cache.add(lock, "held".into(), self.term).await? {
                return Ok(true);
            }
            cx.sleep(self.wait).await;
        }
        Ok(false)
    }

    async fn read(&self, cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
        let key = cx.key(id);
        if let Some(hit) = cx.cache.get(&key).await? {
            return cx.open(&hit).map(Some);
        }
        let lock = lock_of(&key);
        if !self.lock(cx, &lock).await? {
            return cx.db.select(id).await;
        }
        let row = cx.db.select(id).await?;
        if let Some(row) = &row {
            cx.cache.set(&key, cx.seal(row), cx.ttl()).await?;
        }
        cx.cache.delete(&lock).await?;
        Ok(row)
    }
}

fn lock_of(key: &Key) -> Key {
    Key::from(format!("lock:{key}"))
}

impl Pattern for KeyLock {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        let read = async |cx: &Cx, id| self.read(cx, id).await;
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let key = cx.key(row_of(&action));
            let lock = lock_of(&key);
            if !self.lock(cx, &lock).await? {
                return Err(Failure::GaveUp("the key's lock was not to be had"));
            }
            let change = cx.db.apply(&action).await;
            let deleted = cx.cache.delete(&key).await;
            cx.cache.delete(&lock).await?;
            deleted.and(change)
        })
        .await
    }
}
