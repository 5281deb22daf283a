//! The leak check: two runs of one seed are compared step by step, and the first difference
//! is named. It is shown to catch a planted leak.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::common;
use staleproof::history::first_difference;
use staleproof::operation::{Op, Reply};
use staleproof::pattern::{Cx, Failure, Registry};
use staleproof::run::run_once;
use staleproof::seed::Seed;

const TEXT: &str = "claim = '-'\npattern = 'PATTERN'\n[workload]\noperations = 20\n";

fn difference(registry: &Registry, pattern: &str) -> Option<String> {
    let scenario = common::try_scenario(&TEXT.replace("PATTERN", pattern), registry).unwrap();
    let run = || run_once(&scenario, registry, &common::servers(), Seed(1)).unwrap().history;
    first_difference(&run(), &run())
}

#[test]
fn built_in_patterns_do_not_leak() {
    let registry = Registry::built_in();
    for entry in registry.patterns() {
        assert_eq!(difference(&registry, &entry.name), None, "{}", entry.name);
    }
}

#[test]
fn a_planted_leak_is_named() {
    static CALLS: AtomicU64 = AtomicU64::new(0);

    async fn leaking(cx: &Cx, op: Op) -> Result<Reply, Failure> {
        // State that survives a run: the second run begins where the first one ended.
        let calls = CALLS.fetch_add(1, Ordering::Relaxed);
        cx.sleep(Duration::from_micros(calls)).await;
        let id = match op.action {
            staleproof::operation::Action::Read(id) => id,
            write => return Ok(cx.db.apply(&write).await?.reply()),
        };
        Ok(Reply::Row(cx.db.select(id).await?))
    }
    let registry = Registry::built_in().pattern("leaking", "-", leaking);
    let difference = difference(&registry, "leaking").expect("the leak is caught");
    assert!(difference.starts_with("step 1 "), "{difference}");
}
