//! A team's own tests of its own pattern: one line each.

use downstream::{Session, delete_first};
use proptest::prelude::*;
use staleproof::fault::{Fault, What};
use staleproof::suite::strategies::{Sizes, workload};

/// Deleting before the update leaves a window:
/// a reader that misses in between fills the cache with the row that the update replaces.
#[test]
fn deleting_first_is_broken_and_the_smallest_schedule_says_why() {
    let violation = staleproof::check(delete_first).entity(Session).explore(2, 2).is_broken();
    let example = violation.counterexample.as_ref().expect("it is small");
    assert_eq!(example.timeline.operations.len(), 2, "{violation}");
    assert!(violation.to_string().contains("delete-before-write"), "{violation}");
    assert!(violation.file.is_some_and(|file| file.exists()));
}

#[test]
fn one_client_alone_sees_its_own_writes() {
    let alone = staleproof::check(delete_first).entity(Session).clients(1).operations(10);
    let scripts = vec![vec!["read 0", "update 0", "read 0", "read 0"]];
    alone.scripts(scripts).seeds(50).require("max_read_staleness", "<= 0s").holds();
}

#[test]
fn seeds_find_it_too_and_shrink_it() {
    let lost = Fault::on(What::LoseReply, "cache.set").expect("it is a step");
    let lost = Fault { probability: Some(0.05), ..lost };
    let checked = staleproof::check(delete_first).entity(Session).clients(3).operations(4);
    // Sessions are only read and updated.
    let scripts = vec![vec!["read 0", "read 0"], vec!["update 0", "update 0"], vec!["read 0"]];
    let broken = checked.scripts(scripts).faults([lost]).seeds(400).tolerant().is_broken();
    assert!(broken.size() <= 3, "{broken}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20) })]

    /// Whatever is asked, nothing is lost and nothing is of another row; that entries go stale
    /// is known.
    #[test]
    fn nothing_is_lost(scripts in workload(Sizes { clients: 2, operations: 3, rows: 1, faults: 0 })) {
        let checked = staleproof::check(delete_first).entity(Session).scripts(scripts);
        checked.require("bad_entries", ">= 0").seeds(5).tolerant().verdict()?;
    }
}
