//! The command line: what goes wrong is named, with the right exit code, and never a panic.
#![cfg(feature = "cli")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

fn staleproof() -> Command {
    let mut command = Command::cargo_bin("staleproof").unwrap();
    command.env("NO_COLOR", "1");
    command
}

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn run(path: &Path) -> Command {
    let mut command = staleproof();
    command.arg("run").arg(path);
    command
}

const GOOD: &str = "claim = 'x'\npattern = 'cache-aside'\n[expect]\nreads = '> 0'\n";

#[test]
fn the_article_is_one_table() {
    staleproof()
        .args(["run", "scenarios/article"])
        .assert()
        .code(0)
        .stdout(contains("a TTL of 300 s bounds staleness to 300 s").and(contains("broken")));
}

#[test]
fn wrong_files_are_named_with_line_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    for (text, place, message) in [
        ("claim = 'x'\npattern = 'write-trough'\n", ":2:", "did you mean `write-through`?"),
        ("claim = 'x'\npatern = 'cache-aside'\n", ":2:1", "did you mean `pattern`?"),
        ("claim = 'x'\npattern = \n", ":2:", ""),
        ("claim = 'x'\npattern = 'no-cache'\nruns = 0\n", ":3:", "at least one run"),
        ("claim = 'x'\npattern = 'no-cache'\n[workload]\nclients = 0\n", ":4:", "at least 1"),
        ("claim = 'x'\npattern = 'no-cache'\n[cache]\nttl-seconds = -1\n", ":4:", "negative TTL"),
        (
            "claim = 'x'\npattern = 'no-cache'\n[[fault]]\ndo = 'refuse'\non = 'db.*'\n\
             probability = 1.5\n",
            ":6:",
            "between 0 and 1",
        ),
        (
            "claim = 'x'\npattern = 'no-cache'\n[[fault]]\ndo = 'refuse'\non = 'db.*'\n\
             from = '2s'\nuntil = '1s'\n",
            ":7:",
            "end must come after",
        ),
        ("claim = 'x'\npattern = 'no-cache'\n[expect]\nstale = 0\n", ":4:", "unknown metric"),
        (
            "claim = 'x'\npattern = 'no-cache'\n[workload]\nmix = { read = 0, update = 0 }\n",
            ":4:",
            "nothing would be done",
        ),
        ("claim = 'x'\npattern = 'no-cache'\n[workload]\nthink = '5'\n", ":4:", "not a duration"),
    ] {
        let path = file(&folder, "wrong.toml", text);
        run(&path).assert().code(2).stderr(contains(place).and(contains(message)));
    }
}

#[test]
fn missing_files_and_empty_folders_are_wrong_input() {
    let folder = tempfile::tempdir().unwrap();
    run(Path::new("no/such.toml")).assert().code(2).stderr(contains("no such file"));
    run(folder.path()).assert().code(2).stderr(contains("no scenario"));
    staleproof().arg("run").assert().code(2);
    staleproof().args(["run", "x", "--seed", "many"]).assert().code(2);
    staleproof().args(["run", "x", "--runs", "0"]).assert().code(2);
    staleproof().args(["run", "x", "--cache", "redis://a:1"]).assert().code(2);
    let bytes = folder.path().join("latin1.toml");
    std::fs::write(&bytes, b"claim = '\xe9'").unwrap();
    run(&bytes).assert().code(2).stderr(contains("not UTF-8"));
}

#[test]
fn a_difference_exits_1_and_says_how_to_see_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let text = "claim = 'x'\npattern = 'read-through'\nseed = 5\n[expect.each]\nstale_reads = 0\n";
    run(&file(&folder, "a.toml", text))
        .assert()
        .code(1)
        .stdout(contains("NOT MET").and(contains("--seed 5 --runs 1")));
}

#[test]
fn what_was_not_tested_exits_4() {
    let folder = tempfile::tempdir().unwrap();
    let text = "claim = 'x'\npattern = 'cache-aside'\n[workload]\noperations = 0\n";
    run(&file(&folder, "a.toml", text)).assert().code(4).stdout(contains("no operation"));
}

