//! The strategies: what each does step by step, that each holds with one client, and how each
//! fares in the races that it was made for or that it is known to lose.

use crate::common::{self, result, run_once, steps_of};
use staleproof::pattern::Registry;

/// The steps of each operation of a script by one client; pauses are not steps.
fn steps(pattern: &str, ops: &[&str]) -> Vec<Vec<&'static str>> {
    let text = format!(
        "claim = \"-\"\npattern = \"{pattern}\"\n[workload]\nrows = 2\n\
         [[workload.group]]\nclients = 1\nscript = {ops:?}\n"
    );
    let run = run_once(&text, 1);
    (1..=ops.len()).map(|number| steps_of(&run, &format!("c0#{number}"))).collect()
}

const GET: &str = "cache.get";
const SET: &str = "cache.set";
const ADD: &str = "cache.add";
const CAS: &str = "cache.cas";
const DELETE: &str = "cache.delete";
const META_GET: &str = "cache.meta-get";
const META_DELETE: &str = "cache.meta-delete";
const META_SET: &str = "cache.meta-set";
const SELECT: &str = "db.select";
const UPDATE: &str = "db.update";
const LOCAL: &str = "local";

#[test]
fn each_strategy_takes_the_steps_it_is_known_for() {
    let ops = ["read 0", "read 0", "update 0", "read 0"];
    let table: [(&str, [&[&str]; 4]); 24] = [
        ("ttl-only", [&[GET, SELECT, SET], &[GET], &[UPDATE], &[GET]]),
        (
            "delete-before-write",
            [&[GET, SELECT, SET], &[GET], &[DELETE, UPDATE], &[GET, SELECT, SET]],
        ),
        (
            "double-delete",
            [&[GET, SELECT, SET], &[GET], &[DELETE, UPDATE, DELETE], &[GET, SELECT, SET]],
        ),
        (
            "delayed-double-delete",
            [&[GET, SELECT, SET], &[GET], &[DELETE, UPDATE, DELETE, DELETE], &[GET, SELECT, SET]],
        ),
        ("write-through-cache-first", [&[GET, SELECT, SET], &[GET], &[SET, UPDATE], &[GET]]),
        (
            "singleflight",
            [
                &[GET, LOCAL, LOCAL, SELECT, SET, LOCAL],
                &[GET],
                &[UPDATE, DELETE],
                &[GET, LOCAL, LOCAL, SELECT, SET, LOCAL],
            ],
        ),
        (
            "add-lock",
            [
                &[GET, ADD, SELECT, SET, DELETE],
                &[GET],
                &[UPDATE, DELETE],
                &[GET, ADD, SELECT, SET, DELETE],
            ],
        ),
        ("tombstone-add", [&[GET, SELECT, ADD], &[GET], &[UPDATE, SET], &[GET, SELECT]]),
        ("tombstone-cas", [&[GET, SELECT, ADD], &[GET], &[UPDATE, SET], &[GET, SELECT, CAS]]),
        (
            "lease",
            [
                &[META_GET, SELECT, META_SET],
                &[META_GET],
                &[UPDATE, DELETE],
                &[META_GET, SELECT, META_SET],
            ],
        ),
        ("versioned-set", [&[GET, SELECT, GET, ADD], &[GET], &[UPDATE, GET, CAS], &[GET]]),
        (
            "stale-lease",
            [
                &[META_GET, SELECT, META_SET],
                &[META_GET],
                &[UPDATE, META_DELETE],
                &[META_GET, SELECT, META_SET],
            ],
        ),
        (
            "q-lease",
            [
                &[META_GET, SELECT, META_SET],
                &[META_GET],
                &[GET, CAS, UPDATE, GET, META_DELETE],
                &[META_GET, SELECT, META_SET],
            ],
        ),
        (
            "iq-refresh",
            [
                &[META_GET, SELECT, META_SET],
                &[META_GET],
                &[GET, CAS, UPDATE, GET, CAS],
                &[META_GET],
            ],
        ),
        (
            "remote-marker",
            [
                &[META_GET, GET, SELECT, META_SET],
                &[META_GET],
                &[SET, UPDATE, DELETE],
                &[META_GET, GET, SELECT, META_SET],
            ],
        ),
        (
            "session-min-version",
            [
                &[LOCAL, GET, SELECT, LOCAL, SET],
                &[LOCAL, GET, LOCAL],
                &[UPDATE, LOCAL, DELETE],
                &[LOCAL, GET, SELECT, LOCAL, SET],
            ],
        ),
        ("validated-read", [&[GET, SELECT, SET], &[GET, SELECT], &[UPDATE], &[GET, SELECT, SET]]),
        (
            "version-in-key",
            [&[GET, SELECT, SET, SET], &[GET, GET], &[UPDATE, SET, SET], &[GET, GET]],
        ),
        (
            "generation-namespace",
            [
                &[GET, ADD, GET, SELECT, SET],
                &[GET, GET],
                &[UPDATE, "cache.incr"],
                &[GET, GET, SELECT, SET],
            ],
        ),
        (
            "key-lock",
            [
                &[GET, ADD, SELECT, SET, DELETE],
                &[GET],
                &[ADD, UPDATE, DELETE, DELETE],
                &[GET, ADD, SELECT, SET, DELETE],
            ],
        ),
        (
            "locked-fill",
            [
                &[GET, "db.begin", SELECT, SET, "db.commit"],
                &[GET],
                &[UPDATE, DELETE],
                &[GET, "db.begin", SELECT, SET, "db.commit"],
            ],
        ),
        (
            "early-refresh",
            [
                &[META_GET, SELECT, META_SET],
                &[META_GET],
                &[UPDATE, DELETE],
                &[META_GET, SELECT, META_SET],
            ],
        ),
        (
            "gutter",
            [
                &[LOCAL, META_GET, SELECT, META_SET],
                &[LOCAL, META_GET],
                &[UPDATE, DELETE],
                &[LOCAL, META_GET, SELECT, META_SET],
            ],
        ),
        (
            "epoch-key",
            [
                &[LOCAL, LOCAL, GET, SELECT, SET],
                &[LOCAL, GET],
                &[UPDATE, LOCAL, DELETE],
                &[LOCAL, GET, SELECT, SET],
            ],
        ),
    ];
    for (pattern, expected) in table {
        assert_eq!(steps(pattern, &ops), expected, "{pattern}");
    }
}

