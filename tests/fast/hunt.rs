//! Hunting: what it finds within how many seeds, that threads and shards do not change it, and
//! what it is cut down to.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::common::{self, read};
use staleproof::explore::{
    Hunt, Hunted, Kind, Limits, Shard, Subject, Verdict, explore, hunt, narrow,
};
use staleproof::operation::{Action, Op, Reply};
use staleproof::pattern::{Cx, Failure, Registry};
use staleproof::scenario::Property;
use staleproof::schedule::{Search, Walker};
use staleproof::step::{MetaGet, MetaMode, MetaSet, RowId, Ttl, Win};

fn subject_in(registry: &Registry, text: &str) -> Subject {
    let scenario = common::try_scenario(text, registry).unwrap();
    Subject::whole(&scenario, registry).unwrap()
}

fn subject(text: &str) -> Subject {
    subject_in(&Registry::built_in(), text)
}

fn hunted(subject: &Subject, wanted: &Hunt) -> Hunted {
    hunt(subject, wanted, &|| ControlFlow::Continue(())).unwrap()
}

/// A scenario that says nothing but its pattern.
fn default(pattern: &str) -> Subject {
    subject(&format!("claim = '-'\npattern = '{pattern}'\n"))
}

#[test]
fn a_default_scenario_shows_the_stale_set_which_is_cut_down_to_five_steps() {
    let mut subject = default("cache-aside");
    assert_eq!(hunted(&subject, &Hunt::over(1, 20)).schedules, 1, "a stale read at least");
    subject.properties = vec![Property::FinalState];
    let found = hunted(&subject, &Hunt::over(1, 50));
    let lowest = &found.failures[0];
    assert!(found.schedules <= 24, "{found:?}");
    let smallest = narrow(&subject, lowest, false, &mut |_| ControlFlow::Continue(()));
    let smallest = smallest.unwrap().unwrap();
    assert_eq!(smallest.finding.hazard.as_deref(), Some("stale-set"));
    assert_eq!(smallest.choices.len(), 5, "get, select, update, delete, set");
    let (replayed, _) = smallest.replay(&Registry::built_in(), &common::servers()).unwrap();
    assert!(smallest.is_confirmed_by(&replayed), "{replayed:?}");
}

#[test]
fn threads_change_nothing() {
    let subject = subject(
        "claim = '-'\npattern = 'cache-aside'\n\
         [workload]\nclients = 2\nrows = 8\noperations = 3\n",
    );
    for count in [false, true] {
        let one = Hunt { threads: 1, count, ..Hunt::over(1, 200) };
        let four = Hunt { threads: 4, ..one };
        let (one, four) = (hunted(&subject, &one), hunted(&subject, &four));
        assert!(!one.failures.is_empty());
        assert_eq!(one, four);
    }
}

#[test]
fn shards_divide_the_seeds() {
    let subject = subject(
        "claim = '-'\npattern = 'cache-aside'\n\
         [workload]\nclients = 2\nrows = 4\noperations = 4\n",
    );
    let whole = Hunt { count: true, ..Hunt::over(1, 100) };
    let seeds = |hunted: &Hunted| -> Vec<u64> { hunted.failures.iter().map(|f| f.seed).collect() };
    let all = hunted(&subject, &whole);
    let mut parts = BTreeSet::new();
    let mut schedules = 0;
    for number in 0..3 {
        let part = hunted(&subject, &Hunt { shard: Shard { number, of: 3 }, ..whole });
        schedules += part.schedules;
        for seed in seeds(&part) {
            assert!(parts.insert(seed), "{seed} is in two shards");
        }
    }
    assert_eq!((schedules, all.schedules), (100, 100));
    assert_eq!(parts.into_iter().collect::<Vec<_>>(), seeds(&all));
}

#[test]
fn the_control_is_clean_whatever_strikes() {
    let mut subject = default("no-cache");
    subject.allow_faults(3);
    let found = hunted(&subject, &Hunt { swarm: true, ..Hunt::over(1, 60) });
    assert_eq!((found.failures.len(), found.schedules, found.cut), (0, 60, 0), "{found:?}");
}

