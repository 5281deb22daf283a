//! `generation-namespace`: all keys of a table carry its generation, which every write counts
//! up; entries of older generations are never asked for again and just fall out.
//!
//! Promises that a write invalidates everything that was derived from the table, at the price of
//! few hits. A fill goes under the generation that was read *before* its select; with `reread`
//! it goes under the one read after it, and an old row survives the write. An increment that is
//! lost invalidates nothing; a lost counter is seeded at random, lest old generations return.

use bytes::Bytes;

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::carry_out;
use crate::pattern::{Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Key, Row, RowId, Ttl};

pub(crate) const ABOUT: About = About {
    name: "generation-namespace",
    summary: "keys carry the table's generation, which each write counts up",
    source: include_str!("generation_namespace.rs"),
    traits: Traits::CACHING,
    settings: &[SettingSpec {
        name: "reread",
        default: "false",
        summary: "fill under the generation read after the select",
    }],
};

/// Keys with a generation.
pub(crate) struct GenerationNamespace {
    reread: bool,
}

impl GenerationNamespace {
    pub(crate) fn new(settings: &Settings) -> Result<GenerationNamespace, String> {
        let options = Options::new(settings, ABOUT.settings)?;
        Ok(GenerationNamespace { reread: options.flag("reread")? })
    }

    async fn read(&self, cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
        let mut key = in_generation(cx, id, &generation(cx).await?);
        if let Some(hit) = cx.cache.get(&key).await? {
            return cx.open(&hit).map(Some);
        }
        let row = cx.db.select(id).await?;
        if let Some(row) = &row {
            if self.reread {
                key = in_generation(cx, id, &generation(cx).await?);
            }
            cx.cache.set(&key, cx.seal(row), cx.ttl()).await?;
        }
        Ok(row)
    }
}

async fn generation(cx: &Cx) -> Result<Bytes, Failure> {
    if let Some(generation) = cx.cache.get(&counter()).await? {
        return Ok(generation);
    }
    let seed = Bytes::from((cx.random_tag() >> 2).to_string());
    match cx.cache.add(&counter(), seed.clone(), Ttl::NEVER).await? {
        true => Ok(seed),
        false => Ok(cx.cache.get(&counter()).await?.unwrap_or(seed)),
    }
}

fn counter() -> Key {
    Key::from("generation")
}

fn in_generation(cx: &Cx, id: RowId, generation: &[u8]) -> Key {
    Key::from(format!("g{}:{}", String::from_utf8_lossy(generation), cx.key(id)))
}

impl Pattern for GenerationNamespace {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        let read = async |cx: &Cx, id| self.read(cx, id).await;
        carry_out(cx, op, read, async |cx: &Cx, action: Action| {
            let change = cx.db.apply(&action).await?;
            cx.cache.incr(&counter(), 1).await?;
            Ok(change)
        })
        .await
    }
}
