//! `oversize-store`: the new value is larger than the server takes, and the writer leaves it at
//! that.
//!
//! Wrong with `verb = "replace"` (or `cas`, `add`, `append`), which memcached refuses and keeps the
//! old item. With `verb = "set"` the refusal removes the old item.

use bytes::Bytes;

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::carry_out;
use crate::pattern::read_through::read;
use crate::pattern::{Cx, Failure, Pattern, Settings, Traits};

pub(crate) const ABOUT: About = About {
    name: "oversize-store",
    summary: "flawed: writers store values that are too large, and ignore the refusal",
    source: include_str!("oversize_store.rs"),
    traits: Traits::CACHING,
    settings: &[SettingSpec { name: "verb", default: "replace", summary: "`replace` or `set`" }],
};

/// More than the megabyte that an item may have.
const SIZE: usize = 1_100_000;

/// Ignores a refused store.
pub(crate) struct OversizeStore {
    by_set: bool,
}

impl OversizeStore {
    pub(crate) fn new(settings: &Settings) -> Result<OversizeStore, String> {
        let options = Options::new(settings, ABOUT.settings)?;
        Ok(OversizeStore { by_set: options.choice("verb", &["replace", "set"])? == 1 })
    }
}

impl Pattern for OversizeStore {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let change = cx.db.apply(&action).await?;
            let key = cx.key(change.id);
            let Some(row) = &change.row else {
                cx.cache.delete(&key).await?;
                return Ok(change);
            };
            let mut value = cx.seal(row).to_vec();
            value.resize(SIZE, b' ');
            let value = Bytes::from(value);
            let stored = match self.by_set {
                true => cx.cache.set(&key, value, cx.ttl()).await,
                false => cx.cache.replace(&key, value, cx.ttl()).await.map(|_| ()),
            };
            match stored {
                Err(Failure::CacheRefusal(_)) => cx.mark("oversize-store: refused"),
                other => other?,
            }
            Ok(change)
        })
        .await
    }
}
