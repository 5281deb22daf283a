//! Exploration of small programs: what it finds, that reductions lose nothing, and what it
//! costs.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::common;
use bytes::Bytes;
use staleproof::explore::{
    self, Counterexample, Ends, Exploration, ExploreResult, Finding, Kind, Limits, Sizes, Subject,
    Verdict,
};
use staleproof::fault::{Fault, What};
use staleproof::operation::{Action, Op, OpId, Reply};
use staleproof::pattern::{Cx, Failure, Registry};
use staleproof::run::Servers;
use staleproof::scenario::Property;
use staleproof::schedule::Search;
use staleproof::step::{Key, Ttl};

const REDUCED: Search = Search { reduce: true, switches: None };
const WHOLE: Search = Search { reduce: false, switches: None };

fn subject_of(text: &str, sizes: Sizes) -> Subject {
    Subject::of(&common::scenario(text), &Registry::built_in(), sizes).unwrap()
}

fn sized(pattern: &str, readers: u32, writers: u32, keys: u32) -> Subject {
    let text = format!("claim = '-'\npattern = '{pattern}'\n");
    let sizes = Sizes { readers: Some(readers), writers: Some(writers), keys: Some(keys) };
    subject_of(&text, sizes)
}

/// A program of these scripts, one a client: `read 0; update 0`.
fn scripts(pattern: &str, scripts: &[&str]) -> Subject {
    let mut text = format!("claim = '-'\npattern = '{pattern}'\n[workload]\nrows = 2\n");
    for script in scripts {
        let lines: Vec<String> = script.split("; ").map(|line| format!("'{line}'")).collect();
        text.push_str(&format!(
            "[[workload.group]]\nclients = 1\nscript = [{}]\n",
            lines.join(", ")
        ));
    }
    subject_of(&text, Sizes::default())
}

fn explore(subject: &Subject, search: Search) -> Exploration {
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    explore::explore(subject, search, Limits::default(), go_on).unwrap()
}

fn findings(exploration: &Exploration) -> BTreeSet<Finding> {
    exploration.findings.iter().map(|(finding, _)| finding.clone()).collect()
}

fn hazards(subject: &Subject) -> BTreeSet<String> {
    findings(&explore(subject, REDUCED)).into_iter().filter_map(|f| f.hazard).collect()
}

#[test]
fn a_reader_and_a_writer_are_enough_for_a_stale_set() {
    let mut subject = sized("cache-aside", 1, 1, 1);
    subject.name_hazards = true;
    assert_eq!(hazards(&subject), BTreeSet::from(["stale-set".to_owned()]));
}

#[test]
fn the_control_holds_whatever_strikes() {
    let mut subject = sized("no-cache", 2, 2, 1);
    subject.properties = Property::ALL.to_vec();
    subject.properties.retain(|property| *property != Property::Reports);
    subject.allow_faults(1);
    let exploration = explore(&subject, REDUCED);
    assert_eq!(exploration.verdict, Verdict::Holds, "{:?}", exploration.findings);
    assert!(exploration.complete);
}

#[test]
fn a_lease_closes_what_cache_aside_leaves_open() {
    let mut subject = sized("lease", 2, 2, 1);
    subject.properties = vec![Property::FinalState];
    assert_eq!(explore(&subject, REDUCED).verdict, Verdict::Holds);
    let mut open = sized("cache-aside", 2, 2, 1);
    open.properties = vec![Property::FinalState];
    assert_eq!(explore(&open, REDUCED).verdict, Verdict::Violated);
}

/// The reductions are sound: the same findings, results and final states as without them.
#[test]
fn reductions_lose_nothing() {
    let programs: [(&str, &[&str], u32); 11] = [
        ("cache-aside", &["read 0,1", "update 0; update 1"], 0),
        ("write-through", &["read 0,1", "update 0", "update 1"], 0),
        ("cache-aside", &["read 0", "update 0"], 1),
        ("cache-aside", &["read 0; read 0", "update 0"], 0),
        ("cache-aside", &["read 0; update 1", "read 1; update 0"], 0),
        ("write-through", &["read 0", "update 0", "update 0; read 0"], 0),
        ("write-through", &["update 0", "read 0"], 1),
        ("read-through", &["read 0", "update 0", "delete 0"], 0),
        ("delete-before-write", &["read 0", "update 0; read 0"], 0),
        ("write-behind", &["update 0", "read 0"], 0),
        ("lease", &["read 0", "update 0"], 0),
    ];
    for (pattern, lines, faults) in programs {
        let mut subject = scripts(pattern, lines);
        subject.allow_faults(faults);
        subject.ends = Ends::Returned;
        let (reduced, whole) = (explore(&subject, REDUCED), explore(&subject, WHOLE));
        let name = format!("{pattern} {lines:?}, {faults} faults");
        assert_eq!(findings(&reduced), findings(&whole), "{name}");
        assert_eq!(reduced.ends, whole.ends, "{name}");
        assert!(reduced.effort.choices < whole.effort.choices, "{name} was not reduced");
    }
}

