//! Recorded runs as history files, and histories that are judged while they grow.
#![cfg(all(feature = "cli", feature = "sqlite"))]

use crate::common;
use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use staleproof::check::linear::{LIMIT, judge_log};
use staleproof::check::staleness;
use staleproof::check::values::Values;
use staleproof::history::file::{Mistakes, compressed, decompressed, read, write};
use staleproof::history::log::Log;

const STALE: &str = "claim = 'x'\npattern = 'read-through'\n\
    [workload]\nclients = 3\nrows = 3\noperations = 60\nmix = { read = 70, update = 30 }\n";
const FRESH: &str = "claim = 'x'\npattern = 'no-cache'\n\
    [workload]\nclients = 3\nrows = 3\noperations = 60\nmix = { read = 70, update = 30 }\n";

fn recorded(text: &str, seed: u64) -> Log {
    let mut bytes = Vec::new();
    write(&common::run_once(text, seed).history, &mut bytes).unwrap();
    let packed = compressed(&bytes);
    assert!(packed.len() < bytes.len() / 2);
    let unpacked = decompressed(std::io::Cursor::new(packed)).unwrap();
    let reading = read(unpacked, "recorded", Mistakes::Refuse).unwrap();
    let plain = read(&bytes[..], "recorded", Mistakes::Refuse).unwrap();
    assert_eq!(plain.log.ops, reading.log.ops);
    reading.log
}

#[test]
fn a_recorded_run_reads_back_and_is_judged() {
    for seed in 1..20 {
        let log = recorded(FRESH, seed);
        let judgement = judge_log(&log, LIMIT);
        assert_eq!((judgement.violated, judgement.unknown), (vec![], vec![]), "seed {seed}");
        assert!(log.ops.len() > 100);
    }
    let violated =
        (1..20).filter(|seed| !judge_log(&recorded(STALE, *seed), LIMIT).violated.is_empty());
    assert!(violated.count() > 10);
}

#[test]
fn staleness_by_intervals_never_exceeds_that_by_commits() {
    for seed in 1..10 {
        let run = common::run_once(STALE, seed);
        let mut bytes = Vec::new();
        write(&run.history, &mut bytes).unwrap();
        let log = read(&bytes[..], "recorded", Mistakes::Refuse).unwrap().log;
        let measured = staleness::measure(&log, &Values::of(&log));
        let known = &run.measure.reads;
        assert_eq!(measured.all.reads + measured.never_legal, known.reads);
        assert!(measured.all.stale <= known.stale && known.stale > 0);
        let most = known.ages.iter().max().copied().unwrap_or(0);
        assert!(measured.at_least.last().unwrap() <= &most);
        assert!(measured.at_most.last().unwrap() >= &most);
    }
}

#[test]
fn run_writes_histories_that_check_reads() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("s.toml");
    std::fs::write(&scenario, format!("{STALE}[expect]\nreads = '> 0'\n")).unwrap();
    let out = folder.path().join("histories");
    let command = || Command::cargo_bin("staleproof").unwrap();
    let run = |more: &[&str]| {
        let mut command = command();
        command.arg("run").arg(&scenario).args(["--runs", "2", "--history"]).arg(&out).args(more);
        command.assert().code(0);
    };
    run(&[]);
    run(&["--zstd"]);
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 4);
    command().arg("check").arg(&out).assert().code(1).stdout(contains(".jsonl.zst: "));
    let expect = ["--expect", "version_disagreements = 0", "--expect", "phantom_reads = 0"];
    command().arg("check").args(expect).arg(&out).assert().code(0);
}

fn follow(text: String, more: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = Command::cargo_bin("staleproof").unwrap();
    command.args(["check", "-", "--follow", "--horizon", "1us"]).args(more).write_stdin(text);
    command.assert()
}

/// One writer and one reader after the other; each value is replaced by the next.
fn growing(values: u64, version: bool) -> String {
    let mut text = String::new();
    for value in 0..values {
        let at = value * 100;
        let shown = if version { format!(",\"version\":{value}") } else { String::new() };
        let line = |op: &str, from: u64| {
            format!(
                "{{\"client\":0,\"op\":\"{op}\",\"key\":\"k\",\"value\":\"v{value}\",\"start\":{from},\
                 \"end\":{},\"outcome\":\"ok\"{shown}}}\n",
                from + 10
            )
        };
        text += &(line("write", at) + &line("read", at + 50));
    }
    text
}

#[test]
fn a_growing_history_takes_constant_memory() {
    for version in [false, true] {
        let verdict = if version { "versions in order  -: " } else { "linearizable  -: " };
        let few = contains(verdict).and(contains("4000 operations on 1 key, 0 violated"));
        let assert = follow(growing(2_000, version), &[]).code(0).stdout(few);
        let out = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
        let kept = out.split("violated; ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        assert!(kept.parse::<u32>().unwrap() < 200, "{out}");
    }
}

#[test]
fn a_value_that_appears_again_is_reported() {
    for version in [false, true] {
        let text = growing(2_000, version);
        let old = text.lines().nth(1).unwrap();
        let again = old.replace("\"start\":50,\"end\":60", "\"start\":300000,\"end\":300010");
        let (what, verdict) = match version {
            true => ("an older version", "versions went back  -: "),
            false => ("replaced before the horizon", "not linearizable  -: "),
        };
        let found = contains(what).and(contains(verdict));
        follow(format!("{text}{again}\n"), &[]).code(1).stdout(found);
        let soon = old.replace("\"start\":50,\"end\":60", "\"start\":350,\"end\":360");
        let early = text.lines().take(6).collect::<Vec<_>>().join("\n");
        follow(format!("{early}\n{soon}\n"), &[]).code(1);
    }
}

#[test]
fn what_comes_too_late_is_no_pass() {
    let text = growing(100, false);
    let (first, rest) = text.split_once('\n').unwrap();
    follow(format!("{rest}{first}\n"), &[]).code(1);
    let late = "{\"client\":3,\"op\":\"write\",\"key\":\"l\",\"value\":\"x\",\"start\":1,\"end\":2,\
                \"outcome\":\"ok\"}\n";
    follow(text + late, &[]).code(3).stdout(contains("1 operations came later than the horizon"));
    follow(String::new(), &[]).code(4);
    follow("nonsense\n".to_owned(), &[]).code(2);
}
