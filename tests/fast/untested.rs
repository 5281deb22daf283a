//! What never took effect is not tested: in `run`, `explore` and `hunt` alike.

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use staleproof::explore::{CellVerdict, HazardScenario, matrix};
use staleproof::pattern::Registry;

use crate::common;

/// A pattern that never stores anything, and a fault of its stores.
const NEVER: &str = "claim = 'a fault that never strikes'\npattern = 'no-cache'\nruns = 5\n\
    [workload]\nrows = 1\n\
    [[workload.group]]\nclients = 1\nscript = ['read 0']\n\
    [[workload.group]]\nclients = 1\nscript = ['update 0']\n\
    [[fault]]\ndo = 'refuse'\non = 'cache.set'\n\
    [explore]\nfaults = 1\nproperty = ['final-state']\nexpect = 'holds'\n";

fn tool(scenario: &str, arguments: &[&str]) -> assert_cmd::assert::Assert {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("never.toml");
    std::fs::write(&file, scenario).unwrap();
    let mut command = Command::cargo_bin("staleproof").unwrap();
    command.arg(arguments[0]).arg(&file).args(&arguments[1..]).assert()
}

#[test]
fn every_command_names_the_rule_and_the_remedy() {
    for command in [&["run"][..], &["explore"], &["hunt", "--seeds", "20"]] {
        let told = "not tested: fault `refuse on cache.set` never took effect: let it match a step";
        tool(NEVER, command)
            .code(4)
            .stdout(contains(told).and(contains("  as expected").or(contains("holds  ")).not()));
    }
    let line = tool(NEVER, &["explore", "--json"]).code(4).get_output().stdout.clone();
    let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert!(line["as-expected"].is_null(), "{line}");
    assert_eq!(line["verdict"], "holds", "of the bound, in which the fault had no step");
    let line =
        tool(NEVER, &["hunt", "--seeds", "20", "--jsonl"]).code(4).get_output().stdout.clone();
    let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(line["not_tested"].as_array().unwrap().len(), 1, "{line}");
}

/// A fault that was not asked for leaves nothing untested.
#[test]
fn a_bound_without_faults_and_the_usual_faults_are_tested() {
    tool(NEVER, &["explore", "--faults", "0"]).code(0);
    tool(NEVER, &["hunt", "--seeds", "20", "--faults", "0"]).code(0);
    let usual = NEVER.replace("[[fault]]\ndo = 'refuse'\non = 'cache.set'\n", "");
    let told = contains("`refuse on cache.*` had no step to strike");
    tool(&usual, &["explore"]).code(0).stdout(told);
    tool(&usual, &["hunt", "--seeds", "200", "--faults", "1"]).code(0);
}

/// The violation needs a fault, so that the other rule could have struck in its bound.
#[test]
fn a_counterexample_stays_one_whatever_was_not_tested() {
    let two =
        "do = 'lose-request'\non = 'cache.delete'\n[[fault]]\ndo = 'refuse'\non = 'cache.incr'";
    let lossy = NEVER
        .replace("no-cache", "cache-aside")
        .replace("script = ['read 0']", "script = ['read 0', 'update 0']")
        .replace("[[workload.group]]\nclients = 1\nscript = ['update 0']\n", "")
        .replace("do = 'refuse'\non = 'cache.set'", two)
        .replace("expect = 'holds'", "expect = 'violated'");
    let violated = contains("violated").and(contains("not tested").not());
    let struck_none = contains("`refuse on cache.incr` had no step to strike");
    tool(&lossy, &["explore"]).code(0).stdout(violated.and(struck_none));
    tool(&lossy, &["hunt", "--seeds", "200"]).code(1).stdout(contains("not tested").not());
}

/// A strategy without deletes does not hold under a hazard whose program refuses one, though the
/// program's other fault took effect.
#[test]
fn a_cell_does_not_hold_where_a_fault_of_its_hazard_never_took_effect() {
    let registry = Registry::built_in();
    let text = std::fs::read_to_string("scenarios/hazards/db-fail-after-cache.toml").unwrap();
    let scenario = common::scenario(&text);
    let hazard = HazardScenario { hazard: "db-fail-after-cache".to_owned(), scenario };
    let strategies = ["no-cache", "cache-aside"].map(|name| registry.find(name).unwrap());
    let (matrix, _) = matrix(&[hazard], &registry, &strategies).unwrap();
    let cell = |strategy| matrix.cell("db-fail-after-cache", strategy).unwrap();
    assert_eq!(cell("no-cache").verdict, CellVerdict::NotApplicable, "{:?}", cell("no-cache"));
    let reason = cell("no-cache").reason.as_deref().unwrap();
    assert_eq!(reason, "no step for `refuse on cache.delete` to strike");
    assert_ne!(cell("cache-aside").verdict, CellVerdict::NotApplicable, "both took effect");
}