/// Patterns that one client alone may find wrong, and why.
const NOT_ALONE: [(&str, &str); 12] = [
    ("outbox", "the relay comes later"),
    ("cdc-invalidate", "the log's reader comes later"),
    ("cdc-update", "the log's reader comes later"),
    ("derived-key", "writers leave the derived entry alone"),
    ("secondary-key", "writers leave the old value's entry alone"),
    ("pair-object", "rows outside the pairs of the start have no other half"),
    ("nested-transaction", "a write waits for itself where there is one writer at a time"),
    ("short-keys", "two rows share an entry"),
    ("oversize-store", "a refused store leaves the old entry"),
    ("read-through", "writers leave the entry alone"),
    ("ttl-only", "writers leave the entry alone"),
    ("write-behind", "the database learns of a write later"),
];

#[test]
fn one_client_alone_never_sees_its_cache_wrong() {
    for entry in Registry::built_in().patterns() {
        if NOT_ALONE.iter().any(|(name, _)| *name == entry.name) {
            continue;
        }
        let text = format!(
            "claim = \"-\"\npattern = \"{}\"\nruns = 2\n[workload]\nclients = 1\noperations = 150\n\
             rows = 6\nmix = {{ read = 5, update = 3, modify = 2, insert = 1, delete = 1 }}\n",
            entry.name
        );
        let result = result(&text);
        let metrics = [
            "bad_entries",
            "stale_reads",
            "phantom_reads",
            "lost_updates",
            "wrong_reads",
            "panics",
        ];
        for metric in metrics {
            assert_eq!(result.metrics[metric], Some(0.0), "{} {metric}", entry.name);
        }
        if entry.traits.caches {
            assert!(result.metrics["hits"] > Some(0.0), "{} has hits", entry.name);
        }
    }
}

