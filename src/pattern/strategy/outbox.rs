//! `outbox`: the transaction that changes a row also writes a notice into a second table; a relay
//! reads the notices, deletes the entries and then the notices. Fills are by lease.
//!
//! Promises that every committed write of the application is invalidated in the end, whatever
//! crashes or is lost, for as long as a relay lives: at least once, and some time after the
//! commit. A write that leaves the outbox out, as a console does, is not invalidated.

use super::lease::Lease;
use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{Cx, Failure, Pattern, Settings, Tick, Traits};

pub(crate) const ABOUT: About = About {
    name: "outbox",
    summary: "writers note the change in a table, in their transaction; a relay deletes",
    source: include_str!("outbox.rs"),
    traits: Traits { background: true, transactions: true, outbox: true, ..Traits::CACHING },
    settings: &[],
};

/// A durable intent to invalidate.
pub(crate) struct Outbox {
    lease: Lease,
}

impl Outbox {
    pub(crate) fn new(_: &Settings) -> Result<Outbox, String> {
        Ok(Outbox { lease: Lease::default() })
    }
}

impl Pattern for Outbox {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        let read = async |cx: &Cx, id| self.lease.read(cx, id).await;
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            cx.db.begin().await?;
            let change = cx.db.apply(&action).await?;
            if change.changed {
                cx.outbox.add(row_of(&action)).await?;
            }
            cx.db.commit().await?;
            Ok(change)
        })
        .await
    }

    async fn tick(&self, cx: &Cx) -> Result<Tick, Failure> {
        let Some(notice) = cx.outbox.pending().await?.first().copied() else {
            return Ok(Tick::Idle);
        };
        cx.cache.delete(&cx.key(notice.about)).await?;
        // Only now: a relay that dies in between deletes twice, which does no harm.
        cx.outbox.remove(notice).await?;
        Ok(Tick::Worked)
    }
}
