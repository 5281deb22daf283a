//! What each built-in pattern does, step by step: a changed pattern fails here.

mod common;

use common::{result, run_once, steps_of};

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