/// Bad entries at the end of many short races, by hazard.
fn races(pattern: &str, more: &str) -> Vec<(String, u64)> {
    let text = format!(
        "claim = \"-\"\npattern = \"{pattern}\"\nruns = 80\n{more}\n[database]\n\
         select = \"50us..3ms\"\nreply = \"50us..3ms\"\n[workload]\nrows = 1\n\
         tick-every = \"500us\"\nthink = \"0..1ms\"\n[[workload.group]]\nclients = 4\noperations = 8\n\
         mix = {{ read = 1, update = 0 }}\n[[workload.group]]\nclients = 2\noperations = 3\n\
         mix = {{ read = 0, update = 1 }}\n"
    );
    result(&text).hazards.into_iter().collect()
}

#[test]
fn what_is_proof_against_stale_fills_is_told_from_what_is_not() {
    let cases = [
        ("cache-aside", true),
        ("delete-before-write", true),
        ("double-delete", true),
        ("add-lock", true),
        ("singleflight", true),
        ("write-through-cache-first", true),
        ("lease", false),
        ("tombstone-add", false),
        ("tombstone-cas", false),
        ("versioned-set", false),
        ("stale-lease", false),
        ("q-lease", false),
        ("iq-refresh", false),
        ("remote-marker", false),
        ("session-min-version", true),
        ("validated-read", false),
        ("generation-namespace", false),
        ("key-lock", false),
        ("early-refresh", false),
        ("gutter", false),
        ("outbox", false),
        ("cdc-invalidate", false),
        ("cdc-update", false),
        ("sync-invalidate-cdc", false),
        ("scrubber", false),
        ("delayed-double-delete", false),
    ];
    for (pattern, loses) in cases {
        let found = races(pattern, "");
        assert_eq!(!found.is_empty(), loses, "{pattern}: {found:?}");
    }
}

#[test]
fn a_log_that_is_stored_without_comparing_loses_to_slow_fills() {
    let bad = |compare: bool| {
        let text = format!(
            "claim = \"-\"\npattern = \"cdc-update\"\nruns = 200\n[settings]\ncompare = {compare}\n\
             [database]\nreply = \"50us..9ms\"\n[workload]\nrows = 1\ntick-every = \"200us\"\n\
             [[workload.group]]\nclients = 1\nscript = [\"read 0\"]\n\
             [[workload.group]]\nclients = 1\nscript = [\"update 0\"]\n"
        );
        result(&text).metrics["bad_entries"].unwrap()
    };
    assert!(bad(false) > 0.0);
    assert_eq!(bad(true), 0.0);
}

/// Bad entries after a script by one client and one fault.
fn after_a_fault(pattern: &str, fault: &str) -> f64 {
    let text = format!(
        "claim = \"-\"\npattern = \"{pattern}\"\n[workload]\nrows = 1\ntick-every = \"2ms\"\n\
         [[workload.group]]\nclients = 1\n\
         script = [\"read 0\", \"update 0\", \"read 0 after 10ms\", \"read 0 after 20ms\"]\n[[fault]]\n{fault}\n"
    );
    result(&text).metrics["bad_entries"].unwrap()
}

