//! `add-lock` (dogpile lock): on a miss `add` of a lock key decides who selects and sets; the
//! others wait for the entry.
//!
//! Promises one load of the database per miss of a hot key. Does not promise more than
//! cache-aside about what is filled: the lock expires under a slow winner, and nothing then
//! stops its set, nor its delete of the next winner's lock. An `add` lock is not a lease.

use std::time::Duration;

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::fill;
use crate::pattern::{Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Key, Row, RowId, Ttl};

pub(crate) const ABOUT: About = About {
    name: "add-lock",
    summary: "on a miss whoever adds a lock key fills, the others wait; writers delete",
    source: include_str!("add_lock.rs"),
    traits: Traits::CACHING,
    settings: &[
        SettingSpec { name: "lock-seconds", default: "1", summary: "the lock's expiry" },
        SettingSpec { name: "wait", default: "2ms", summary: "the pause between two looks" },
        SettingSpec { name: "looks", default: "5", summary: "looks before giving up the wait" },
    ],
};

/// Readers that miss take turns by a lock in the cache.
pub(crate) struct AddLock {
    lock: Ttl,
    wait: Duration,
    looks: u32,
}

impl AddLock {
    pub(crate) fn new(settings: &Settings) -> Result<AddLock, String> {
        let options = Options::new(settings, ABOUT.settings)?;
        let lock = options.seconds("lock-seconds")?;
        Ok(AddLock { lock, wait: options.duration("wait")?, looks: options.number("looks")? })
    }

    async fn read(&self, cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
        let key = cx.key(id);
        let lock = Key::from(format!("lock:{key}"));
        for _ in 0..self.looks {
            if let Some(hit) = cx.cache.get(&key).await? {
                return cx.open(&hit).map(Some);
            }
            if cx.cache.add(&lock, "held".into(), self.lock).await? {
                let row = fill(cx, id).await;
                cx.cache.delete(&lock).await?;
                return row;
            }
            cx.sleep(self.wait).await;
        }
        cx.mark("add-lock: gave up waiting");
        cx.db.select(id).await
    }
}

impl Pattern for AddLock {
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