#[test]
fn a_dead_server_exits_5_and_keeps_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.toml", GOOD);
    run(&path)
        .args(["--cache", "memcached://127.0.0.1:1"])
        .assert()
        .code(5)
        .stderr(contains("is memcached running there?"));
    run(&path).args(["--database", "sqlite:/no/such/folder/x.db"]).assert().code(5);
}

#[test]
fn results_are_written_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.toml", GOOD);
    let out = folder.path().join("out");
    run(&path).arg("--out").arg(&out).assert().code(0);
    let written: Vec<_> = std::fs::read_dir(&out).unwrap().collect();
    assert_eq!(written.len(), 1);
    // A file where the folder should be.
    run(&path).arg("--out").arg(&path).assert().code(5).stderr(contains("--out"));
}

#[test]
fn two_processes_print_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.toml", GOOD);
    let json = || run(&path).args(["--format", "json"]).output().unwrap().stdout;
    let first = json();
    assert!(!first.is_empty());
    assert_eq!(first, json());
}

#[test]
fn every_number_of_the_table_is_in_the_json() {
    let output = staleproof()
        .args(["run", "scenarios/article/02-read-through-with-writers.toml", "--format", "json"])
        .output()
        .unwrap();
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let stale = result["metrics"]["stale_reads"].as_f64().unwrap();
    staleproof()
        .args(["run", "scenarios/article"])
        .assert()
        .stdout(contains(format!("stale_reads {stale}")));
    let schema = staleproof().args(["schema", "result"]).output().unwrap().stdout;
    let schema: serde_json::Value = serde_json::from_slice(&schema).unwrap();
    assert!(jsonschema::is_valid(&schema, &result));
}

#[test]
fn the_plan_can_be_printed() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.toml", GOOD);
    run(&path).arg("--print-plan").assert().code(0).stdout(contains("c0#1 "));
}

#[test]
fn lists_have_what_they_promise() {
    for (what, name) in [
        ("patterns", "write-behind"),
        ("faults", "deliver-late"),
        ("metrics", "p_stale_hits"),
        ("scenarios", "06-write-through-two-writers.toml"),
    ] {
        staleproof().args(["list", what]).assert().code(0).stdout(contains(name));
    }
}

#[test]
fn the_schema_accepts_the_shipped_scenarios_and_no_others() {
    let schema = staleproof().arg("schema").output().unwrap().stdout;
    let schema: serde_json::Value = serde_json::from_slice(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let json =
        |text: &str| serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir("scenarios/article").unwrap() {
        let path = entry.unwrap().path();
        let document = json(&std::fs::read_to_string(&path).unwrap());
        let errors: Vec<String> = validator.iter_errors(&document).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        files += 1;
    }
    assert!(files >= 15);
    for wrong in [
        "claim = 'x'",
        "claim = 'x'\npattern = 'a'\npatern = 'b'",
        "claim = 'x'\npattern = 'a'\nruns = 0",
        "claim = 'x'\npattern = 'a'\n[[fault]]\ndo = 'explode'",
        "claim = 'x'\npattern = 'a'\n[[fault]]\ndo = 'refuse'\non = 'cache.sett'",
    ] {
        assert!(!validator.is_valid(&json(wrong)), "{wrong}");
    }
}

#[test]
fn a_full_disk_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.toml", GOOD);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("staleproof"));
    let status = command.arg("run").arg(&path).stdout(full).status().unwrap();
    assert_eq!(status.code(), Some(5));
}

#[test]
fn an_interruption_keeps_what_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let text = GOOD.replace("pattern", "runs = 1000000000\npattern");
    let path = file(&folder, "a.toml", &text);
    let out = folder.path().join("out");
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("staleproof"));
    let mut child = command.arg("run").arg(&path).arg("--out").arg(&out).spawn().unwrap();
    // The folder is made right before the handler is set and the first run begins.
    while !out.exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let file = std::fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    let result: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert!(result["runs"].as_u64().unwrap() > 0);
    assert!(result["not_tested"][0].as_str().unwrap().contains("interrupted"));
}