/// A reader that is overtaken by every one of a client's many updates: a random walk rarely
/// delays one client for so long.
#[test]
fn priorities_find_what_needs_a_long_delay() {
    let registry = Registry::built_in().pattern("patient", "-", patient);
    let script: Vec<String> = (0..12).map(|_| "'update 0'".to_owned()).collect();
    let subject = subject_in(
        &registry,
        &format!(
            "claim = '-'\npattern = 'patient'\n[workload]\nrows = 2\n\
             [[workload.group]]\nclients = 1\nscript = ['read 0']\n\
             [[workload.group]]\nclients = 1\nscript = [{}]\n",
            script.join(", ")
        ),
    );
    let found = hunted(&subject, &Hunt { count: true, ..Hunt::over(1, 400) });
    let by = |walker| found.failures.iter().filter(|failure| failure.walker == walker).count();
    let (random, priorities) = (by(Walker::Random), by(Walker::Priorities));
    assert_eq!(random, 0, "of about 200");
    assert!(priorities >= 5, "{priorities} of about 200");
}

/// Its reader stores a row unless the database moved on by fewer than ten versions meanwhile.
async fn patient(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    match op.action {
        Action::Read(id) => {
            let first = cx.db.select(id).await?;
            let last = cx.db.select(id).await?;
            let moved = |row: &Option<staleproof::step::Row>| row.as_ref().map_or(0, |r| r.version);
            if let Some(row) = first.as_ref().filter(|_| moved(&last) >= moved(&first) + 10) {
                cx.cache.set(&cx.key(id), cx.seal(row), cx.ttl()).await?;
            }
            Ok(Reply::Row(last))
        }
        action => Ok(cx.db.apply(&action).await?.reply()),
    }
}

// Most mutants read by `common::read`: cache-aside, correct but for the race that every mutant's
// test leaves out.

/// The delete is skipped in about one of a thousand writes.
async fn forgetful(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    match op.action {
        Action::Read(id) => read(cx, id).await,
        action => {
            let skipped = op.id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54 == 0;
            let change = cx.db.apply(&action).await?;
            if !skipped {
                cx.cache.delete(&cx.key(change.id)).await?;
            }
            Ok(change.reply())
        }
    }
}

/// One client does everything, so that no race can hide the mutant.
#[test]
fn a_delete_that_is_skipped_once_in_a_thousand_writes_is_found() {
    let registry = Registry::built_in().pattern("forgetful", "-", forgetful);
    let subject = subject_in(
        &registry,
        "claim = '-'\npattern = 'forgetful'\n[workload]\nclients = 1\nrows = 4\noperations = 2000\n",
    );
    let found = hunted(&subject, &Hunt::over(1, 10));
    assert!(found.schedules <= 4, "{} schedules", found.schedules);
    let bad = |kind| matches!(kind, Kind::Stale | Kind::StaleRead);
    assert!(found.failures[0].findings.iter().all(|finding| bad(finding.kind)));
}

/// The delete is skipped in one of a thousand writes, the 150th of each client.
async fn thousandth(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    match op.action {
        Action::Read(id) => read(cx, id).await,
        action => {
            let change = cx.db.apply(&action).await?;
            if op.id.number() % 1_000 != 150 {
                cx.cache.delete(&cx.key(change.id)).await?;
            }
            Ok(change.reply())
        }
    }
}

