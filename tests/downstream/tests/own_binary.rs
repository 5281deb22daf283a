//! The crate's own binary: three lines of `main`, and every command knows the crate's pattern.

use std::path::Path;
use std::process::{Command, Output};

const HAZARDS: &str = "../../scenarios/hazards";

fn tool(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_downstream"));
    command.args(arguments).env("NO_COLOR", "1").output().expect("it is built beside this test")
}

/// What it printed, once it has exited so.
fn exits(code: i32, arguments: &[&str]) -> String {
    let output = tool(arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let problems = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{text}\n{problems}");
    text
}

fn contains(text: &str, part: &str) {
    assert!(text.contains(part), "`{part}` is missing in\n{text}");
}

fn file_in(folder: &Path) -> String {
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let json = files.iter().find(|file| file.extension().is_some_and(|ending| ending == "json"));
    json.expect("a counterexample was left").display().to_string()
}

#[test]
fn list_and_explain_know_it() {
    contains(&exits(0, &["list", "patterns"]), "delete-first");
    contains(&exits(0, &["explain", "delete-first"]), "delete, then update");
}

#[test]
fn run_and_lint_take_its_scenario() {
    let text = exits(0, &["run", "scenarios/delete-first.toml"]);
    contains(&text, "delete-first");
    contains(&text, "hazard: delete-before-write");
    exits(0, &["lint", "scenarios/delete-first.toml"]);
}

#[test]
fn explore_finds_a_schedule_that_replay_shows_again() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let explored = exits(1, &["explore", "scenarios/delete-first.toml", "--out", &out]);
    contains(&explored, "delete-before-write");
    let file = file_in(folder.path());
    contains(&exits(0, &["replay", &file]), "confirmed");
}

#[test]
fn hunt_finds_it_too_and_replay_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let hunted = exits(1, &["hunt", "scenarios/delete-first.toml", "--out", &out]);
    contains(&hunted, "delete-before-write");
    contains(&exits(0, &["replay", &file_in(folder.path())]), "confirmed");
}

#[test]
fn a_failed_test_leaves_a_file_that_replay_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let checked = staleproof::check(downstream::delete_first).entity(downstream::Session);
    let broken = checked.folder(folder.path()).explore(1, 1).is_broken();
    let file = broken.file.expect("it was written").display().to_string();
    contains(&exits(0, &["replay", &file]), "delete-before-write");
}

#[test]
fn matrix_has_a_row_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    exits(0, &["matrix", "--hazards", HAZARDS, "--only", "delete-before-write", "--out", &out]);
    let page = std::fs::read_to_string(folder.path().join("matrix.md")).unwrap();
    contains(&page, "delete-first");
}

/// Exit code, results, and problems of running these scenario files, a claim and the rest each,
/// with the binary whose rows cannot always be made.
fn fragile(scenarios: &[(&str, &str)]) -> (Option<i32>, Vec<serde_json::Value>, String) {
    let folder = tempfile::tempdir().unwrap();
    for (claim, rest) in scenarios {
        let text = format!("claim = \"{claim}\"\npattern = \"cache-aside\"\n{rest}\n");
        std::fs::write(folder.path().join(format!("{claim}.toml")), text).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_fragile"));
    let output = command.arg("run").arg(folder.path()).args(["--format", "json"]).output().unwrap();
    let results = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    let results = results.map(|result| result.unwrap()).collect();
    (output.status.code(), results, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_panic_outside_an_operation_loses_no_other_scenario() {
    let many_rows = "entity = \"fragile\"\nworkload = { rows = 1000 }";
    let (code, results, problems) =
        fragile(&[("a", "entity = \"session\""), ("b", many_rows), ("c", "entity = \"session\"")]);
    assert_eq!(code, Some(101), "{problems}");
    let claims: Vec<_> = results.iter().map(|result| result["claim"].as_str().unwrap()).collect();
    assert_eq!(claims, ["a", "c"], "{problems}");
    contains(&problems, "no contents today");
    contains(&problems, "b.toml: run with seed 1 panicked");
}

#[test]
fn a_panic_in_a_later_run_loses_none_of_the_earlier_ones() {
    let one_row = "entity = \"fragile\"\nruns = 100\nworkload = { rows = 1 }";
    let (code, results, problems) = fragile(&[("a", one_row)]);
    assert_eq!(code, Some(101), "{problems}");
    let runs = results[0]["runs"].as_u64().unwrap();
    assert!(0 < runs && runs < 100, "{runs} runs\n{problems}");
    contains(&problems, &format!("run with seed {} panicked", runs + 1));
    contains(results[0]["not_tested"][0].as_str().unwrap(), "of 100 runs");
}