/// The same over generated programs: findings, results and final states; findings also where
/// clients that ask the same are taken for one, where hazards have no names, and where nothing
/// is asked of reads.
#[test]
fn reductions_lose_nothing_of_generated_programs() {
    let patterns = [
        "cache-aside",
        "write-through",
        "double-delete",
        "ttl-only",
        "tombstone-add",
        "lease",
        "delete-before-write",
        "negative-caching",
    ];
    let verbs = ["read 0", "update 0", "read 1", "update 1", "delete 0", "modify 0", "read 0,1"];
    let mut seed: u64 = 1;
    let mut draw = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let mut compared = 0;
    for round in 0..60 {
        let pattern = patterns[draw(patterns.len())];
        let lines: Vec<&str> = (0..2 + draw(2)).map(|_| verbs[draw(verbs.len())]).collect();
        let mut subject = scripts(pattern, &lines);
        subject.name_hazards = true;
        subject.allow_faults(u32::from(lines.len() == 2 && draw(3) == 0));
        let limits = Limits { schedules: 5_000 };
        let go_on = &mut |_: &_| ControlFlow::Continue(());
        let whole = explore::explore(&subject, WHOLE, limits, go_on).unwrap();
        if !whole.complete {
            continue;
        }
        compared += 1;
        let name = format!("{round}: {pattern} {lines:?}");
        assert_eq!(findings(&explore(&subject, REDUCED)), findings(&whole), "{name}");
        let nameless = |found: BTreeSet<Finding>| -> BTreeSet<Finding> {
            found.into_iter().map(|finding| Finding { hazard: None, ..finding }).collect()
        };
        let mut plain = subject.clone();
        plain.name_hazards = false;
        let found = nameless(findings(&explore(&plain, REDUCED)));
        assert_eq!(found, nameless(findings(&whole)), "{name}");
        plain.properties = vec![Property::FinalState];
        let mut of_the_end = nameless(findings(&whole));
        of_the_end.retain(|finding| finding.kind.property() == Property::FinalState);
        assert_eq!(nameless(findings(&explore(&plain, REDUCED))), of_the_end, "{name}");
        subject.ends = Ends::Returned;
        let whole = explore(&subject, WHOLE);
        let reduced = explore(&subject, REDUCED);
        assert_eq!((findings(&reduced), &reduced.ends), (findings(&whole), &whole.ends), "{name}");
    }
    assert!(compared > 30, "only {compared} programs were small enough");
}

/// Clients that ask the same are taken for one another, in the middle of what they do too. What
/// servers hold in the end is the same, where nobody writes there who was the one that filled.
#[test]
fn clients_that_ask_the_same_may_change_places() {
    let patterns = ["cache-aside", "add-lock", "lease", "locked-fill", "cdc-update"];
    let programs: [&[&str]; 3] = [
        &["read 0", "read 0", "read 0", "update 0"],
        &["read 0", "read 0", "update 0", "delete 0"],
        &["read 0; read 0", "read 0; read 0", "update 0"],
    ];
    // It may not strike, but a rule that names a client tells it from the others.
    let one = Fault { clients: Some(vec![0]), ..Fault::new(What::Cancel) };
    let (mut states, mut of) = (0, 0);
    for (pattern, lines) in patterns.iter().flat_map(|p| programs.map(|lines| (p, lines))) {
        let mut subject = scripts(pattern, lines);
        if *pattern == "add-lock" {
            // A lock that cannot expire here: where it can, time tells most states apart.
            subject.scenario.settings.insert("lock-seconds".to_owned(), 300.into());
        }
        (subject.name_hazards, subject.ends) = (false, Ends::Held);
        let as_one = explore(&subject, REDUCED);
        subject.scenario.faults.push(one.clone());
        let apart = explore(&subject, REDUCED);
        let name = format!("{pattern} {lines:?}");
        assert!(as_one.complete && apart.complete, "{name}");
        assert_eq!(findings(&as_one), findings(&apart), "{name}");
        assert_eq!(as_one.ends, apart.ends, "{name}");
        (states, of) = (states + as_one.effort.states, of + apart.effort.states);
    }
    assert!(2 * states < of, "{states} states are left of {of}");
}