/// An exploration whose clients write often enough comes to the write that is wrong, in its only
/// schedule, as a program of one client has no other.
#[test]
fn a_delete_that_is_skipped_once_in_a_thousand_writes_is_found_by_exploring() {
    let registry = Registry::built_in().pattern("thousandth", "-", thousandth);
    let lines = "'read 0', 'update 0', ".repeat(100);
    let groups = format!("[[workload.group]]\nclients = 1\nscript = [{lines}]\n");
    let text = format!("claim = '-'\npattern = 'thousandth'\n[workload]\nrows = 1\n{groups}");
    let search = Search { reduce: true, switches: None };
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let subject = subject_in(&registry, &text);
    let found = explore(&subject, search, Limits::default(), go_on).unwrap();
    assert_eq!((found.verdict, found.effort.schedules), (Verdict::Violated, 1));
    let intact = subject_in(&registry, &text.replace("'thousandth'", "'cache-aside'"));
    let found = explore(&intact, search, Limits::default(), go_on).unwrap();
    assert_eq!((found.verdict, found.effort.schedules), (Verdict::Holds, 1));
}

/// Leases of stock memcached, with two places in which a mutant may differ.
async fn leased(
    cx: &Cx,
    op: Op,
    honours_token: bool,
    deletes_last: bool,
) -> Result<Reply, Failure> {
    let id = match op.action {
        Action::Read(id) => id,
        action => {
            let key = cx.key(RowId(0));
            if !deletes_last {
                cx.cache.delete(&key).await?;
            }
            let change = cx.db.apply(&action).await?;
            if deletes_last {
                cx.cache.delete(&key).await?;
            }
            return Ok(change.reply());
        }
    };
    let key = cx.key(id);
    let item = cx.cache.meta_get(MetaGet::vivifying(key.clone(), Ttl::seconds(30))).await?;
    let Some(item) = item else { return Ok(Reply::Row(cx.db.select(id).await?)) };
    if item.win == Win::None {
        return Ok(Reply::Row(Some(cx.open(&item.value)?)));
    }
    let row = cx.db.select(id).await?;
    if let Some(row) = row.as_ref().filter(|_| item.win == Win::Won) {
        let set = MetaSet {
            key,
            value: cx.seal(row),
            flags: 0,
            ttl: cx.ttl(),
            mode: MetaMode::Set,
            cas: honours_token.then_some(item.cas),
            invalidate: false,
            vivify: None,
        };
        cx.cache.meta_set(set).await?;
    }
    Ok(Reply::Row(row))
}

async fn intact(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    leased(cx, op, true, true).await
}

async fn token_ignored(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    leased(cx, op, false, true).await
}

async fn deleted_first(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    leased(cx, op, true, false).await
}

/// Its writers store the new row unless the entry is *older*.
async fn compared_wrong(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    match op.action {
        Action::Read(id) => read(cx, id).await,
        action => {
            let change = cx.db.apply(&action).await?;
            if let Some(row) = &change.row {
                let entry = cx.cache.get(&cx.key(row.id)).await?;
                let entry = entry.map(|entry| cx.open(&entry)).transpose()?;
                if entry.is_none_or(|entry| entry.version >= row.version) {
                    cx.cache.set(&cx.key(row.id), cx.seal(row), cx.ttl()).await?;
                }
            }
            Ok(change.reply())
        }
    }
}

