//! `compare` and `--baseline`: a regression exits with 1, a foreign baseline with 2.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

const SCENARIO: &str = "claim = 'x'\npattern = 'cache-aside'\nruns = 3\n
[workload]\nclients = 2\noperations = 40\nrows = 4\n";

fn staleproof() -> Command {
    Command::cargo_bin("staleproof").unwrap()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs a scenario and keeps its result.
    fn result(&self, name: &str, scenario: &Path) -> PathBuf {
        let run = staleproof().arg("run").arg(scenario).args(["--format", "json"]).output();
        self.file(name, &String::from_utf8(run.unwrap().stdout).unwrap())
    }
}

#[test]
fn the_same_result_has_no_difference() {
    let folder = Folder::new();
    let a = folder.result("a.json", &folder.file("s.toml", SCENARIO));
    staleproof().arg("compare").args([&a, &a]).assert().code(0).stdout(contains("no difference"));
}

#[test]
fn a_pattern_without_invalidation_is_a_regression() {
    let folder = Folder::new();
    let a = folder.result("a.json", &folder.file("a.toml", SCENARIO));
    let worse = SCENARIO.replace("cache-aside", "read-through");
    let b = folder.result("b.json", &folder.file("b.toml", &worse));
    staleproof().arg("compare").args([&a, &b]).assert().code(2).stderr(contains("different scen"));
    let mut patterns = staleproof();
    patterns.args(["compare", "--patterns"]);
    patterns.args([&a, &b]).assert().code(1).stdout(contains("worse   p_stale"));
    let mut back = staleproof();
    back.args(["compare", "--patterns"]);
    // It costs hits, and that counts too.
    let back = back.args([&b, &a]).assert().code(1);
    back.stdout(contains("better  p_stale").and(contains("worse   hit_ratio")));
}

#[test]
fn a_baseline_holds_in_ci() {
    let folder = Folder::new();
    let scenario = folder.file("s.toml", SCENARIO);
    let baseline = folder.result("baseline.json", &scenario);
    let run = |scenario: &Path, baseline: &Path| {
        let mut command = staleproof();
        command.arg("run").arg(scenario).arg("--baseline").arg(baseline);
        command
    };
    run(&scenario, &baseline).assert().code(0).stdout(contains("no difference"));
    // Another scenario, another definition, another version, an aborted run, no file.
    let other = folder.file("t.toml", SCENARIO);
    run(&other, &baseline).assert().code(2).stderr(contains("baseline of other scenarios"));
    folder.file("s.toml", &SCENARIO.replace("rows = 4", "rows = 5"));
    run(&scenario, &baseline).assert().code(2).stderr(contains("`workload` differs"));
    let text = std::fs::read_to_string(&baseline).unwrap();
    let old = folder.file("old.json", &text.replace("\"format\": 2", "\"format\": 1"));
    run(&scenario, &old).assert().code(2).stderr(contains("format 1"));
    let half = folder.file("half.json", &text[..text.len() / 2]);
    run(&scenario, &half).assert().code(2).stderr(contains("aborted"));
    run(&scenario, &folder.file("empty.json", "")).assert().code(2).stderr(contains("is empty"));
    run(&scenario, Path::new("no/such.json")).assert().code(2).stderr(contains("cannot be read"));
}

#[test]
fn a_report_of_bad_results_says_why() {
    let folder = Folder::new();
    let report = |path: &Path| staleproof().arg("report").arg(path).assert();
    report(&folder.file("empty.json", "")).code(2).stderr(contains("is empty"));
    report(&folder.file("foreign.json", "{\"a\": 1}")).code(2).stderr(contains("`format`"));
    report(&folder.file("text.json", "hello")).code(2).stderr(contains("no complete result"));
    let good = folder.result("a.json", &folder.file("s.toml", SCENARIO));
    let write = |target: &str| {
        let mut command = staleproof();
        command.arg("report").arg(&good).args(["--report", target]);
        command.assert()
    };
    write("/no/such/folder/x.html").code(5).stderr(contains("cannot be written"));
    write("x.pdf").code(2).stderr(contains(".html"));
    for format in ["text", "json", "junit", "markdown", "html"] {
        staleproof().arg("report").arg(&good).args(["--format", format]).assert().code(0);
    }
}