/// The reader that came last breaks the entry, if it alone has seen the row before its change.
async fn badge(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    let (own, badge) = (Bytes::from(cx.op().to_string()), Key::from("badge"));
    let Action::Read(id) = op.action else { return Ok(cx.db.apply(&op.action).await?.reply()) };
    cx.cache.set(&badge, own.clone(), Ttl::NEVER).await?;
    let row = cx.db.select(id).await?;
    let seen = Key::from("seen");
    if row.as_ref().is_some_and(|row| row.writer != OpId::INITIAL) {
        cx.cache.set(&seen, own, Ttl::NEVER).await?;
    } else if cx.cache.get(&seen).await?.is_some() && cx.cache.get(&badge).await? == Some(own) {
        cx.cache.set(&cx.key(id), Bytes::from("broken"), Ttl::NEVER).await?;
    }
    Ok(Reply::Row(row))
}

#[test]
fn clients_that_show_who_they_are_keep_their_places() {
    let registry = Registry::built_in().pattern("badge", "-", badge);
    let scenario = common::try_scenario("claim = '-'\npattern = 'badge'\n", &registry).unwrap();
    let sizes = Sizes { readers: Some(2), writers: Some(1), keys: Some(1) };
    let mut subject = Subject::of(&scenario, &registry, sizes).unwrap();
    subject.name_hazards = false;
    let found = findings(&explore(&subject, REDUCED));
    assert!(found.iter().any(|finding| finding.kind == Kind::Undecodable), "{found:?}");
}

/// Whether a read was stale is kept, whatever else is: it is stale by what had been committed.
#[test]
fn a_stale_read_is_found_whatever_else_is_asked() {
    let mut subject = scripts("session-min-version", &["read 0", "read 0", "read 0", "update 0"]);
    subject.name_hazards = false;
    let kinds = |subject: &Subject| -> BTreeSet<Kind> {
        findings(&explore(subject, REDUCED)).iter().map(|finding| finding.kind).collect()
    };
    assert!(kinds(&subject).contains(&Kind::StaleRead));
    subject.ends = Ends::Returned;
    assert!(kinds(&subject).contains(&Kind::StaleRead));
}

/// A relay that tries again and again while its node is gone comes back to where it was.
#[test]
fn a_relay_that_cannot_get_through_has_few_states() {
    let text = "claim = '-'\npattern = 'gutter'\n[workload]\nrows = 2\n[[workload.group]]\n\
                clients = 1\nscript = ['read 1', 'update 1', 'read 1']\n[cache]\nnodes = 2\n\
                [[fault]]\ndo = 'unreachable'\nnodes = [0]\nfrom = '20ms'\nuntil = '60ms'\n";
    for (pattern, verdict) in [("gutter", Verdict::Holds), ("outbox", Verdict::Violated)] {
        let subject = subject_of(&text.replace("gutter", pattern), Sizes::default());
        let exploration = explore(&subject, REDUCED);
        assert_eq!((exploration.verdict, exploration.complete), (verdict, true), "{pattern}");
        assert!(exploration.effort.states < 3_000, "{pattern}: {:?}", exploration.effort);
    }
}

/// What it does depends on how often it has been called, which no schedule says.
async fn moody(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    match op.action {
        Action::Read(id) => {
            if CALLS.fetch_add(1, Ordering::Relaxed) > 3 {
                cx.cache.get(&cx.key(id)).await?;
            }
            Ok(Reply::Row(cx.db.select(id).await?))
        }
        action => Ok(cx.db.apply(&action).await?.reply()),
    }
}

#[test]
fn a_pattern_that_is_not_deterministic_is_named() {
    let registry = Registry::built_in().pattern("moody", "-", moody);
    let text = "claim = '-'\npattern = 'moody'\n";
    let scenario = common::try_scenario(text, &registry).unwrap();
    let subject = Subject::of(&scenario, &registry, Sizes::default()).unwrap();
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let error = explore::explore(&subject, REDUCED, Limits::default(), go_on).unwrap_err();
    let problem = error.to_string();
    assert!(problem.contains("`moody` is not deterministic"), "{problem}");
}

