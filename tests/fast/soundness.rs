//! Verdicts of exploration against searches that reduce nothing, and verdicts that were false once.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use assert_cmd::Command;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use staleproof::explore::{
    self, Exploration, Finding, Hunt, Kind, Limits, Sizes, Subject, Verdict,
};
use staleproof::pattern::Registry;
use staleproof::schedule::Search;

use crate::common;

const REDUCED: Search = Search { reduce: true, switches: None };
const WHOLE: Search = Search { reduce: false, switches: None };

fn program(pattern: &str, sections: &str, clients: &[&[&str]]) -> String {
    let mut text = format!("claim = '-'\npattern = '{pattern}'\n[workload]\nrows = 1\n{sections}");
    for script in clients {
        text.push_str(&format!("[[workload.group]]\nclients = 1\nscript = {script:?}\n"));
    }
    text
}

fn subject(text: &str) -> Subject {
    let registry = Registry::built_in();
    Subject::of(&common::scenario(text), &registry, Sizes::default()).unwrap()
}

fn explore(subject: &Subject, search: Search, schedules: u64) -> Exploration {
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    explore::explore(subject, search, Limits { schedules }, go_on).unwrap()
}

fn findings(exploration: &Exploration) -> BTreeSet<Finding> {
    exploration.findings.iter().map(|(finding, _)| finding.clone()).collect()
}

fn kinds(text: &str) -> BTreeSet<Kind> {
    let explored = explore(&subject(text), REDUCED, u64::MAX);
    assert!(explored.complete, "{:?}", explored.verdict);
    findings(&explored).into_iter().map(|finding| finding.kind).collect()
}

/// Whether another write came between what a read-modify-write read and its commit is no part of
/// what servers and clients hold in the end.
#[test]
fn a_lost_update_is_not_merged_with_one_that_is_not_lost() {
    let clients: [&[&str]; 2] = [&["modify 0", "update 0"], &["update 0"]];
    let text = program("cache-aside", "[explore]\nproperty = ['final-state']\n", &clients);
    assert!(kinds(&text).contains(&Kind::LostUpdate), "{:?}", kinds(&text));
}

const PROFILES: [&str; 3] = ["sqlite", "postgres", "postgres-rr"];

fn on(profile: &str) -> String {
    format!("[database]\nprofile = '{profile}'\n[explore]\nproperty = ['final-state']\n")
}

/// SQLite's second writer waits or fails, PostgreSQL's goes on with what the first has left.
#[test]
fn exploration_has_the_rules_of_the_scenarios_database() {
    let clients: [&[&str]; 2] = [&["delete 0"], &["modify 0"]];
    let of = |profile| !kinds(&program("invalidate-inside-txn", &on(profile), &clients)).is_empty();
    assert_eq!(PROFILES.map(of), [false, false, true]);
    let clients: [&[&str]; 2] = [&["read 0"], &["update 0"]];
    let of = |profile| !kinds(&program("locked-fill", &on(profile), &clients)).is_empty();
    assert_eq!(PROFILES.map(of), [true, false, false]);
}

#[test]
fn hunts_have_the_rules_of_the_scenarios_database() {
    let clients: [&[&str]; 2] = [&["delete 0"], &["modify 0"]];
    let fails = |profile| {
        let subject = subject(&program("invalidate-inside-txn", &on(profile), &clients));
        let watch = || ControlFlow::Continue(());
        !explore::hunt(&subject, &Hunt::over(1, 300), &watch).unwrap().failures.is_empty()
    };
    assert_eq!(PROFILES.map(fails), [false, false, true]);
}

fn staleproof(arguments: &[&str]) -> (Option<i32>, String) {
    let run = Command::cargo_bin("staleproof").unwrap().args(arguments).output().unwrap();
    let out = [run.stdout, run.stderr].concat();
    (run.status.code(), String::from_utf8(out).unwrap())
}

/// What `explore` finds by a profile, from the file or the command line, `replay` confirms, and
/// `hunt` finds too.
#[test]
fn the_command_line_names_the_profile_and_replays_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let clients: [&[&str]; 2] = [&["delete 0"], &["modify 0"]];
    let text =
        program("invalidate-inside-txn", "[explore]\nproperty = ['final-state']\n", &clients);
    let path = folder.path().join("program.toml");
    std::fs::write(&path, text).unwrap();
    let file = path.to_str().unwrap();
    let (code, _) = staleproof(&["explore", file]);
    assert_eq!(code, Some(0), "SQLite's rules leave nothing wrong");
    let out = folder.path().join("out");
    let profile = "model:postgres-rr";
    let kept = ["explore", file, "--database", profile, "--out", out.to_str().unwrap()];
    let (code, shown) = staleproof(&kept);
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("database model:postgres-rr"), "{shown}");
    let example = std::fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    let (code, shown) = staleproof(&["replay", example.to_str().unwrap()]);
    assert!(shown.starts_with("confirmed"), "{code:?} {shown}");
    let (code, shown) = staleproof(&["hunt", file, "--database", profile, "--seeds", "300"]);
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("--database model:postgres-rr"), "{shown}");
    let (code, shown) = staleproof(&["hunt", file, "--database", "postgres"]);
    assert_eq!(code, Some(2), "{shown}");
    assert!(shown.contains("model:postgres") && shown.contains("replay"), "{shown}");
}

