//! What each built-in pattern does, step by step: a changed pattern fails here.

use crate::common::{result, run_once, steps_of};
use staleproof::check::audit::Class;
use staleproof::history::record::{Reported, StepKind};
use staleproof::run::Run;
use staleproof::time::Time;

fn script(pattern: &str, ops: &[&str]) -> String {
    format!(
        "claim = \"-\"\npattern = \"{pattern}\"\n[workload]\nrows = 2\n\
         [[workload.group]]\nclients = 1\nscript = {ops:?}\n"
    )
}

fn steps(pattern: &str, ops: &[&str]) -> Vec<Vec<&'static str>> {
    let run = run_once(&script(pattern, ops), 1);
    (1..=ops.len()).map(|number| steps_of(&run, &format!("c0#{number}"))).collect()
}

#[test]
fn no_cache_asks_the_database_only() {
    let ops = ["read 0", "update 0", "insert 7", "delete 0", "modify 1"];
    let expected: [&[&str]; 5] = [
        &["db.select"],
        &["db.update"],
        &["db.insert"],
        &["db.delete"],
        &["db.select", "db.update"],
    ];
    assert_eq!(steps("no-cache", &ops), expected);
}

#[test]
fn read_through_fills_on_a_miss_and_writers_leave_the_cache_alone() {
    let ops = ["read 0", "read 0", "update 0", "read 0", "delete 0"];
    let expected: [&[&str]; 5] = [
        &["cache.get", "db.select", "cache.set"],
        &["cache.get"],
        &["db.update"],
        &["cache.get"],
        &["db.delete"],
    ];
    assert_eq!(steps("read-through", &ops), expected);
}

#[test]
fn absent_rows_are_not_cached() {
    let ops = ["read 999", "read 999"];
    assert_eq!(steps("read-through", &ops), [["cache.get", "db.select"]; 2]);
}

#[test]
fn write_through_sets_after_the_database() {
    let ops = ["update 0", "read 0", "insert 9", "delete 0", "update 999"];
    let expected: [&[&str]; 5] = [
        &["db.update", "cache.set"],
        &["cache.get"],
        &["db.insert", "cache.set"],
        &["db.delete", "cache.delete"],
        &["db.update"],
    ];
    assert_eq!(steps("write-through", &ops), expected);
}

#[test]
fn cache_aside_deletes_after_the_database() {
    let ops = ["read 0", "update 0", "read 0"];
    let expected: [&[&str]; 3] = [
        &["cache.get", "db.select", "cache.set"],
        &["db.update", "cache.delete"],
        &["cache.get", "db.select", "cache.set"],
    ];
    assert_eq!(steps("cache-aside", &ops), expected);
}

#[test]
fn write_behind_acknowledges_before_the_database_knows() {
    let run = run_once(&script("write-behind", &["update 0"]), 1);
    assert_eq!(steps_of(&run, "c0#1"), ["cache.set", "local"]);
    let commit = run.history.commits.iter().find(|commit| commit.writer.to_string() == "c0#1");
    assert!(commit.expect("the flusher commits it").at > run.history.ops[0].end);
    assert_eq!(run.measure.lost_writes, 0);
    assert_eq!(run.measure.bad_entries(), 0);
}

#[test]
fn several_rows_are_read_with_one_multi_get() {
    let run = run_once(&script("cache-aside", &["read 0,1", "read 0,1"]), 1);
    let first = ["cache.get", "cache.get", "db.select", "cache.set", "db.select", "cache.set"];
    assert_eq!(steps_of(&run, "c0#1"), first);
    assert_eq!(steps_of(&run, "c0#2"), ["cache.get", "cache.get"]);
    assert_eq!(run.history.ops.len(), 4, "an operation on two rows is two records");
}

#[test]
fn one_client_alone_never_sees_its_cache_wrong() {
    for pattern in ["no-cache", "write-through", "cache-aside"] {
        let text = format!(
            "claim = \"-\"\npattern = \"{pattern}\"\nruns = 5\n[workload]\nclients = 1\n\
             operations = 200\nmix = {{ read = 5, update = 3, modify = 2, insert = 1, delete = 1 }}\n"
        );
        let result = result(&text);
        for metric in ["bad_entries", "stale_reads", "phantom_reads", "lost_updates", "wrong_reads"]
        {
            assert_eq!(result.metrics[metric], Some(0.0), "{pattern} {metric}");
        }
    }
}

#[test]
fn a_cached_base_loses_updates_of_others() {
    let text = "claim = \"-\"\npattern = \"read-through\"\nruns = 3\n[workload]\nrows = 1\n\
                mix = { read = 0, update = 0, modify = 1 }\n";
    assert!(result(text).metrics["lost_updates"] > Some(0.0));
}

fn struck(pattern: &str, ops: &[&str], fault: &str) -> Run {
    let run = run_once(&format!("{}[[fault]]\n{fault}\n", script(pattern, ops)), 1);
    assert!(!run.history.faults.is_empty(), "the fault never struck: {fault}");
    run
}

#[test]
fn a_read_modify_write_ends_as_the_patterns_writes_do() {
    let ops = ["read 0", "modify 0", "modify 999"];
    let miss: &[&str] = &["cache.get", "db.select", "cache.set"];
    let absent: &[&str] = &["cache.get", "db.select", "db.update"];
    let expected: [(&str, &[&str], &[&str]); 3] = [
        ("read-through", &["cache.get", "db.update"], absent),
        ("write-through", &["cache.get", "db.update", "cache.set"], absent),
        (
            "cache-aside",
            &["cache.get", "db.update", "cache.delete"],
            &["cache.get", "db.select", "db.update", "cache.delete"],
        ),
    ];
    for (pattern, found, absent) in expected {
        assert_eq!(steps(pattern, &ops), [miss, found, absent], "{pattern}");
    }
    let behind = steps("write-behind", &["read 0", "modify 0"]);
    assert_eq!(behind[1], ["cache.get", "cache.set", "local"]);
}

