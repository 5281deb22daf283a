//! `pair-object`: rows 2n and 2n+1 are two halves of one object: a write changes both in one
//! transaction and then deletes their two entries, one after the other.
//!
//! Wrong for readers of the whole object: between the two deletes one half is new and the other
//! still old, each of them a value that was once right. With `whole = true` several rows are read
//! in one transaction of the database, past the cache.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::read;
use crate::pattern::{Change, Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Isolation, RowId};

pub(crate) const ABOUT: About = About {
    name: "pair-object",
    summary: "flawed: an object of two rows, written at once and invalidated half by half",
    source: include_str!("pair_object.rs"),
    traits: Traits { transactions: true, ..Traits::CACHING },
    settings: &[SettingSpec {
        name: "whole",
        default: "false",
        summary: "read several rows in one transaction of the database",
    }],
};

/// Two keys for one object.
pub(crate) struct PairObject {
    whole: bool,
}

impl PairObject {
    pub(crate) fn new(settings: &Settings) -> Result<PairObject, String> {
        Ok(PairObject { whole: Options::new(settings, ABOUT.settings)?.flag("whole")? })
    }
}

async fn write(cx: &Cx, action: Action) -> Result<Change, Failure> {
    let id = row_of(&action);
    let other = RowId(id.0 ^ 1);
    cx.db.begin().await?;
    let change = cx.db.apply(&action).await?;
    if let Action::Update(_, columns) = &action {
        cx.db.update(other, columns).await?;
    }
    cx.db.commit().await?;
    cx.cache.delete(&cx.key(id)).await?;
    cx.cache.delete(&cx.key(other)).await?;
    Ok(change)
}

async fn read_whole(cx: &Cx, ids: &[RowId]) -> Result<Reply, Failure> {
    cx.db.begin_at(Isolation::RepeatableRead).await?;
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        rows.push(cx.db.select(*id).await?);
    }
    cx.db.commit().await?;
    Ok(Reply::Rows(rows))
}

impl Pattern for PairObject {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        match &op.action {
            Action::ReadMany(ids) if self.whole => read_whole(cx, ids).await,
            _ => carry_out(cx, op, read, write).await,
        }
    }
}
