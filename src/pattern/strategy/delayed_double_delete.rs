//! `delayed-double-delete`: like `double-delete`, and once more after a pause.
//!
//! Promises that a fill that began before the commit is removed if it arrives before the last
//! delete: with probability, not certainty. No pause is long enough for a reader that is
//! stopped, and a writer that dies while it waits leaves the last delete out.

use std::time::Duration;

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::read;
use crate::pattern::{Cx, Failure, Pattern, Settings, Traits};

pub(crate) const ABOUT: About = About {
    name: "delayed-double-delete",
    summary: "like double-delete, and a last delete after a pause",
    source: include_str!("delayed_double_delete.rs"),
    traits: Traits::CACHING,
    settings: &[SettingSpec {
        name: "delay",
        default: "500ms",
        summary: "the pause before the last delete",
    }],
};

/// Deletes on both sides of the change, and again later.
pub(crate) struct DelayedDoubleDelete {
    delay: Duration,
}

impl DelayedDoubleDelete {
    pub(crate) fn new(settings: &Settings) -> Result<DelayedDoubleDelete, String> {
        Ok(DelayedDoubleDelete {
            delay: Options::new(settings, ABOUT.settings)?.duration("delay")?,
        })
    }
}

impl Pattern for DelayedDoubleDelete {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let key = cx.key(row_of(&action));
            cx.cache.delete(&key).await?;
            let change = cx.db.apply(&action).await?;
            cx.cache.delete(&key).await?;
            cx.sleep(self.delay).await;
            cx.cache.delete(&key).await?;
            Ok(change)
        })
        .await
    }
}