#[test]
fn every_kind_of_write_invalidates_its_own_row() {
    let ops = ["update 0", "insert 7", "delete 1"];
    let writes = ["db.update", "db.insert", "db.delete"];
    let expected: Vec<Vec<&str>> = writes.map(|write| vec![write, "cache.delete"]).into();
    assert_eq!(steps("cache-aside", &ops), expected);
    let run = run_once(&script("cache-aside", &ops), 1);
    assert_eq!(keys_of(&run, StepKind::CacheDelete), ["product:0", "product:7", "product:1"]);
    let run = run_once(&script("write-through", &ops), 1);
    assert_eq!(keys_of(&run, StepKind::CacheSet), ["product:0", "product:7"]);
    assert_eq!(keys_of(&run, StepKind::CacheDelete), ["product:1"]);
}

fn keys_of(run: &Run, kind: StepKind) -> Vec<String> {
    let steps = run.history.steps.iter().filter(|step| step.kind == kind);
    steps.map(|step| run.history.keys.name(step.key.unwrap()).to_string()).collect()
}

#[test]
fn what_is_cached_bears_the_articles_key_and_lives_for_300_seconds() {
    for (pattern, op) in [
        ("read-through", "read 1"),
        ("read-through", "read 1,0"),
        ("write-through", "update 1"),
        ("write-through", "modify 1"),
        ("cache-aside", "read 1"),
        ("write-behind", "read 1"),
    ] {
        let run = run_once(&script(pattern, &[op]), 1);
        assert_eq!(keys_of(&run, StepKind::CacheSet)[0], "product:1", "{pattern}");
        for set in run.history.steps.iter().filter(|step| step.kind == StepKind::CacheSet) {
            // memcached counts in seconds of its own.
            let lives = set.expires.since(set.executed).as_secs_f64();
            assert!((298.0..=301.0).contains(&lives), "{pattern} {op}: {lives} s");
        }
    }
}

#[test]
fn a_dirty_value_never_expires_before_it_is_written() {
    let run = run_once(&script("write-behind", &["update 0"]), 1);
    let set = run.history.steps.iter().find(|step| step.kind == StepKind::CacheSet).unwrap();
    assert_eq!(set.expires, Time::NEVER);
    let written = run.history.steps.iter().find(|step| step.kind == StepKind::CacheCas).unwrap();
    assert!(written.expires < Time::NEVER, "a clean value expires like any other");
    assert_eq!((run.entries[0].class, run.entries[1].class), (Class::Match, Class::Absent));
}

#[test]
fn a_cache_that_fails_fails_no_read() {
    for pattern in ["read-through", "write-through", "cache-aside", "write-behind"] {
        for fault in ["do = 'refuse'\non = 'cache.get'", "do = 'refuse'\non = 'cache.set'"] {
            for op in ["read 0", "read 0,1"] {
                let run = struck(pattern, &[op], fault);
                assert!(
                    run.history.ops.iter().all(|op| op.reported == Reported::Ok && op.found),
                    "{pattern} {op} {fault}"
                );
            }
        }
    }
}

#[test]
fn a_write_whose_cache_step_fails_after_the_commit_reports_failure() {
    for (pattern, step) in [("write-through", "cache.set"), ("cache-aside", "cache.delete")] {
        for op in ["update 0", "modify 0", "insert 7"] {
            let run = struck(
                pattern,
                &[op],
                &format!("do = 'refuse'\non = '{step}'\nafter = 'db.commit'"),
            );
            assert_eq!(run.history.ops[0].reported, Reported::Error, "{pattern} {op}");
            assert_eq!(run.history.commits.len(), 1, "{pattern} {op}: the row has changed");
        }
    }
}

#[test]
fn a_failed_database_write_leaves_the_cache_as_it_was() {
    for pattern in ["read-through", "write-through", "cache-aside"] {
        for (op, write) in [("update 0", "update"), ("delete 0", "delete"), ("modify 0", "update")]
        {
            let fault = format!("do = 'fail'\non = 'db.{write}'");
            let run = struck(pattern, &["read 0", op], &fault);
            assert_eq!(run.history.ops[1].reported, Reported::Error, "{pattern} {op}");
            assert_eq!(run.entries[0].class, Class::Match, "{pattern} {op}");
        }
    }
}

#[test]
fn a_flusher_tries_again_what_the_database_refused() {
    // Faults end with the load: the second operation keeps them armed while the flusher works.
    let ops = ["update 0", "read 1 after 500ms"];
    let run = struck("write-behind", &ops, "do = 'fail'\non = 'db.update'\nnth = 1");
    assert_eq!(run.history.commits.len(), 1);
    assert_eq!((run.measure.lost_writes, run.entries[0].class), (0, Class::Match));
}

#[test]
fn a_deletion_waits_in_the_queue_too() {
    let run = run_once(&script("write-behind", &["read 0", "delete 0"]), 1);
    assert_eq!(steps_of(&run, "c0#2"), ["cache.delete", "local"]);
    assert!(run.history.commits.iter().any(|commit| commit.absent));
    assert_eq!(run.entries[0].class, Class::Absent);
}
