//! What a process is, and what dies with it: rules 5, 6 and 7.

use std::cell::Cell;
use std::future::Future;
use std::task::{Context, Waker};

use staleproof::check::audit::Class;
use staleproof::explore::Kind;
use staleproof::operation::{Action, ClientId, Op, Reply};
use staleproof::pattern::{Cx, Failure, Pattern, Registry, Traits};
use staleproof::run;
use staleproof::seed::Seed;
use staleproof::step::Key;

use crate::common;

use super::{REDUCED, WHOLE, explored, hunted, kinds, program, run_once, subject};

/// Stores something that is no row and then the row, without waiting in between.
async fn hasty(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    let Action::Read(id) = op.action else { panic!("{:?} is not asked here", op.action) };
    let Some(row) = cx.db.select(id).await? else { return Ok(Reply::Row(None)) };
    let key = cx.key(id);
    let mut first = Box::pin(cx.cache.set(&key, "no row".into(), cx.ttl()));
    let _ = first.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let second = cx.cache.set(&key, cx.seal(&row), cx.ttl()).await;
    first.await?;
    second.map(|()| Reply::Row(Some(row)))
}

/// A connection delivers in order, whatever is chosen and however long each step takes.
#[test]
fn what_is_sent_on_one_connection_takes_effect_in_order() {
    let registry = Registry::built_in().pattern("hasty", "-", hasty);
    let text = program("hasty", "", &[&["read 0"]]);
    let subject = subject(&registry, &text);
    for found in [explored(&subject, REDUCED), explored(&subject, WHOLE), hunted(&subject, 50)] {
        assert!(found.is_empty(), "{found:?}");
    }
    let scenario = common::try_scenario(&text, &registry).unwrap();
    for seed in 1..50 {
        let run = run::run_once(&scenario, &registry, &common::servers(), Seed(seed)).unwrap();
        assert_eq!(run.entries[0].class, Class::Match, "seed {seed}");
    }
}

/// Sends a delete when it is dropped, and waits for no reply.
struct LastWish<'a> {
    cx: &'a Cx,
    key: Key,
}

impl Drop for LastWish<'_> {
    fn drop(&mut self) {
        let mut delete = Box::pin(self.cx.cache.delete(&self.key));
        let _ = delete.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}

/// Cache-aside whose writer deletes the entry also where its operation is dropped.
async fn careful(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    let (id, write) = match op.action {
        Action::Read(id) => return common::read(cx, id).await,
        Action::Update(id, _) => (id, op.action),
        other => panic!("{other:?} is not asked here"),
    };
    let wish = LastWish { cx, key: cx.key(id) };
    let change = cx.db.apply(&write).await?;
    cx.cache.delete(&wish.key).await?;
    std::mem::forget(wish);
    Ok(change.reply())
}

/// A cancellation runs destructors, and what they send may take effect. A process that has
/// crashed sends nothing any more.
#[test]
fn destructors_take_effect_after_a_cancellation_and_never_after_a_crash() {
    let registry = Registry::built_in().pattern("careful", "-", careful);
    let text = |what: &str| {
        let asked = "[explore]\nproperty = ['final-state']\n";
        let fault = format!("[[fault]]\ndo = '{what}'\non = 'cache.delete'\nbudget = 1\n");
        program("careful", &format!("{asked}{fault}"), &[&["read 0", "update 0"]])
    };
    for (what, class) in [("cancel", Class::Absent), ("crash", Class::Stale)] {
        let run = run_once(&registry, &text(what));
        assert_eq!(run.history.faults.len(), 1);
        assert_eq!(run.entries[0].class, class, "after a {what}");
        let subject = subject(&registry, &text(what));
        for found in [explored(&subject, REDUCED), hunted(&subject, 50)] {
            let stale = kinds(&found).contains(&Kind::Stale);
            assert_eq!(stale, class == Class::Stale, "{what}: {found:?}");
        }
    }
}

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