/// Each mutant is found by an exploration within its bound, and by a hunt within a few seeds;
/// the pattern that two of them are mutants of holds within the same bound.
#[test]
fn planted_bugs_are_found() {
    let registry = Registry::built_in()
        .pattern("intact", "-", intact)
        .pattern("token-ignored", "-", token_ignored)
        .pattern("deleted-first", "-", deleted_first)
        .pattern("compared-wrong", "-", compared_wrong);
    let race = "[[workload.group]]\nclients = 1\nscript = ['read 0']\n\
                [[workload.group]]\nclients = 1\nscript = ['update 0']\n";
    let alone = "[[workload.group]]\nclients = 1\nscript = ['read 0', 'update 0']\n";
    let programs = [
        ("intact", race),
        ("token-ignored", race),
        ("deleted-first", race),
        ("compared-wrong", alone),
    ];
    let mut table = Vec::new();
    for (name, groups) in programs {
        let text = format!("claim = '-'\npattern = '{name}'\n[workload]\nrows = 1\n{groups}");
        let mut subject = subject_in(&registry, &text);
        (subject.properties, subject.name_hazards) = (vec![Property::FinalState], true);
        let search = Search { reduce: true, switches: None };
        let go_on = &mut |_: &_| ControlFlow::Continue(());
        let explored = explore(&subject, search, Limits::default(), go_on).unwrap();
        let found = hunted(&subject, &Hunt::over(1, 50));
        let seeds = (!found.failures.is_empty()).then_some(found.schedules);
        // The fewest schedules within which the exploration finds it.
        let first = (1..=explored.effort.schedules).find(|schedules| {
            let limits = Limits { schedules: *schedules };
            let go_on = &mut |_: &_| ControlFlow::Continue(());
            !explore(&subject, search, limits, go_on).unwrap().findings.is_empty()
        });
        table.push((name, explored.verdict, explored.effort.schedules, first, seeds));
    }
    // Schedules of the whole exploration and until its first finding, and seeds until the hunt's.
    let expected = [
        ("intact", Verdict::Holds, 2, None, None),
        ("token-ignored", Verdict::Violated, 5, Some(3), Some(9)),
        ("deleted-first", Verdict::Violated, 5, Some(5), Some(8)),
        ("compared-wrong", Verdict::Violated, 1, Some(1), Some(1)),
    ];
    assert_eq!(table, expected);
}

#[test]
fn the_command_line_says_how_to_see_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("racy.toml");
    std::fs::write(&file, "claim = '-'\npattern = 'cache-aside'\n").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("staleproof").unwrap();
        let done = command.arg("hunt").arg(&file).args(arguments).output().unwrap();
        (done.status.code().unwrap(), String::from_utf8(done.stdout).unwrap())
    };
    let out = folder.path().join("found");
    let (code, text) = run(&["--seeds", "20", "--out", out.to_str().unwrap()]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("--seeds 1 --from "), "{text}");
    assert!(out.join("racy-cache-aside.json").exists());
    let lines = run(&["--seeds", "20", "--count", "--jsonl", "--threads", "2"]).1;
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, failures) = lines.split_last().unwrap();
    assert_eq!(summary["schedules"], 20);
    assert_eq!(summary["failing"].as_u64(), Some(failures.len() as u64));
    let (code, text) = run(&["--seeds", "40", "--pattern", "no-cache"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("no violation seen in 40 schedules ("), "{text}");
    assert_eq!(run(&["--shard", "5/4"]).0, 2);
}

/// The lines of several machines, one after the other, say what one machine's lines say.
#[test]
fn lines_of_shards_merge() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("racy.toml");
    let text = "claim = '-'\npattern = 'cache-aside'\n\
                [workload]\nclients = 3\nrows = 2\noperations = 6\n";
    std::fs::write(&file, text).unwrap();
    let lines = |arguments: &[&str]| -> (Vec<serde_json::Value>, serde_json::Value) {
        let mut command = assert_cmd::Command::cargo_bin("staleproof").unwrap();
        command.arg("hunt").arg(&file).args(["--seeds", "60", "--count", "--jsonl"]);
        let done = command.args(arguments).output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        let mut lines: Vec<_> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let summary = lines.pop().unwrap();
        (lines, summary)
    };
    let (whole, summary) = lines(&[]);
    assert!(whole.len() > 1);
    let parts = ["1/3", "2/3", "3/3"].map(|shard| lines(&["--shard", shard]));
    let mut merged: Vec<_> = parts.iter().flat_map(|(failures, _)| failures.clone()).collect();
    merged.sort_by_key(|failure| failure["seed"].as_u64());
    assert_eq!(merged, whole);
    for count in ["schedules", "failing", "cut"] {
        let sum: u64 = parts.iter().map(|(_, part)| part[count].as_u64().unwrap()).sum();
        assert_eq!(Some(sum), summary[count].as_u64(), "{count}");
    }
    let lowest = parts.iter().filter_map(|(_, part)| part["lowest"].as_u64()).min();
    assert_eq!(lowest, summary["lowest"].as_u64());
}