/// Three operations of two clients on one row.
fn generated(random: &mut StdRng, patterns: &[String]) -> String {
    let verbs = ["read 0", "update 0", "modify 0", "delete 0", "insert 0"];
    let pattern = patterns.choose(random).unwrap();
    // Few enough for every schedule to be run: one client has two operations.
    let mut clients = [Vec::new(), Vec::new()];
    for operation in 0..3 {
        clients[operation % 2].push(*verbs.choose(random).unwrap());
    }
    let clients: Vec<&[&str]> = clients.iter().map(Vec::as_slice).collect();
    let faults = u32::from(random.random_range(0..4) == 0);
    let profile = PROFILES.choose(random).unwrap();
    let asked = ["'final-state'", "'final-state', 'reads'", "'final-state', 'reads', 'sessions'"];
    let asked = asked.choose(random).unwrap();
    let sections = format!(
        "[database]\nprofile = '{profile}'\n[explore]\nfaults = {faults}\nproperty = [{asked}]\n"
    );
    program(pattern, &sections, &clients)
}

/// Searches that merge states and leave out orders find what a search of every schedule finds.
#[test]
fn reductions_lose_no_finding_of_generated_programs() {
    let long = std::env::var_os("STALEPROOF_LONG").is_some();
    let (programs, schedules) = if long { (20_000, 20_000) } else { (150, 1_000) };
    let registry = Registry::built_in();
    let patterns = registry.patterns().iter().filter(|entry| !entry.traits.background);
    let patterns: Vec<String> = patterns.map(|entry| entry.name.clone()).collect();
    let mut random = StdRng::seed_from_u64(22);
    let (mut compared, mut wrong, mut lost) = (0, 0, Vec::new());
    for _ in 0..programs {
        let text = generated(&mut random, &patterns);
        let mut subject = subject(&text);
        subject.name_hazards = false;
        let whole = explore(&subject, WHOLE, schedules);
        if !whole.complete {
            continue;
        }
        compared += 1;
        wrong += u32::from(whole.verdict == Verdict::Violated);
        let reduced = explore(&subject, REDUCED, u64::MAX);
        if findings(&reduced) != findings(&whole) {
            lost.push(format!("{text}{:?}\nnot {:?}", findings(&reduced), findings(&whole)));
        }
    }
    println!("{compared} of {programs} programs compared, {wrong} of them with findings");
    assert!(lost.is_empty(), "{} programs\n{}", lost.len(), lost.join("\n\n"));
    assert!(compared > programs / 4 && wrong > compared / 5, "{compared} compared, {wrong} wrong");
}

/// What `explore` says of one client or more with these scripts, asked for reads.
fn holds(pattern: &str, sections: &str, clients: &[&[&str]]) -> bool {
    let sections = format!("{sections}[explore]\nproperty = ['reads', 'final-state']\n");
    let explored = explore(&subject(&program(pattern, &sections, clients)), REDUCED, u64::MAX);
    assert!(explored.complete, "{:?}", explored.verdict);
    !explored.findings.iter().any(|(found, _)| found.kind == Kind::StaleRead)
}

/// An item of TTL n is gone at a tick that is more than n - 1 and at most n seconds away.
#[test]
fn an_item_lives_for_any_time_from_a_second_less_than_its_ttl() {
    let wait = |pause: &str| {
        let read = format!("read 0 after {pause}");
        holds("read-through", "[cache]\nttl-seconds = 2\n", &[&["read 0", &read], &["update 0"]])
    };
    assert!(!wait("900ms") && !wait("1800ms") && !wait("1999ms"));
    assert!(wait("2s"), "the fill is at the start at the earliest");
}

/// Pauses below a second add up beside an expiry and beside a lag.
#[test]
fn short_pauses_have_their_length() {
    let script = ["read 0", "update 0", "read 1 after 900ms", "read 0 after 900ms"];
    assert!(holds("read-through", "[cache]\nttl-seconds = 1\n", &[&script]));
    assert!(!holds("read-through", "[cache]\nttl-seconds = 2\n", &[&script]));
    let lag = "[database]\nreplica-lag = '100ms'\n";
    assert!(holds("no-cache", lag, &[&["update 0", "read 0 after 500ms"]]));
    assert!(!holds("no-cache", lag, &[&["update 0", "read 0 after 90ms"]]));
}

/// A select that takes up to a second reaches beyond a second delete after half of one, and one
/// that takes less does not.
#[test]
fn timeouts_bound_what_can_overlap() {
    let stale = |timeout: &str| {
        let text = program(
            "delayed-double-delete",
            &format!("[database]\ntimeout = '{timeout}'\n[explore]\nproperty = ['final-state']\n"),
            &[&["read 0"], &["update 0"]],
        );
        kinds(&text).contains(&Kind::Stale)
    };
    assert!(stale("1s"));
    assert!(!stale("400ms"));
}

/// The times of a counterexample are such that it is shown again by them, on servers too.
#[test]
fn a_counterexample_is_shown_again_at_its_times() {
    let text = program(
        "read-through",
        "[cache]\nttl-seconds = 2\n[explore]\nproperty = ['reads']\n",
        &[&["read 0", "read 0 after 1800ms"], &["update 0"]],
    );
    let subject = subject(&text);
    let explored = explore(&subject, REDUCED, u64::MAX);
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let smallest = explore::smallest(&subject, &explored.findings[0].0, go_on).unwrap().unwrap();
    assert_eq!(smallest.times.len(), smallest.choices.len());
    assert!(*smallest.times.last().unwrap() >= 1_800_000_000, "{:?}", smallest.times);
    let (replayed, _) = smallest.replay(&Registry::built_in(), &common::servers()).unwrap();
    assert!(smallest.is_confirmed_by(&replayed), "{replayed:?}");
    // A millisecond after the last moment at which its entry can be there.
    let mut late = smallest.clone();
    *late.times.last_mut().unwrap() = 2_001_000_000;
    let (replayed, _) = late.replay(&Registry::built_in(), &common::servers()).unwrap();
    assert!(!late.is_confirmed_by(&replayed), "{replayed:?}");
}
