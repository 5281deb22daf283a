//! `singleflight`: of the readers in a process that miss a key one loads it, the others take
//! what it found. The flights are in memory that the process shares.
//!
//! Promises one load per key and process at a time. A reader that joins a flight gets what its
//! leader selected, even if a write was acknowledged in between: with the default settings a
//! writer may miss its own write. With `forget` writers end the flight of their key.

use std::time::Duration;

use bytes::Bytes;

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::fill;
use crate::pattern::{Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Key, Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "singleflight",
    summary: "one load per key and process at a time, shared by those who wait; writers delete",
    source: include_str!("singleflight.rs"),
    traits: Traits::CACHING,
    settings: &[
        SettingSpec { name: "forget", default: "false", summary: "writers end the key's flight" },
        SettingSpec { name: "wait", default: "1ms", summary: "the pause between two looks" },
        SettingSpec { name: "looks", default: "20", summary: "looks before loading oneself" },
    ],
};

/// One load at a time.
pub(crate) struct Singleflight {
    forget: bool,
    wait: Duration,
    looks: u32,
}

/// A cell is empty, or holds `?` and the leader's id, or `=`, that id and what it found.
const ID: usize = 1 + 8;

impl Singleflight {
    pub(crate) fn new(settings: &Settings) -> Result<Singleflight, String> {
        let options = Options::new(settings, ABOUT.settings)?;
        let (wait, looks) = (options.duration("wait")?, options.number("looks")?);
        Ok(Singleflight { forget: options.flag("forget")?, wait, looks })
    }

    async fn read(&self, cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
        if let Ok(Some(hit)) = cx.cache.get(&cx.key(id)).await {
            return cx.open(&hit).map(Some);
        }
        let cell = flight(cx, id);
        let own = tagged(b'?', &cx.tag().0.to_le_bytes());
        match cx.local.load(&cell).await {
            Some(other) if other[0] == b'?' => self.join(cx, id, &cell, other).await,
            None if cx.local.store_if_empty(&cell, own.clone()).await => lead(cx, id, own).await,
            Some(landed)
                if cx.local.compare_and_store(&cell, landed.clone(), Some(own.clone())).await =>
            {
                lead(cx, id, own).await
            }
            // Somebody was faster in between; a load of one's own is always right.
            _ => fill(cx, id).await,
        }
    }

    async fn join(
        &self,
        cx: &Cx,
        id: RowId,
        cell: &Key,
        flight: Bytes,
    ) -> Result<Option<Row>, Failure> {
        for _ in 0..self.looks {
            cx.sleep(self.wait).await;
            match cx.local.load(cell).await {
                Some(still) if still == flight => {}
                Some(landed) if landed[0] == b'=' && landed[1..ID] == flight[1..] => {
                    cx.mark("singleflight: took what another loaded");
                    return match &landed[ID..] {
                        [] => Ok(None),
                        value => cx.open(value).map(Some),
                    };
                }
                _ => break,
            }
        }
        cx.local.compare_and_store(cell, flight, None).await;
        fill(cx, id).await
    }
}

/// Loads, and leaves what was found for those who wait, unless the flight was forgotten.
async fn lead(cx: &Cx, id: RowId, own: Bytes) -> Result<Option<Row>, Failure> {
    let row = fill(cx, id).await;
    let found = match &row {
        Ok(Some(row)) => Some(cx.seal(row)),
        Ok(None) => Some(Bytes::new()),
        Err(_) => None,
    };
    let landed = found.map(|found| tagged(b'=', &[&own[1..], &found].concat()));
    cx.local.compare_and_store(&flight(cx, id), own, landed).await;
    row
}

fn flight(cx: &Cx, id: RowId) -> Key {
    Key::from(format!("flight:{}", cx.key(id)))
}

fn tagged(tag: u8, rest: &[u8]) -> Bytes {
    Bytes::from([&[tag], rest].concat())
}

impl Pattern for Singleflight {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        let read = async |cx: &Cx, id| self.read(cx, id).await;
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let change = cx.db.apply(&action).await?;
            let id = row_of(&action);
            cx.cache.delete(&cx.key(id)).await?;
            if self.forget {
                cx.local.store(&flight(cx, id), None).await;
            }
            Ok(change)
        })
        .await
    }
}
