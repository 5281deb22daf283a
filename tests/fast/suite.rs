//! A pattern in a team's own tests: what holds holds, what is broken is shown small.

use staleproof::fault::{Fault, What};
use staleproof::operation::{Action, Op, Reply};
use staleproof::pattern::{Cx, Failure, Registry};
use staleproof::suite::{Problem, check_in};

use crate::common;

async fn read_through(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    match op.action {
        Action::Read(id) => common::read(cx, id).await,
        write => Ok(cx.db.apply(&write).await?.reply()),
    }
}

async fn no_cache(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    match op.action {
        Action::Read(id) => Ok(Reply::Row(cx.db.select(id).await?)),
        write => Ok(cx.db.apply(&write).await?.reply()),
    }
}

#[test]
fn what_holds_holds() {
    staleproof::check(no_cache).uncached().holds();
    staleproof::check(no_cache).uncached().explore(2, 2).holds();
}

#[test]
fn what_is_broken_ends_in_a_read_and_a_write() {
    let folder = tempfile::tempdir().unwrap();
    let checked = staleproof::check(read_through).rows(3).folder(folder.path());
    let broken = checked.is_broken();
    assert_eq!(broken.size(), 2, "{broken}");
    assert_eq!(broken.finding.as_ref().unwrap().hazard.as_deref(), Some("no-invalidation"));
    let text = broken.to_string();
    for part in ["read-through is broken", "bad_entries is 1", "db.update", "replays("] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    // The file shows it again, and no longer once the pattern is right.
    let file = broken.file.unwrap();
    let shows = std::panic::AssertUnwindSafe(|| checked.replays(&file));
    let again = std::panic::catch_unwind(shows);
    assert!(again.is_err(), "the file shows it again");
    let right =
        check_in(Registry::built_in().pattern("read-through", "", no_cache), "read-through");
    right.replays(&file);
}

#[test]
fn exploring_finds_the_smallest_schedule() {
    let folder = tempfile::tempdir().unwrap();
    let broken = staleproof::check(read_through).folder(folder.path()).explore(2, 2).is_broken();
    let example = broken.counterexample.as_ref().expect("it is small");
    assert_eq!(example.timeline.operations.len(), 2, "{broken}");
    assert!(broken.file.as_ref().unwrap().exists());
    let text = broken.to_string();
    for part in ["is broken within 4 clients", "no-invalidation", "staleproof replay"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn what_was_not_tested_does_not_pass() {
    let lost = Fault::on(What::LoseReply, "cache.incr").unwrap();
    let never = staleproof::check(read_through).require("bad_entries", ">= 0").faults([lost]);
    let verdict = never.clone().verdict();
    assert!(matches!(verdict, Err(Problem::NotTested(_))), "{verdict:?}");
    assert!(never.tolerant().verdict().is_ok());
    let verdict = staleproof::check(no_cache).verdict();
    assert!(matches!(verdict, Err(Problem::NotTested(_))), "a cache without hits: {verdict:?}");
}

#[test]
fn wrong_settings_are_named() {
    let wrong = staleproof::check(no_cache).scripts(vec![vec!["fetch 1"]]).verdict().unwrap_err();
    assert!(wrong.to_string().contains("`fetch 1` is not an operation"), "{wrong}");
    let metric = std::panic::catch_unwind(|| staleproof::check(no_cache).require("stale", "0"));
    assert!(metric.is_err());
}

#[cfg(feature = "proptest")]
mod properties {
    use proptest::prelude::*;
    use proptest::test_runner::{TestError, TestRunner};
    use staleproof::suite::strategies::{Sizes, case};

    use super::{no_cache, read_through};

    #[test]
    fn a_property_shrinks_to_a_small_operation_list() {
        let config =
            ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) };
        let folder = tempfile::tempdir().unwrap();
        let failed = TestRunner::new(config).run(&case(Sizes::default()), |case| {
            let checked = staleproof::check(read_through).folder(folder.path()).seeds(20);
            checked.case(&case).tolerant().verdict()?;
            Ok(())
        });
        let Err(TestError::Fail(reason, smallest)) = failed else { panic!("{failed:?}") };
        let operations: usize = smallest.scripts.iter().map(Vec::len).sum();
        assert!(operations <= 3, "{smallest:?}");
        assert!(reason.message().contains("replay:"), "{reason}");
    }

    #[test]
    fn a_property_of_what_holds_passes() {
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) };
        let held = TestRunner::new(config).run(&case(Sizes::default()), |case| {
            staleproof::check(no_cache).seeds(5).case(&case).tolerant().verdict()?;
            Ok(())
        });
        held.unwrap();
    }
}
