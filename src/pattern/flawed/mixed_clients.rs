//! `mixed-clients`: half of the clients use the meta commands (leases, stale marks), the others
//! the classic ones.
//!
//! Wrong because a classic `get` knows neither stubs nor stale marks: it takes an empty stub for
//! an empty value, here "no such row", and an entry that a writer marked stale for a fresh one.

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::fill;
use crate::pattern::strategy::stale_lease::StaleLease;
use crate::pattern::{Cx, Failure, Pattern, Settings, Traits};
use crate::step::{Row, RowId};

pub(crate) const ABOUT: About = About {
    name: "mixed-clients",
    summary: "flawed: stale-lease, except that every other client reads with the classic get",
    source: include_str!("mixed_clients.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// Two protocols on one key.
pub(crate) struct MixedClients {
    meta: StaleLease,
}

impl MixedClients {
    pub(crate) fn new(_: &Settings) -> Result<MixedClients, String> {
        Ok(MixedClients { meta: StaleLease::default() })
    }
}

async fn classic(cx: &Cx, id: RowId) -> Result<Option<Row>, Failure> {
    match cx.cache.get(&cx.key(id)).await? {
        Some(empty) if empty.is_empty() => Ok(None),
        Some(hit) => cx.open(&hit).map(Some),
        None => fill(cx, id).await,
    }
}

impl Pattern for MixedClients {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        match op.action {
            Action::Read(_) if cx.op().client().0 % 2 == 1 => {
                let none = async |_: &Cx, action: Action| {
                    unreachable!("a read does not write row {}", row_of(&action).0)
                };
                carry_out(cx, op, classic, none).await
            }
            _ => self.meta.run(cx, op).await,
        }
    }
}
