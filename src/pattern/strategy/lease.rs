//! `lease`: the leases of stock memcached. A miss leaves a stub and makes its reader the
//! winner, who alone may fill, by the stub's CAS id; the others wait. Writers delete.
//!
//! Promises that a fill that began before a commit is refused: the delete after the commit
//! removed its stub. Does not help when the delete is lost, when it is sent before the commit,
//! or when the winner reads a snapshot or a replica older than its own lease.

use std::time::Duration;

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::{About, Options, SettingSpec};
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::{CasOutcome, Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Key, MetaDelete, MetaGet, MetaMode, MetaSet, Row, RowId, Ttl, Win};

pub(crate) const ABOUT: About = About {
    name: "lease",
    summary: "a miss hands out a token (mg N), only its holder may fill (ms C); writers delete",
    source: include_str!("lease.rs"),
    traits: Traits::CACHING,
    settings: &[
        SettingSpec { name: "lease-seconds", default: "30", summary: "the stub's expiry" },
        SettingSpec { name: "wait", default: "2ms", summary: "the pause between two looks" },
        SettingSpec { name: "looks", default: "5", summary: "looks before reading the database" },
    ],
};

/// Fills by token only.
pub(crate) struct Lease {
    term: Ttl,
    wait: Duration,
    looks: u32,
}

impl Default for Lease {
    fn default() -> Lease {
        Lease::new(&Settings::new()).expect("the defaults are well-formed")
    }
}

impl Lease {
    pub(crate) fn new(settings: &Settings) -> Result<Lease, String> {
        let options = Options::new(settings, ABOUT.settings)?;
        let term = options.seconds("lease-seconds")?;
        Ok(Lease { term, wait: options.duration("wait")?, looks: options.number("looks")? })
    }

    pub(crate) async fn read(&self, cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
        let key = cx.key(id);
        for _ in 0..self.looks {
            let get = MetaGet::vivifying(key.clone(), self.term);
            let Some(item) = cx.cache.meta_get(get).await? else { break };
            match item.win {
                Win::Won => {
                    let row = cx.db.select(id).await?;
                    fill(cx, &key, row.as_ref(), item.cas).await?;
                    return Ok(row);
                }
                Win::Lost => cx.sleep(self.wait).await,
                Win::None => return cx.open(&item.value).map(Some),
            }
        }
        cx.mark("lease: gave up waiting");
        cx.db.select(id).await
    }
}

/// Puts the winner's row in the stub's place, if the stub is still there; where there is no row
/// the stub goes.
pub(crate) async fn fill(cx: &Cx, key: &Key, row: Option<&Row>, token: u64) -> Result<(), Failure> {
    let (key, cas) = (key.clone(), Some(token));
    let Some(row) = row else {
        let delete = MetaDelete { key, cas, invalidate: false, ttl: None };
        return cx.cache.meta_delete(delete).await.map(|_| ());
    };
    let set = MetaSet {
        key,
        value: cx.seal(row),
        flags: 0,
        ttl: cx.ttl(),
        mode: MetaMode::Set,
        cas,
        invalidate: false,
        vivify: None,
    };
    if cx.cache.meta_set(set).await? != CasOutcome::Stored {
        cx.mark("lease: a late fill was refused");
    }
    Ok(())
}

impl Pattern for Lease {
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
