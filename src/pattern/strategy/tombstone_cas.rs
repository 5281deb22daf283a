//! `tombstone-cas` (IdentityCache): writers leave a tombstone; readers replace it by `cas` with
//! the token that they took before their select, and fill an absent key by `add`.
//!
//! Promises what `tombstone-add` does, with refills at once: a later write replaces the
//! tombstone, so an older token fails. An evicted or expired tombstone lets an old `add` in,
//! and so does a token that a restarted node hands out a second time.

use crate::entity::envelope;
use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{CasOutcome, Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Row, RowId, Ttl};

pub(crate) const ABOUT: About = About {
    name: "tombstone-cas",
    summary: "writers leave a tombstone; readers replace it by `cas`",
    source: include_str!("tombstone_cas.rs"),
    traits: Traits::CACHING,
    settings: &[SettingSpec {
        name: "hold-seconds",
        default: "300",
        summary: "the tombstone's expiry",
    }],
};

/// Fills over tombstones by `cas`.
pub(crate) struct TombstoneCas {
    hold: Ttl,
}

impl TombstoneCas {
    pub(crate) fn new(settings: &Settings) -> Result<TombstoneCas, String> {
        Ok(TombstoneCas { hold: Options::new(settings, ABOUT.settings)?.seconds("hold-seconds")? })
    }
}

async fn read(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    let key = cx.key(id);
    let token = match cx.cache.gets(&key).await? {
        Some((value, token)) if value == envelope::TOMBSTONE => Some(token),
        Some((hit, _)) => return cx.open(&hit).map(Some),
        None => None,
    };
    let row = cx.db.select(id).await?;
    if let Some(row) = &row {
        let stored = match token {
            Some(token) => {
                let outcome = cx.cache.cas(&key, cx.seal(row), cx.ttl(), token).await?;
                outcome == CasOutcome::Stored
            }
            None => cx.cache.add(&key, cx.seal(row), cx.ttl()).await?,
        };
        if !stored {
            cx.mark("tombstone-cas: a late fill was refused");
        }
    }
    Ok(row)
}

impl Pattern for TombstoneCas {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let change = cx.db.apply(&action).await?;
            cx.cache.set(&cx.key(row_of(&action)), envelope::TOMBSTONE.into(), self.hold).await?;
            Ok(change)
        })
        .await
    }
}