/// A limit on time that is over when the search is leaves no time to cut its finding down.
#[test]
fn a_counterexample_that_there_is_no_time_to_cut_down_is_shown_as_it_was_found() {
    let subject = sized("cache-aside", 2, 2, 1);
    let mut left = 100_000;
    let mut seen = 0;
    let mut explored = |most: i32| {
        left = most;
        let watch = &mut |_: &_| {
            (left, seen) = (left - 1, seen + 1);
            match left > 0 {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break("no time is left".to_owned()),
            }
        };
        explore::explore_scenario(&subject, "s", Limits::default(), watch).unwrap()
    };
    let whole = explored(100_000);
    let searched = (whole.schedules + whole.pruned) as i32;
    let cut_short = explored(searched + 10);
    assert_eq!((whole.verdict.as_str(), cut_short.verdict.as_str()), ("violated", "violated"));
    let length = |result: &ExploreResult| result.counterexample.as_ref().unwrap().choices.len();
    assert!(length(&whole) < length(&cut_short), "{} {}", length(&whole), length(&cut_short));
}

/// Counts of schedules and states; a change of theirs is a change of what is searched.
#[test]
fn counts_are_pinned() {
    let count_with = |pattern: &str, readers: u32, writers: u32, faults: u32| {
        let mut subject = sized(pattern, readers, writers, 1);
        subject.allow_faults(faults);
        subject.properties = vec![Property::FinalState];
        subject.name_hazards = false;
        let found = explore(&subject, REDUCED);
        assert!(found.complete);
        (found.effort.schedules, found.effort.states)
    };
    let counts = [
        count_with("no-cache", 2, 2, 0),
        count_with("cache-aside", 1, 1, 0),
        count_with("cache-aside", 2, 2, 0),
        count_with("cache-aside", 3, 3, 0),
        count_with("no-cache", 2, 2, 1),
        count_with("validated-read", 2, 2, 1),
        count_with("lease", 1, 2, 1),
        count_with("locked-fill", 2, 2, 1),
    ];
    let pinned =
        [(1, 9), (3, 17), (7, 222), (13, 2499), (14, 78), (101, 1087), (71, 771), (158, 15889)];
    assert_eq!(counts, pinned);
}

#[test]
fn the_smallest_counterexample_is_replayed_and_stands_alone() {
    let subject = sized("cache-aside", 3, 2, 1);
    let exploration = explore(&subject, REDUCED);
    let (stale, _) =
        exploration.findings.iter().find(|(finding, _)| finding.kind == Kind::Stale).unwrap();
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let smallest = explore::smallest(&subject, stale, go_on).unwrap().unwrap();
    assert_eq!(smallest.choices.len(), 5, "get, select, update, delete, set");
    assert_eq!(smallest.scenario.workload.groups.len(), 2);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stale-set.json");
    std::fs::write(&file, smallest.to_json()).unwrap();
    let [(_, read)] = &Counterexample::load(&file).unwrap()[..] else { panic!("one") };
    let (replayed, _) = read.replay(&Registry::built_in(), &common::servers()).unwrap();
    assert!(read.is_confirmed_by(&replayed), "{replayed:?}");
}

#[test]
fn a_replay_names_the_first_difference() {
    let subject = sized("cache-aside", 1, 1, 1);
    let exploration = explore(&subject, REDUCED);
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let (finding, _) = &exploration.findings[0];
    let mut example = explore::smallest(&subject, finding, go_on).unwrap().unwrap();
    // Another pattern under the same schedule: its writer sends no delete.
    example.scenario.pattern = "read-through".to_owned();
    let (replayed, _) = example.replay(&Registry::built_in(), &Servers::default()).unwrap();
    assert!(!example.is_confirmed_by(&replayed));
    assert_eq!(replayed.divergence.unwrap().recorded, example.choices[3].to_string());
}

/// A client that writes and reads finds the stale entry of another's fill; the history of the
/// key has no explanation either, and with a lease both hold but for the window of a commit.
#[test]
fn registers_and_sessions_are_judged() {
    let kinds = |pattern: &str, properties: &[Property]| {
        let mut subject = scripts(pattern, &["read 0", "update 0; read 0"]);
        subject.properties = properties.to_vec();
        let found = findings(&explore(&subject, REDUCED));
        found.into_iter().map(|finding| finding.kind).collect::<BTreeSet<Kind>>()
    };
    let both = [Property::Linearizability, Property::Sessions];
    let expected = BTreeSet::from([Kind::NotLinearizable, Kind::ReadYourWrites]);
    assert_eq!(kinds("cache-aside", &both), expected);
    assert_eq!(kinds("no-cache", &both), BTreeSet::new());
    assert_eq!(kinds("lease", &both), BTreeSet::new());
}

#[test]
fn a_limit_gives_unknown() {
    let subject = sized("no-cache", 2, 2, 1);
    let limits = Limits { schedules: 2 };
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let exploration = explore::explore(&subject, REDUCED, limits, go_on).unwrap();
    assert!(matches!(exploration.verdict, Verdict::Unknown(_)), "{:?}", exploration.verdict);
    assert!(!exploration.complete);
}
