//! When a fault took effect: rule 11. What never did is not tested, whoever asks.

use std::collections::BTreeSet;

use assert_cmd::Command;
use serde_json::Value;
use staleproof::explore::Ends;
use staleproof::fault::What;
use staleproof::history::record::Reported;
use staleproof::pattern::Registry;
use staleproof::schedule::Search;

use super::{REDUCED, WHOLE, explored, program, run_once, subject, try_explore};
use crate::common;

/// A rule that takes effect, and one of the same kind that cannot.
struct Case {
    takes: (&'static str, &'static str),
    cannot: (&'static str, &'static str),
}

/// Of a kind of fault that strikes steps.
fn of_steps(more: &'static str, other: &'static str) -> Case {
    Case { takes: ("cache-aside", more), cannot: ("cache-aside", other) }
}

/// Of a kind that needs something in the cache.
fn of_items(rule: &'static str) -> Case {
    Case { takes: ("cache-aside", rule), cannot: ("no-cache", rule) }
}

const DELETE: &str = "on = 'cache.delete'";
const INCR: &str = "on = 'cache.incr'";

/// The pattern and the rest of the rule. A new kind does not compile until it has its two.
fn case(what: What) -> Case {
    match what {
        What::Refuse
        | What::LoseRequest
        | What::LoseReply
        | What::DeliverLate
        | What::Fail
        | What::AnswerWithoutDoing
        | What::Cancel => of_steps(DELETE, INCR),
        // Where schedules are chosen a process may die whenever it has something to lose.
        What::Crash => of_steps(DELETE, "on = 'cache.delete'\nclients = [1]"),
        What::Delay => {
            of_steps("on = 'cache.delete'\ndelay = '5ms'", "on = 'cache.incr'\ndelay = '5ms'")
        }
        What::RestartNode | What::FlushNode | What::WarmRestart => of_items("at = '10ms'"),
        What::Evict => of_items("at = '10ms'\nrow = 0"),
        What::Unreachable => of_items("from = '10ms'\nuntil = '60ms'"),
        What::JumpClock => of_steps("at = '10ms'\nby-seconds = 5", "at = '10ms'\nby-seconds = 0"),
        What::BypassUpdate | What::BypassDelete => {
            of_steps("at = '10ms'\nrow = 0", "at = '10ms'\nrow = 77")
        }
        What::BypassInsert => of_steps("at = '10ms'\nrow = 77", "at = '10ms'\nrow = 0"),
        What::PurgeLog => Case {
            takes: ("cdc-invalidate", "on = 'db.update'\nmoment = 'after'"),
            cannot: ("cache-aside", "at = '10ms'"),
        },
    }
}

const SCRIPT: &[&str] = &["read 0", "update 0 after 30ms"];

fn scenario((pattern, rule): (&str, &str), what: What) -> String {
    let asked = "[expect]\nhits = '>= 0'\n\
                 [explore]\nfaults = 1\nproperty = ['final-state']\n";
    let idle: &[&str] = &[];
    let text = format!("{asked}[[fault]]\ndo = '{what}'\n{rule}\n");
    let text = program(pattern, &text, &[SCRIPT, idle]);
    match what {
        What::Crash => text.replace("rows = 1\n", "rows = 1\nprocesses = 2\n"),
        _ => text,
    }
}

/// What a command says of a scenario, as JSON, and its exit code.
fn told(text: &str, command: &[&str]) -> (Value, i32) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("case.toml");
    std::fs::write(&file, text).unwrap();
    let mut tool = Command::cargo_bin("staleproof").unwrap();
    let output = tool.arg(command[0]).arg(&file).args(&command[1..]).output().unwrap();
    let code = output.status.code().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // A hunt has a line for each seed that fails, and one in the end.
    let value = serde_json::from_str(&text)
        .or_else(|_| serde_json::from_str(text.lines().last().unwrap_or_default()));
    let problem = String::from_utf8_lossy(&output.stderr);
    (value.unwrap_or_else(|error| panic!("{command:?}: {error}: {problem}")), code)
}

const RUN: &[&str] = &["run", "--format", "json"];
const EXPLORE: &[&str] = &["explore", "--json"];
const HUNT: &[&str] = &["hunt", "--seeds", "60", "--faults", "1", "--jsonl", "--count"];

