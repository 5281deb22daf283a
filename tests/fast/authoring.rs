//! `init`, `lint` and completions: what a new user meets first.

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

fn staleproof() -> Command {
    Command::cargo_bin("staleproof").unwrap()
}

#[test]
fn the_first_scenario_passes_and_is_clean() {
    let folder = tempfile::tempdir().unwrap();
    let mut init = staleproof();
    init.arg("init").current_dir(&folder).assert().code(0).stdout(contains("first.toml"));
    let mut run = staleproof();
    run.args(["run", "first.toml"]).current_dir(&folder).assert().code(0);
    let mut lint = staleproof();
    lint.args(["lint", "first.toml"]).current_dir(&folder).assert().code(0);
    let mut again = staleproof();
    again.arg("init").current_dir(&folder).assert().code(2).stderr(contains("exists already"));
    staleproof().args(["init", "/no/such/x.toml"]).assert().code(5);
}

#[test]
fn the_first_scenario_differs_when_its_fault_is_uncommented() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("first.toml");
    staleproof().arg("init").arg(&file).assert().code(0);
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("# [[fault]]", "[[fault]]").replace("# do =", "do =");
    let text = text.replace("# on =", "on =").replace("# probability", "probability");
    std::fs::write(&file, text).unwrap();
    staleproof().arg("run").arg(&file).assert().code(1).stdout(contains("delete-fails"));
}

#[test]
fn unsafe_settings_are_warned_of_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    let head = "claim = 'x'\npattern = 'cache-aside'\n";
    let expect = "[expect]\nlost_writes = 0\n";
    for (name, rest) in [
        ("ttl-never", format!("[cache]\nttl-seconds = 0\n{expect}")),
        ("ttl-over-30-days", format!("[cache]\nttl-seconds = 2592001\n{expect}")),
        ("retried-mutations", format!("[cache]\nretries = 2\n{expect}")),
        (
            "fault-cannot-strike",
            format!("[[fault]]\ndo = 'refuse'\non = 'cache.set'\nprobability = 0.0\n{expect}"),
        ),
        ("expectation-cannot-fail", "[expect]\nstale_reads = '>= 0'\n".to_owned()),
        ("no-expectation", String::new()),
    ] {
        std::fs::write(&file, format!("{head}{rest}")).unwrap();
        let lint = || {
            let mut command = staleproof();
            command.arg("lint").arg(&file);
            command
        };
        lint().assert().code(1).stdout(contains(format!("[{name}]")));
        lint().args(["--allow", name]).assert().code(0);
    }
    for (name, pattern) in [
        ("sliding-ttl", "sliding-ttl"),
        ("noreply-mutation", "noreply"),
        ("failover-of-mutations", "failover"),
    ] {
        let text = format!("claim = 'x'\npattern = '{pattern}'\n{expect}");
        std::fs::write(&file, text).unwrap();
        staleproof().arg("lint").arg(&file).assert().code(1).stdout(contains(format!("[{name}]")));
    }
    staleproof().args(["lint", "no/such.toml"]).assert().code(2);
    staleproof().args(["lint", "x.toml", "--allow", "nonsense"]).assert().code(2);
}

#[test]
fn shells_complete_our_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = staleproof().args(["completions", shell]).assert().code(0);
        script.stdout(contains("compare").and(contains("explore")));
    }
}

#[test]
fn everything_that_is_listed_is_explained() {
    for kind in ["patterns", "faults", "metrics"] {
        let listed = staleproof().args(["list", kind]).assert().code(0);
        let listed = String::from_utf8(listed.get_output().stdout.clone()).unwrap();
        let word = kind.trim_end_matches('s');
        for name in listed.lines().filter_map(|line| line.split_whitespace().next()) {
            let told = staleproof().args(["explain", name]).assert().code(0);
            told.stdout(contains(format!("{word} {name}: ")));
        }
    }
    let told = staleproof().args(["explain", "max_exposure"]).assert().code(0);
    told.stdout(contains("max_exposure = \"<= 300s\"").and(contains("virtual")));
    let wrong = staleproof().args(["explain", "stale_entrys"]).assert().code(2);
    wrong.stderr(contains("did you mean `stale_entries`?"));
    staleproof().args(["explain", "zzzzzzzz"]).assert().code(2).stderr(contains("list metrics"));
}
