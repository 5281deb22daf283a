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

/// A hazard's program refuses deletes or fails updates. Where one of the two takes effect, what was
/// searched holds, and the cell says what it was searched without.
#[test]
fn a_cell_holds_with_the_fault_that_had_no_step_and_does_not_apply_where_none_had_one() {
    let registry = Registry::built_in();
    let text = std::fs::read_to_string("scenarios/hazards/db-fail-after-cache.toml").unwrap();
    let cells = |hazard: &str, text: &str| {
        let scenario = common::scenario(text);
        let hazard = HazardScenario { hazard: hazard.to_owned(), scenario };
        let strategies = ["no-cache", "cache-aside"].map(|name| registry.find(name).unwrap());
        let (mut matrix, _) = matrix(&[hazard], &registry, &strategies).unwrap();
        let mut row = matrix.hazards.remove(0).cells;
        ["no-cache", "cache-aside"].map(|name| row.remove(name).unwrap())
    };
    let [without, with] = cells("db-fail-after-cache", &text);
    assert_eq!(without.verdict, CellVerdict::Holds, "{without:?}");
    let told = "no step for `refuse on cache.delete` to strike";
    assert_eq!(without.reason.as_deref(), Some(told));
    assert_eq!(with.reason, None, "both took effect: {with:?}");
    let [without, with] = cells("db-fail-after-cache", &text.replace("db.update", "cache.touch"));
    assert_eq!(without.verdict, CellVerdict::NotApplicable, "{without:?}");
    let both = "no step for `fail on cache.touch`, `refuse on cache.delete` to strike";
    assert_eq!(without.reason.as_deref(), Some(both));
    assert_ne!(with.verdict, CellVerdict::NotApplicable, "{with:?}");
}
