//! `invalidate-inside-txn`: the delete is sent inside the transaction, as an ORM's `after_save`
//! hook or a database trigger does.
//!
//! Wrong because a reader that misses between the delete and the commit reads the old row and
//! fills it. A lease does not help: with `lease = true` fills are by lease, and the token is
//! handed out after the delete.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::read;
use crate::pattern::strategy::lease::Lease;
use crate::pattern::{Change, Cx, Failure, Pattern, Settings, Traits};

pub(crate) const ABOUT: About = About {
    name: "invalidate-inside-txn",
    summary: "flawed: writers delete inside their transaction, before the commit",
    source: include_str!("invalidate_inside_txn.rs"),
    traits: Traits { transactions: true, ..Traits::CACHING },
    settings: &[SettingSpec { name: "lease", default: "false", summary: "readers fill by lease" }],
};

/// Deletes too early.
pub(crate) struct InvalidateInsideTxn {
    lease: Option<Lease>,
}

impl InvalidateInsideTxn {
    pub(crate) fn new(settings: &Settings) -> Result<InvalidateInsideTxn, String> {
        let lease = Options::new(settings, ABOUT.settings)?.flag("lease")?;
        Ok(InvalidateInsideTxn { lease: lease.then(Lease::default) })
    }
}

async fn write(cx: &Cx, action: Action) -> Result<Change, Failure> {
    cx.db.begin().await?;
    let change = cx.db.apply(&action).await?;
    cx.cache.delete(&cx.key(row_of(&action))).await?;
    cx.db.commit().await?;
    Ok(change)
}

impl Pattern for InvalidateInsideTxn {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        match &self.lease {
            Some(lease) => {
                carry_out(cx, op, async |cx: &Cx, id| lease.read(cx, id).await, write).await
            }
            None => carry_out(cx, op, read, write).await,
        }
    }
}
