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
fn the_article_is_one_table_and_the_readme_shows_it() {
    let output = staleproof().args(["run", "scenarios/article"]).assert().code(0);
    let table = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
    assert!(lines.len() >= 20 && lines[0].starts_with("claim "), "{table}");
    let readme = std::fs::read_to_string("README.md").unwrap();
    for line in lines {
        assert!(readme.contains(line), "README.md does not show `{line}`");
    }
}

#[test]
fn wrong_files_are_named_with_line_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    for (text, place, message) in [
        ("claim = 'x'\npattern = 'write-trough'\n", ":2:", "did you mean `write-through`?"),
        ("claim = 'x'\npatern = 'cache-aside'\n", ":2:1", "did you mean `pattern`?"),
        ("claim = 'x'\npattern = \n", ":2:", ""),
        ("claim = 'x'\npattern = 'no-cache'\nruns = 0\n", ":3:", "at least one run"),
        ("claim = 'x'\npattern = 'no-cache'\nruns = 1000001\n", ":3:", "at most 1000000 runs"),
        (
            "claim = 'x'\npattern = 'no-cache'\n[expect]\nhit_ratio = '>= 2'\n",
            ":4:",
            "the most that this can be",
        ),
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
    let last = u64::MAX.to_string();
    let good = file(&folder, "good.toml", GOOD);
    run(&good).args(["--seed", &last, "--runs", "1"]).assert().code(0);
    let beyond = run(&good).args(["--seed", &last, "--runs", "2"]).assert().code(2);
    beyond.stderr(contains("beyond the last seed"));
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
fn the_line_that_reproduces_a_failure_can_be_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let text = "claim = 'x'\npattern = 'read-through'\nruns = 3\n[expect.each]\nstale_reads = 0\n";
    let output = run(&file(&folder, "it's $HOME.toml", text)).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("reproduce: ")).unwrap();
    let program = assert_cmd::cargo::cargo_bin("staleproof");
    let paths = [program.parent().unwrap().to_owned(), "/usr/bin".into(), "/bin".into()];
    let pasted = std::process::Command::new("sh")
        .args(["-c", line])
        .env("PATH", std::env::join_paths(paths).unwrap())
        .output()
        .unwrap();
    let again = String::from_utf8(pasted.stdout).unwrap();
    assert_eq!(pasted.status.code(), Some(1), "{line}\n{again}");
    assert!(again.contains("NOT MET") && again.contains(line), "{line}\n{again}");
}

#[test]
fn a_file_that_cannot_be_written_leaves_no_part_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.toml", GOOD);
    let out = folder.path().join("out");
    // A folder stands where a report should go.
    std::fs::create_dir_all(out.join("junit.xml")).unwrap();
    run(&path).arg("--out").arg(&out).assert().code(5).stderr(contains("junit.xml"));
    let names = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    assert!(names.into_iter().all(|path| path.extension().is_none_or(|e| e != "partial")));
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
        .stderr(contains("is memcached running there, and not stopped?"));
    run(&path).args(["--database", "sqlite:/no/such/folder/x.db"]).assert().code(5);
}

#[test]
fn results_are_written_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.toml", GOOD);
    let out = folder.path().join("out");
    run(&path).arg("--out").arg(&out).assert().code(0);
    let written = std::fs::read_dir(&out).unwrap();
    let mut names: Vec<String> =
        written.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let jsons = names.iter().filter(|name| name.ends_with("a.json")).count();
    assert_eq!(jsons, 1, "{names:?}");
    for report in ["junit.xml", "report.html", "report.md"] {
        assert!(names.iter().any(|name| name == report), "{names:?}");
    }
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
    let of = |format: &str| {
        let arguments = ["run", "scenarios/article", "--format", format];
        staleproof().args(arguments).output().unwrap().stdout
    };
    let json = of("json");
    let results = serde_json::Deserializer::from_slice(&json).into_iter();
    let results: Vec<serde_json::Value> = results.map(|result| result.unwrap()).collect();
    let table = String::from_utf8(of("text")).unwrap();
    let mut numbers = 0;
    for (result, line) in results.iter().zip(table.lines().skip(1)) {
        assert!(line.starts_with(result["claim"].as_str().unwrap()), "{line}");
        let (_, evidence) = line.rsplit_once("  ").unwrap();
        let sample = &result["sample"];
        let evidence = match sample.is_null() {
            true => evidence,
            false => {
                let size = format!("{} runs ({} reads)", sample["runs"], sample["reads"]);
                assert!(evidence.starts_with(&size), "{size}: {line}");
                evidence.split_once(", ").unwrap().1
            }
        };
        for (name, printed) in evidence.split(", ").map(|part| part.split_once(' ').unwrap()) {
            let expectations = result["expectations"].as_array().unwrap().iter();
            let judged = expectations.filter(|expectation| expectation["metric"] == name);
            let judged = judged.map(|expectation| &expectation["measured"]);
            let stands = judged.chain([&result["metrics"][name]]).any(|kept| says(printed, kept));
            assert!(stands, "{name} {printed}: {line}");
            numbers += 1;
        }
    }
    assert!(results.len() >= 19 && numbers > 40, "{} lines, {numbers} numbers", results.len());
    let schema = staleproof().args(["schema", "result"]).output().unwrap().stdout;
    let schema: serde_json::Value = serde_json::from_slice(&schema).unwrap();
    assert!(results.iter().all(|result| jsonschema::is_valid(&schema, result)));
}

/// Whether a printed number, perhaps with a unit, is this one to the digits printed.
fn says(printed: &str, kept: &serde_json::Value) -> bool {
    let digits = printed.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match &printed[digits.len()..] {
        "" | "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        unit => panic!("{unit} in {printed}"),
    };
    let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let number: f64 = digits.parse().unwrap();
    kept.as_f64().is_some_and(|kept| (kept / scale - number).abs() <= 0.1_f64.powi(decimals as i32))
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

/// A process that does not outlive its test, also where that fails: a million runs fill the memory.
struct KilledAtTheEnd(std::process::Child);

impl Drop for KilledAtTheEnd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_interruption_keeps_what_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let text = GOOD.replace("pattern", "runs = 1000000\npattern");
    let path = file(&folder, "a.toml", &text);
    let out = folder.path().join("out");
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("staleproof"));
    let child = command.arg("run").arg(&path).arg("--out").arg(&out).spawn().unwrap();
    let mut child = KilledAtTheEnd(child);
    // The folder is made right before the handler is set and the first run begins.
    while !out.exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    let pid = child.0.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.0.wait().unwrap().code(), Some(130));
    let mut files = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.extension().is_some_and(|e| e == "json")).unwrap();
    let result: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert!(result["runs"].as_u64().unwrap() > 0);
    assert!(result["not_tested"][0].as_str().unwrap().contains("interrupted"));
}
