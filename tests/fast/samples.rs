//! A sample says what it did not see and in how many runs; it never says that anything holds.

use assert_cmd::Command;

const SCENARIO: &str = "claim = 'reads are fresh'\npattern = 'no-cache'\nruns = 20\n\
    [workload]\nclients = 2\noperations = 10\nrows = 1\nmix = { read = 1, update = 1 }\n";
const CLAIM: &str = "[broken-if]\nstale_reads = '> 0'\n[expect]\nclaim = 'holds'\n";

/// What a command prints of a scenario.
fn printed(scenario: &str, command: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.toml");
    std::fs::write(&file, scenario).unwrap();
    let mut staleproof = Command::cargo_bin("staleproof").unwrap();
    let done = staleproof.arg(command[0]).arg(&file).args(&command[1..]).output().unwrap();
    String::from_utf8(done.stdout).unwrap()
}

fn result(scenario: &str) -> serde_json::Value {
    serde_json::from_str(&printed(scenario, &["run", "--format", "json"])).unwrap()
}

fn sentence(scenario: &str) -> String {
    let reads = result(scenario)["metrics"]["reads"].as_f64().unwrap();
    format!(
        "no violation seen in 20 runs ({reads} reads): at 95 % fewer than 3/20 of runs of this \
         scenario show one"
    )
}

#[test]
fn every_report_says_the_sentence_and_none_says_holds() {
    let scenario = format!("{SCENARIO}{CLAIM}");
    let sentence = sentence(&scenario);
    for format in ["text", "markdown", "junit", "html"] {
        let mut text = printed(&scenario, &["run", "--format", format]);
        if format == "html" {
            // The scenario as its author wrote it stands below the report.
            text.truncate(text.find("The scenario as it was run").unwrap());
            // Style sheets and scripts are not about the claim.
            text = text[text.find("<body>").unwrap()..].to_owned();
        }
        let reads = sentence.split(['(', ')']).nth(1).unwrap();
        let said = match format {
            "markdown" => format!("no violation seen, 20 runs ({reads}): &lt; 3/20"),
            _ => sentence.clone(),
        };
        assert!(text.contains(&said), "{format}: {text}");
        // The name of a test case is what CI systems know it by.
        let text = text.replace("<testcase name=\"claim holds\"", "");
        assert!(!text.contains("holds"), "{format}: {text}");
        assert!(!text.contains("not broken") && !text.contains("seen broken"), "{format}: {text}");
    }
}

#[test]
fn a_table_gives_runs_reads_and_bound_beside_each_claim() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        std::fs::write(folder.path().join(format!("{name}.toml")), format!("{SCENARIO}{CLAIM}"))
            .unwrap();
    }
    for format in ["text", "markdown"] {
        let mut run = Command::cargo_bin("staleproof").unwrap();
        let run = run.arg("run").arg(folder.path()).args(["--format", format]).output().unwrap();
        let text = String::from_utf8(run.stdout).unwrap();
        let cells = text.matches(" reads): ").count();
        assert_eq!(cells, 2, "{text}");
        assert_eq!(text.matches("at 95 % fewer than 3/m of runs").count(), 1, "{text}");
        assert!(!text.contains("holds"), "{text}");
    }
}

#[test]
fn json_has_runs_reads_and_bound() {
    let result = result(&format!("{SCENARIO}{CLAIM}"));
    assert_eq!(result["claim_verdict"], "not-observed");
    assert_eq!(result["sample"]["runs"], 20);
    assert_eq!(result["sample"]["reads"].as_f64(), result["metrics"]["reads"].as_f64());
    assert_eq!(result["sample"]["bound"], 0.15);
}

/// Only what a single run could have violated, and none did, is bounded.
#[test]
fn only_limits_that_every_run_kept_by_itself_are_bounded() {
    let sample = |sections: &str| result(&format!("{SCENARIO}{sections}"))["sample"].clone();
    assert_eq!(sample("[expect]\nbad_entries = 0\n")["bound"], 0.15);
    assert_eq!(sample("[expect.each]\nmax_read_staleness = '<= 1ms'\n")["bound"], 0.15);
    assert!(sample("").is_null(), "nothing was asked");
    assert!(sample("[expect]\nreads = '> 0'\n").is_null(), "a lower limit");
    assert!(sample("[expect.some]\nbad_entries = 0\n").is_null(), "one run is enough for it");
    let violated = "[expect]\nbad_entries = 0\nreads = 0\n";
    assert!(sample(violated).is_null(), "a violation was seen");
    let untested = "[[fault]]\ndo = 'refuse'\non = 'cache.set'\n[expect]\nbad_entries = 0\n";
    assert!(sample(untested).is_null(), "what was not tested bounds nothing");
}

/// Shares are of all runs together: a run may be worse than all of them.
#[test]
fn a_share_of_all_runs_bounds_nothing_of_one() {
    let racy = "claim = '-'\npattern = 'cache-aside'\nruns = 40\n[workload]\nrows = 1\n\
        clients = 3\noperations = 6\nmix = { read = 1, update = 1 }\n\
        [broken-if]\np_stale = '> 10%'\n";
    let result = result(racy);
    assert_eq!(result["claim_verdict"], "not-observed", "{}", result["metrics"]["p_stale"]);
    assert_eq!(result["sample"]["runs"], 40);
    assert!(result["sample"]["bound"].is_null());
    let text = printed(racy, &["run"]);
    assert!(text.contains("taken together: it bounds nothing of a run by itself"), "{text}");
}

#[test]
fn a_hunt_that_finds_nothing_says_the_sentence() {
    let text = printed(SCENARIO, &["hunt", "--seeds", "40"]);
    assert!(text.starts_with("no violation seen in 40 schedules ("), "{text}");
    assert!(text.ends_with("fewer than 3/40 of schedules of this scenario show one\n"), "{text}");
    let line = printed(SCENARIO, &["hunt", "--seeds", "40", "--jsonl"]);
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(text.contains(&format!("({} reads)", line["reads"])), "{text} {line}");
    assert_eq!(line["bound"], 0.075);
}

#[test]
fn a_test_that_wants_a_flaw_and_sees_none_says_the_sentence() {
    let registry = staleproof::pattern::Registry::built_in();
    let checked = staleproof::suite::check_in(registry, "no-cache").seeds(10);
    let told =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| checked.is_broken())).unwrap_err();
    let told = told.downcast_ref::<String>().unwrap();
    assert!(told.starts_with("no violation seen in 10 runs ("), "{told}");
    assert!(told.contains("at 95 % fewer than 3/10 of runs"), "{told}");
}
