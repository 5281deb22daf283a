//! What is measured, seen from two sides. Exposure beside the audit: one follows the steps, the
//! other looks into the cache and the database when all is over. Hits beside misses.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common;
use staleproof::run::Run;
use staleproof::scenario::find_files;
use staleproof::time::Time;

/// The keys whose entries differ from their rows at the end, and since when.
fn exposed(run: &Run) -> BTreeMap<String, Time> {
    let intervals = run.exposure.iter().flat_map(|exposure| &exposure.intervals);
    let open = intervals.filter(|interval| interval.until.is_none());
    open.map(|open| (run.history.keys.name(open.key).to_string(), open.from)).collect()
}

fn audited(run: &Run) -> BTreeMap<String, Time> {
    let bad = run.entries.iter().filter(|entry| entry.class.is_bad() && entry.healed.is_none());
    let since = |since: Option<Time>| since.expect("steps are recorded");
    bad.map(|bad| (run.history.keys.name(bad.key).to_string(), since(bad.since))).collect()
}

#[test]
fn what_the_audit_finds_is_exposed_at_the_end_and_nothing_else() {
    let mut bad = 0;
    for file in find_files(Path::new("scenarios")).unwrap() {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(&file).unwrap();
        for seed in 0..3 {
            let run = common::run_once(&text, seed);
            let (exposed, audited) = (exposed(&run), audited(&run));
            bad += audited.len();
            // An entry that is marked stale is served again once somebody has won its reload.
            if name.ends_with("stuck-stale.toml") {
                assert!(exposed.keys().eq(audited.keys()), "{name}: {exposed:?} {audited:?}");
                assert!(exposed.values().gt(audited.values()), "{name}: {exposed:?} {audited:?}");
                continue;
            }
            assert_eq!(exposed, audited, "{name}, seed {seed}");
        }
    }
    assert!(bad > 100, "{bad} bad entries");
}

fn run(pattern: &str) -> Run {
    let text = format!(
        "claim = '-'\npattern = '{pattern}'\n[workload]\nclients = 3\nrows = 3\noperations = 40\n\
         mix = {{ read = 4, update = 2, insert = 1, delete = 1 }}\n"
    );
    common::run_once(&text, 1)
}

#[test]
fn entries_that_nobody_is_served_are_not_exposed() {
    // They lie under keys of their own, to which only the pattern knows the way.
    for pattern in ["version-in-key", "generation-namespace", "epoch-key"] {
        assert_eq!(run(pattern).exposure, None, "{pattern}");
    }
    // Each hit is compared with the row's version.
    let exposure = run("validated-read").exposure.expect("steps are recorded");
    assert_eq!(exposure.intervals, [], "{exposure:?}");
    let exposure = run("cache-aside").exposure.expect("steps are recorded");
    assert!(exposure.intervals.len() > 10 && exposure.longest_nanos > 0, "{exposure:?}");
}

/// Whatever keys a pattern keeps rows under, and however many it asks.
#[test]
fn each_read_of_a_row_is_a_hit_or_a_miss() {
    for entry in staleproof::pattern::Registry::built_in().patterns() {
        let text = format!(
            "claim = '-'\npattern = '{}'\n[workload]\nclients = 1\nrows = 3\noperations = 40\n\
             mix = {{ read = 1, update = 0, modify = 0, insert = 0, delete = 0 }}\n",
            entry.name
        );
        let reads = common::run_once(&text, 1).measure.reads;
        // One has no cache; the other has counters in it, which are no rows.
        if ["no-cache", "cached-counter"].contains(&entry.name.as_str()) {
            assert_eq!((reads.hits, reads.misses), (0, 0), "{}", entry.name);
            continue;
        }
        assert_eq!(reads.hits + reads.misses, 40, "{}: {reads:?}", entry.name);
        assert!(reads.misses >= 2, "{}: {reads:?}", entry.name);
    }
}

const SHORT_LIVED: &str = "claim = '-'\npattern = 'read-through'\n[workload]\nrows = 1\n[cache]\n\
                           ttl-seconds = 2\n[[workload.group]]\nclients = 1\n\
                           script = ['read 0', 'update 0', 'read 0 after 4s']\n";

#[test]
fn exposure_says_nothing_where_nobody_knows_when_an_entry_ended() {
    use staleproof::check::{States, exposure};
    let run = common::run_once(SHORT_LIVED, 1);
    let mut history = run.history;
    let longest = exposure::measure(&history, &States::new(&history)).unwrap().longest_nanos;
    assert!((1_000_000_000..2_000_000_000).contains(&longest), "{longest}");
    for step in history.steps.iter_mut().filter(|step| step.expires != Time::NEVER) {
        step.expires = Time::UNTOLD;
    }
    assert_eq!(exposure::measure(&history, &States::new(&history)), None);
}

#[test]
fn a_claim_about_what_was_not_measured_is_not_judged() {
    use staleproof::run::{ClaimVerdict, Outcome};
    let claims = |broken_if: &str| {
        // Exposure needs steps.
        let head = format!("record = 'operations'\nbroken-if = {broken_if}\n");
        let result = common::result(&format!(
            "{head}{SHORT_LIVED}[expect]\nclaim = 'holds'\nhits = '>= 0'\n"
        ));
        (result.claim_verdict, result.outcome)
    };
    let unmeasured = claims("{ max_exposure = '> 1s' }");
    assert_eq!(unmeasured, (None, Outcome::NotTested));
    // What was measured speaks against it, or for it.
    let spoken_against = claims("{ max_exposure = '> 1s', reads = '> 2' }");
    assert_eq!(spoken_against, (Some(ClaimVerdict::NotObserved), Outcome::AsExpected));
    assert_eq!(claims("{ reads = '> 1' }"), (Some(ClaimVerdict::Broken), Outcome::Differs));
}