#[test]
fn a_durable_intent_survives_what_a_delete_does_not() {
    let crash = "do = 'crash'\non = 'db.commit'\nmoment = 'after'\nclients = [0]";
    let bypass = "do = 'bypass-update'\nat = '20ms'\nrow = 0";
    let gap = "do = 'purge-log'\non = 'db.commit'\nmoment = 'after'\nclients = [0]";
    let table = [
        ("cache-aside", 1.0, 1.0, 0.0),
        ("outbox", 0.0, 1.0, 0.0),
        ("cdc-invalidate", 0.0, 0.0, 1.0),
        ("cdc-update", 0.0, 0.0, 1.0),
        ("sync-invalidate-cdc", 0.0, 0.0, 0.0),
        ("scrubber", 0.0, 0.0, 0.0),
    ];
    for (pattern, crashed, bypassed, purged) in table {
        let found = [crash, bypass, gap].map(|fault| after_a_fault(pattern, fault));
        assert_eq!(found, [crashed, bypassed, purged], "{pattern}: crash, bypass, gap");
    }
}

#[test]
fn a_second_delete_that_comes_too_early_does_not_help() {
    let found = races("delayed-double-delete", "[settings]\ndelay = \"1us\"\n");
    assert!(!found.is_empty());
}

#[test]
fn singleflight_loads_once_for_those_who_miss_together() {
    let selects = |pattern: &str| {
        let text = format!(
            "claim = \"-\"\npattern = \"{pattern}\"\n[workload]\nrows = 1\nclients = 8\n\
             operations = 1\nthink = \"0\"\nmix = {{ read = 1, update = 0 }}\n"
        );
        let metrics = result(&text).metrics;
        metrics["db_reads_per_read"].unwrap() * metrics["reads"].unwrap()
    };
    assert!(selects("cache-aside") > 4.0);
    assert_eq!(selects("singleflight"), 1.0);
    assert_eq!(selects("lease"), 1.0);
    assert_eq!(selects("add-lock"), 1.0);
}

#[test]
fn a_joined_flight_breaks_read_your_writes_unless_writers_forget_it() {
    // c0 loads the old row slowly; c1 writes and then reads: its read joins c0's flight.
    let stale = |forget: bool| {
        let text = format!(
            "claim = \"-\"\npattern = \"singleflight\"\nruns = 40\n[settings]\nforget = {forget}\n\
             [workload]\nrows = 1\n[[workload.group]]\nclients = 1\nscript = [\"read 0\"]\n\
             [[workload.group]]\nclients = 1\nscript = [\"update 0\", \"read 0\"]\n\
             [database]\nselect = \"50us..8ms\"\nreply = \"1ms..5ms\"\n"
        );
        result(&text).metrics["stale_reads"].unwrap()
    };
    assert!(stale(false) > 0.0);
    assert_eq!(stale(true), 0.0);
}

#[test]
fn a_queue_of_values_survives_the_node_and_a_queue_of_keys_does_not() {
    let lost = |queue: &str| {
        let text = format!(
            "claim = \"-\"\npattern = \"write-behind\"\n[settings]\nqueue = \"{queue}\"\n[workload]\n\
             rows = 1\ntick-every = \"20ms\"\n[[workload.group]]\nclients = 1\n\
             script = [\"update 0\", \"read 0 after 10ms\"]\n[[fault]]\ndo = \"restart-node\"\nat = \"2ms\"\n"
        );
        result(&text).metrics["lost_writes"].unwrap()
    };
    assert_eq!(lost("keys"), 1.0);
    assert_eq!(lost("values"), 0.0);
}

#[test]
fn an_unknown_setting_is_refused_with_the_names_of_those_there_are() {
    let text = "claim = \"-\"\npattern = \"lease\"\n[settings]\nlooks-max = 3\n";
    let scenario = common::scenario(text);
    let seed = staleproof::seed::Seed(1);
    let registry = Registry::built_in();
    let error = staleproof::run::run_once(&scenario, &registry, &common::servers(), seed);
    let text = error.err().expect("it is refused").to_string();
    assert!(text.contains("`looks-max` is unknown; this pattern has `lease-seconds`"), "{text}");
}
