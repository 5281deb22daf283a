//! `[accept]`: known findings pass within their bounds, and whatever else goes wrong does not.

use std::path::PathBuf;

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

/// Cache-aside without any fault: readers see the old row between commit and delete, and fill
/// the cache with it too late now and then.
const SCENARIO: &str = "claim = 'x'\npattern = 'cache-aside'\nruns = 5\n
[workload]\nrows = 4\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn run(&self, accept: &str) -> assert_cmd::assert::Assert {
        let file: PathBuf = self.0.path().join("a.toml");
        std::fs::write(&file, format!("{SCENARIO}[accept]\n{accept}\n")).unwrap();
        Command::cargo_bin("staleproof").unwrap().arg("run").arg(file).assert()
    }
}

#[test]
fn green_within_the_bound_and_red_beyond_it() {
    let folder = Folder::new();
    let both = |window: &str| format!("commit-to-delete-window = '{window}'\nstale-set = '<= 1s'");
    folder.run(&both("<= 10ms")).code(0).stdout(contains("met      finding commit-to-delete-"));
    let beyond = folder.run(&both("<= 5us")).code(1);
    beyond.stdout(
        contains("NOT MET  finding commit-to-delete-window up to")
            .and(contains("reproduce: staleproof run")),
    );
    folder.run(&both("any")).code(0);
}

#[test]
fn a_finding_that_is_not_listed_is_red() {
    let folder = Folder::new();
    let only = folder.run("commit-to-delete-window = 'any'").code(1);
    only.stdout(contains("NOT MET  finding stale-set up to").and(contains("accepted none (")));
}

#[test]
fn what_never_heals_needs_any() {
    let folder = Folder::new();
    let script = "[[workload.group]]\nclients = 1\nscript = ['read 0', 'update 0']\n
[cache]\nttl-seconds = 0\n";
    let file = folder.0.path().join("b.toml");
    let run = |bound: &str| {
        let text = format!(
            "claim = 'x'\npattern = 'read-through'\n{script}[accept]\nttl-zero-forever = '{bound}'\n\
             [expect]\nhits = 0\n"
        );
        std::fs::write(&file, text).unwrap();
        Command::cargo_bin("staleproof").unwrap().arg("run").arg(&file).assert()
    };
    run("<= 10h").code(1).stdout(contains("NOT MET  finding ttl-zero-forever without end"));
    run("any").code(0);
}

#[test]
fn a_wrong_name_or_bound_is_refused_with_its_place() {
    let folder = Folder::new();
    let name = folder.run("commit-to-delete-windo = 'any'").code(2);
    name.stderr(contains("did you mean `commit-to-delete-window`?").and(contains("a.toml:8:")));
    folder.run("stale-set = '5ms'").code(2).stderr(contains("write \"<= 5ms\", or \"any\""));
    folder.run("stale-set = 5").code(2);
}

#[test]
fn without_steps_nothing_is_known() {
    let folder = Folder::new();
    let file = folder.0.path().join("c.toml");
    let text = format!("record = 'operations'\n{SCENARIO}[accept]\nstale-set = 'any'\n");
    std::fs::write(&file, text).unwrap();
    let run = Command::cargo_bin("staleproof").unwrap().arg("run").arg(&file).assert();
    run.code(4).stdout(contains("accepted findings need `record = \"steps\"`"));
}

#[test]
fn explore_and_hunt_look_for_what_is_not_accepted() {
    let folder = Folder::new();
    let search = |arguments: &[&str], stale_set: &str| {
        let file = folder.0.path().join("d.toml");
        let accept = "commit-to-delete-window = '<= 5ms'\nfresh-then-stale-inversion = 'any'\n";
        std::fs::write(&file, format!("{SCENARIO}[accept]\n{accept}{stale_set}\n")).unwrap();
        let mut command = Command::cargo_bin("staleproof").unwrap();
        command.args(arguments).arg(file).current_dir(folder.0.path()).assert()
    };
    let explore: &[&str] = &["explore"];
    let hunt: &[&str] = &["hunt", "--seeds", "100"];
    for command in [explore, hunt] {
        search(command, "").code(1).stdout(contains("stale-set"));
        search(command, "stale-set = '<= 300s'").code(1).stdout(contains("stale-set"));
        search(command, "stale-set = '<= 301s'").code(0);
    }
}
