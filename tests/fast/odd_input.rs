//! What nobody should write, given to `explore`, `hunt`, `replay` and `matrix`: an exit code and a
//! message, never a pass, a panic or an endless search.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

fn run(arguments: &[&str]) -> (i32, String) {
    let mut command = assert_cmd::Command::cargo_bin("staleproof").unwrap();
    let done = command.args(arguments).output().unwrap();
    let text = [done.stdout, done.stderr].concat();
    (done.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn scenario(folder: &Path, more: &str) -> PathBuf {
    let file = folder.join("s.toml");
    std::fs::write(&file, format!("claim = '-'\npattern = 'cache-aside'\n{more}")).unwrap();
    file
}

#[test]
fn nothing_to_search_is_no_pass() {
    let folder = tempfile::tempdir().unwrap();
    let file = scenario(folder.path(), "");
    let file = file.to_str().unwrap();
    let (code, text) = run(&["explore", file, "--readers", "0", "--writers", "0"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("neither readers nor writers"), "{text}");
    assert_eq!(run(&["explore", file, "--max-schedules", "0"]).0, 2);
    let (code, text) = run(&["hunt", file, "--time", "0s"]);
    assert_eq!((code, text.as_str()), (3, "nothing was looked at\n"));
    let idle = scenario(folder.path(), "[workload]\noperations = 0\n");
    let (code, text) = run(&["hunt", idle.to_str().unwrap(), "--seeds", "2"]);
    assert_eq!(code, 4, "{text}");
}

/// Exit code and message of a replay of a counterexample that was changed.
fn replayed(change: impl FnOnce(&mut Value)) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = scenario(folder.path(), "[explore]\nreaders = 1\nwriters = 1\n");
    let out = folder.path().join("out");
    run(&["explore", file.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    let kept = out.join("s-cache-aside.json");
    let mut example: Value =
        serde_json::from_str(&std::fs::read_to_string(&kept).unwrap()).unwrap();
    change(&mut example);
    std::fs::write(&kept, example.to_string()).unwrap();
    run(&["replay", kept.to_str().unwrap()])
}

#[test]
fn an_edited_counterexample_is_refused_or_not_confirmed() {
    assert_eq!(replayed(|_| {}).0, 0);
    let refused = [
        ("/scenario/cache/nodes", json!(0)),
        ("/scenario/workload/rows", json!(4_294_967_295_u32)),
        ("/scenario/workload/group/0/clients", json!(100_000)),
        ("/scenario/workload/group/0/script", json!(["frobnicate 1"])),
        ("/scenario/pattern", json!("nobody")),
        ("/choices/0", json!("step")),
        ("/format", json!(2)),
    ];
    for (place, value) in refused {
        let (code, text) = replayed(|example| *example.pointer_mut(place).unwrap() = value);
        assert_eq!(code, 2, "{place}: {text}");
        assert!(!text.contains("panicked"), "{text}");
    }
    let (code, text) = replayed(|example| example["choices"] = json!([]));
    assert_eq!(code, 1, "{text}");
    let (code, text) = replayed(|example| example["choices"].as_array_mut().unwrap().reverse());
    assert_eq!(code, 1);
    assert!(text.contains("differs first at number 1"), "{text}");
}

#[test]
fn replay_says_what_it_takes() {
    for (file, remedy) in [
        ("scenarios/hazards/stale-set.toml", "with `staleproof run`"),
        ("README.md", "`staleproof explore --out DIR`"),
        ("reports/confirmed.json", "`staleproof explore --out DIR`"),
    ] {
        let (code, text) = run(&["replay", file]);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(file) && text.contains(remedy), "{text}");
    }
}

#[test]
fn results_of_several_scenarios_are_a_line_each() {
    let folder = tempfile::tempdir().unwrap();
    let file = scenario(folder.path(), "[explore]\nreaders = 1\nwriters = 1\n");
    let file = file.to_str().unwrap();
    let (_, text) = run(&["explore", file, file, "--json"]);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines.iter().all(|line| line["verdict"] == "violated"));
}

#[test]
fn a_part_of_the_matrix_does_not_replace_the_whole() {
    let (code, text) = run(&["matrix", "--only", "stale-set"]);
    assert_eq!(code, 2);
    assert!(text.contains("choose another --out"), "{text}");
    assert_eq!(run(&["matrix", "--only", "stale-set", "--check"]).0, 2);
}
