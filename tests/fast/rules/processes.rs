//! What a process is, and what dies with it: rule 7.

use std::cell::Cell;

use staleproof::explore::Kind;
use staleproof::operation::{Action, ClientId, Op, Reply};
use staleproof::pattern::{Cx, Failure, Pattern, Registry, Traits};

use super::{REDUCED, WHOLE, explored, kinds, program, subject};

/// Remembers, in memory that is no cell, how many reads there were and whose was the last; its
/// writers delete the entry unless all have read, and this client last.
struct Grudge {
    reads: Cell<u32>,
    last: Cell<Option<ClientId>>,
    spared: u32,
}

impl Pattern for Grudge {
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        if let Action::Read(id) = op.action {
            let row = cx.db.select(id).await?;
            self.reads.set(self.reads.get() + 1);
            self.last.set(Some(cx.client()));
            if let Some(row) = row.as_ref().filter(|_| cx.client() == ClientId(2)) {
                cx.cache.set(&cx.key(id), cx.seal(row), cx.ttl()).await?;
            }
            return Ok(Reply::Row(row));
        }
        let change = cx.db.apply(&op.action).await?;
        if self.reads.get() < 3 || self.last.get() != Some(ClientId(self.spared)) {
            cx.cache.delete(&cx.key(change.id)).await?;
        }
        Ok(change.reply())
    }
}

/// Two reads that touch nothing in common may not be exchanged, and two states that look alike
/// not be merged, where a pattern says that it remembers something.
#[test]
fn hidden_state_loses_no_finding() {
    let traits = Traits { hidden_state: true, ..Traits::CACHING };
    for spared in [0, 1] {
        let grudge = move |_: &_| Ok(Grudge { reads: Cell::new(0), last: Cell::new(None), spared });
        let registry = Registry::built_in().pattern_with("grudge", "-", traits, grudge);
        let clients: [&[&str]; 3] = [&["read 0"], &["read 0"], &["read 0", "update 0"]];
        let subject = subject(&registry, &program("grudge", "", &clients));
        let whole = explored(&subject, WHOLE);
        assert!(kinds(&whole).contains(&Kind::Stale), "{whole:?}");
        assert_eq!(explored(&subject, REDUCED), whole, "client {spared} is spared");
    }
}