#[test]
fn each_kind_takes_effect_where_it_can_and_is_not_tested_where_it_cannot() {
    let mut wrong = Vec::new();
    for what in What::ALL {
        let Case { takes, cannot } = case(what);
        for (rule, takes) in [(takes, true), (cannot, false)] {
            let text = scenario(rule, what);
            let (run, code) = told(&text, RUN);
            let struck = run["faults"][0]["struck"].as_u64().unwrap();
            let (explored, explored_code) = told(&text, EXPLORE);
            let never = explored["never-struck"].as_array().map_or(0, Vec::len);
            let hunted = told(&text, HUNT).1;
            let codes = [code, explored_code, hunted];
            let fits = match takes {
                true => struck > 0 && never == 0 && codes.iter().all(|code| *code != 4),
                false => struck == 0 && never == 1 && codes == [4; 3],
            };
            if !fits {
                wrong.push(format!("{what}, {rule:?}: struck {struck}, {never}, {codes:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The list of kinds is the one that scenarios are read by.
#[test]
fn no_kind_of_fault_is_missing_from_the_list() {
    let schema = schemars::schema_for!(What);
    let schema = serde_json::to_value(&schema).unwrap();
    assert_eq!(schema["oneOf"].as_array().unwrap().len(), What::ALL.len());
}

/// What changed nothing has spent nothing: the get that finds nothing leaves it to the next.
#[test]
fn a_fault_without_effect_spends_none_of_its_budget() {
    let fault = "[[fault]]\ndo = 'evict'\non = 'cache.get'\nbudget = 1\n";
    let script: &[&str] = &["read 0", "read 0 after 10ms", "read 0 after 10ms"];
    let run = run_once(&Registry::built_in(), &program("cache-aside", fault, &[script]));
    let struck: Vec<String> = run.history.faults.iter().map(|fault| fault.target.clone()).collect();
    assert_eq!(struck, ["cache.get of c0#2"]);
    let marked = run.history.steps.iter().filter(|step| step.fault.is_some());
    assert_eq!(marked.count(), 1, "the first get is not marked as struck");
}

fn ends(text: &str, search: Search) -> BTreeSet<u128> {
    let mut subject = subject(&Registry::built_in(), text);
    subject.ends = Ends::Held;
    let exploration = try_explore(&subject, search).unwrap();
    assert!(exploration.complete, "{:?}", exploration.verdict);
    exploration.ends
}

/// Faults that are offered only where they change something: a choice that is not offered in one
/// order may be in another.
const CHANGES: [&str; 9] = [
    "do = 'evict'\nat = '1ms'",
    "do = 'evict'\nat = '1ms'\nkey = 'product:0:current'",
    "do = 'restart-node'\nat = '1ms'",
    "do = 'flush-node'\nat = '1ms'",
    "do = 'bypass-update'\nat = '1ms'",
    "do = 'bypass-delete'\nat = '1ms'",
    "do = 'bypass-insert'\nrow = 1\nat = '1ms'",
    "do = 'purge-log'\nat = '1ms'",
    "do = 'answer-without-doing'\non = '*'",
];

#[test]
fn reductions_lose_nothing_where_faults_are_offered_that_take_effect() {
    let programs: [(&str, [&[&str]; 2]); 4] = [
        ("cache-aside", [&["read 0"], &["update 0"]]),
        ("version-in-key", [&["read 0"], &["update 0"]]),
        ("tombstone-cas", [&["read 0"], &["delete 0"]]),
        ("fill-inside-txn", [&["read 0"], &["update 0"]]),
    ];
    let mut effective = 0;
    for (pattern, scripts) in programs {
        for fault in CHANGES {
            for profile in ["sqlite", "postgres"] {
                let more = format!(
                    "[database]\nprofile = '{profile}'\n[explore]\nproperty = ['final-state']\n\
                     [[fault]]\n{fault}\n"
                );
                let text = program(pattern, &more, &scripts);
                let whole = ends(&text, WHOLE);
                assert_eq!(ends(&text, REDUCED), whole, "{text}");
                let subject = subject(&Registry::built_in(), &text);
                assert_eq!(explored(&subject, REDUCED), explored(&subject, WHOLE), "{text}");
                effective += u32::from(try_explore(&subject, REDUCED).unwrap().struck[0]);
            }
        }
    }
    assert!(effective > 40, "{effective}");
}

/// `version-in-key` keeps the current version under a key of its own.
#[test]
fn an_eviction_takes_the_item_under_the_key_that_it_names() {
    for key in ["product:0:current", "{key}:current"] {
        let fault = format!("[[fault]]\ndo = 'evict'\nkey = '{key}'\nat = '10ms'\n");
        let text = program("version-in-key", &fault, &[&["read 0", "read 0 after 20ms"]]);
        let run = run_once(&Registry::built_in(), &text);
        let evicted: Vec<String> = run
            .history
            .steps
            .iter()
            .filter(|step| step.kind.name() == "cache.evict")
            .map(|step| run.history.keys.name(step.key.unwrap()).to_string())
            .collect();
        assert_eq!(evicted, ["product:0:current"], "{key}");
    }
}

#[test]
fn a_key_that_makes_no_sense_is_refused_with_what_to_write() {
    let refused = |rule: &str| {
        let text = program("cache-aside", &format!("[[fault]]\n{rule}\n"), &[&["read 0"]]);
        common::try_scenario(&text, &Registry::built_in()).unwrap_err()[0].to_string()
    };
    for (rule, wanted) in [
        ("do = 'evict'\nat = '1ms'\nkey = ''", "a key has 1 to 250 bytes and no blanks"),
        ("do = 'evict'\nat = '1ms'\nkey = 'a b'", "as in `key = \"version:product:0\"`"),
        ("do = 'evict'\nat = '1ms'\nkey = '{row}'", "only `{key}`, the row's own key, is filled"),
        ("do = 'evict'\nat = '1ms'\nkey = 'a'\nrow = 0", "leave `row` out, or write `{key}`"),
        ("do = 'flush-node'\nat = '1ms'\nkey = 'a'", "`key` belongs to `evict`"),
        ("do = 'delay'\non = 'cache.set'", "as in `delay = \"5ms\"`"),
        ("do = 'answer-without-doing'\non = 'cache.get'", "as in `on = \"cache.write\"`"),
    ] {
        let problem = refused(rule);
        assert!(problem.contains(wanted), "{rule}: {problem}");
    }
}

/// Without `nodes` a restart strikes one node at a time where schedules are chosen.
#[test]
fn a_restart_without_nodes_strikes_each_node_in_turn() {
    for what in ["restart-node", "flush-node"] {
        let text = |nodes: &str| {
            let more = format!(
                "[cache]\nnodes = 2\n[explore]\nproperty = ['final-state']\n\
                 [[fault]]\ndo = '{what}'\nat = '1ms'\n{nodes}\n"
            );
            let script: &[&str] = &["read 0", "read 1", "read 2", "read 3"];
            program("cache-aside", &more, &[script]).replace("rows = 1", "rows = 4")
        };
        let [each, first, second, both] = ["", "nodes = [0]", "nodes = [1]", "nodes = [0, 1]"]
            .map(|nodes| ends(&text(nodes), REDUCED));
        let in_turn: BTreeSet<u128> = first.union(&second).copied().collect();
        assert_eq!(each, in_turn, "{what}");
        assert_ne!(each, both, "{what}: with `nodes` all at once");
    }
}

/// The reply says done, and nothing was: nobody is told, and the old row stays. A transaction whose
/// commit was answered so holds no locks.
#[test]
fn an_answer_without_doing_is_taken_for_success() {
    let of = |pattern: &str, on: &str, script: &[&str]| {
        let more = format!("[[fault]]\ndo = 'answer-without-doing'\non = '{on}'\nbudget = 1\n");
        let run = run_once(&Registry::built_in(), &program(pattern, &more, &[script]));
        assert!(run.history.ops.iter().all(|op| op.reported == Reported::Ok), "{pattern}, {on}");
        run
    };
    let run = of("cache-aside", "cache.delete", &["read 0", "update 0 after 10ms"]);
    assert_eq!(run.entries[0].class.name(), "stale", "the entry was not deleted");
    let cause = run.entries[0].cause.as_ref().unwrap();
    assert_eq!(cause.hazard, "unexplained", "no error was swallowed");
    let run = of("cache-aside", "db.update", &["update 0", "read 0 after 10ms"]);
    assert!(run.history.commits.is_empty());
    let run = of("set-inside-txn", "db.commit", &["update 0", "update 0 after 10ms"]);
    let writers: Vec<u32> = run.history.commits.iter().map(|c| c.writer.number()).collect();
    assert_eq!(writers, [2], "the first is lost, the second is not kept waiting");
}
