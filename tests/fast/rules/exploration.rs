//! What exploration leaves out and what it says of that: rules 16, 20, 21, 22 and 24.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use assert_cmd::Command;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use staleproof::explore::{self, Finding, Kind, Limits};
use staleproof::operation::{Action, ClientId, Op, Reply};
use staleproof::pattern::{Cx, Failure, Registry};
use staleproof::run::Servers;
use staleproof::scenario::Property;
use staleproof::step::Key;

use super::{REDUCED, WHOLE, explored, hunted, kinds, program, subject, try_explore};

/// What a command prints about a program, and the program's file.
fn printed(command: &str, text: &str, more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program.toml");
    std::fs::write(&path, text).unwrap();
    let mut staleproof = Command::cargo_bin("staleproof").unwrap();
    let output = staleproof.arg(command).arg(&path).args(more).output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// Whether two states may have been taken for one is a matter of chance, and its bound is printed
/// with what was searched: n states have fewer than n * n / 2 pairs.
#[test]
fn the_chance_that_two_states_were_taken_for_one_is_printed() {
    let clients: [&[&str]; 2] = [&["read 0"], &["update 0"]];
    let text = program("lease", "[explore]\nproperty = ['final-state']\n", &clients);
    let shown = printed("explore", &text, &[]);
    let states = shown.split(" states,").next().unwrap().rsplit(' ').next().unwrap();
    let states: u64 = states.parse().unwrap();
    let bits = shown.split("below 2^-").nth(1).unwrap_or_else(|| panic!("{shown}"));
    let bits: u32 = bits.lines().next().unwrap().parse().unwrap();
    let pairs = u128::from(states) * u128::from(states) / 2;
    assert!(pairs <= 1 << (128 - bits), "{states} states are too many for 2^-{bits}");
    assert!(pairs > 1 << (128 - bits - 3), "{states} states: 2^-{bits} says too little");
}

const REAL_TIME: [Property; 3] = [Property::Linearizability, Property::Sessions, Property::Load];

fn in_processes(processes: usize, text: &str) -> String {
    text.replace("rows = 1\n", &format!("rows = 1\nprocesses = {processes}\n"))
}

/// Few enough operations for every schedule to be run.
fn in_real_time(random: &mut StdRng, patterns: &[&str]) -> String {
    let pattern = patterns.choose(random).unwrap();
    let mut clients: Vec<Vec<&str>> = vec![Vec::new(); random.random_range(2..4)];
    for operation in 0..random.random_range(3..5) {
        let verb = ["read 0", "read 0", "update 0"].choose(random).unwrap();
        let place = operation % clients.len();
        clients[place].push(verb);
    }
    let clients: Vec<&[&str]> = clients.iter().map(Vec::as_slice).collect();
    in_processes(random.random_range(1..=clients.len()), &program(pattern, "", &clients))
}

/// Only what had returned before what was invoked can be seen of real time: all other orders may
/// be left out, and none of these.
#[test]
fn reductions_keep_what_returned_before_what_began() {
    let patterns = ["no-cache", "cache-aside", "read-through", "write-through", "local-cache"];
    let registry = Registry::built_in();
    let mut random = StdRng::seed_from_u64(22);
    let (mut compared, mut seen) = (0, BTreeSet::new());
    let mut lost = Vec::new();
    // The last step of the update and the second read of the copy have nothing else in common.
    let clients: [&[&str]; 2] = [&["read 0", "read 0"], &["update 0"]];
    let copies = in_processes(2, &program("local-cache", "", &clients));
    let generated = (0..60).map(|_| in_real_time(&mut random, &patterns));
    for text in std::iter::once(copies).chain(generated) {
        let mut subject = subject(&registry, &text);
        subject.name_hazards = false;
        subject.properties = REAL_TIME.to_vec();
        let limited = Limits { schedules: 800 };
        let go_on = &mut |_: &_| ControlFlow::Continue(());
        let whole = explore::explore(&subject, WHOLE, limited, go_on).unwrap();
        if !whole.complete {
            continue;
        }
        compared += 1;
        let reduced = try_explore(&subject, REDUCED).unwrap();
        let of = |exploration: explore::Exploration| -> BTreeSet<Finding> {
            exploration.findings.into_iter().map(|(finding, _)| finding).collect()
        };
        let (whole, reduced) = (of(whole), of(reduced));
        seen.extend(kinds(&whole));
        if whole != reduced {
            lost.push(format!("{text}{reduced:?}\nnot {whole:?}"));
        }
    }
    println!("{compared} programs compared: {seen:?}");
    assert!(lost.is_empty(), "{} programs\n{}", lost.len(), lost.join("\n\n"));
    assert!(compared >= 20, "{compared} programs were small enough");
    for kind in [Kind::NotLinearizable, Kind::ReadYourWrites, Kind::Herd] {
        assert!(seen.contains(&kind), "{kind:?} is in none of {compared} programs: {seen:?}");
    }
}

/// Whoever reads a counterexample learns by whose rules it goes wrong and whether time has to
/// pass for it.
#[test]
fn a_counterexample_names_the_database_and_the_clock_that_it_needs() {
    let needs = |shown: &str| {
        let line = shown.lines().find_map(|line| line.trim().strip_prefix("needs "));
        line.map(ToOwned::to_owned)
    };
    let asked = "[explore]\nproperty = ['final-state']\n";
    let text = program("cache-aside", asked, &[&["read 0"], &["update 0"]]);
    let shown = printed("explore", &text, &[]);
    assert!(shown.contains("smallest schedule") && needs(&shown).is_none(), "{shown}");
    let text = program("invalidate-inside-txn", asked, &[&["delete 0"], &["modify 0"]]);
    let profile = ["--database", "model:postgres-rr"];
    let database = Some("the rules of database model:postgres-rr".to_owned());
    assert_eq!(needs(&printed("explore", &text, &profile)), database);
    assert_eq!(needs(&printed("hunt", &text, &profile)), database);
    // The fill has to come after the second delete, half a second after the first.
    let asked = "[database]\ntimeout = '100ms'\n[explore]\nproperty = ['final-state']\n";
    let text = program("delayed-double-delete", asked, &[&["read 0"], &["update 0"]]);
    let shown = printed("explore", &text, &[]);
    assert!(shown.contains("every schedule") && shown.starts_with("holds"), "{shown}");
    let shown = printed("explore", &text, &["--pauses", "1"]);
    let needed = needs(&shown).unwrap_or_else(|| panic!("it needs a pause: {shown}"));
    assert!(needed.starts_with("a pause longer than "), "{shown}");
    assert!(needed.ends_with(" in c0#1 and its steps at these times"), "{shown}");
}

/// All that is left waits for a lock, and the database sees no circle: a deadlock is a finding, and
/// its operations go on after their timeouts.
#[test]
fn a_deadlock_that_the_database_does_not_see_is_a_finding() {
    let registry = Registry::built_in();
    let asked = "[explore]\nproperty = ['final-state']\n";
    let found = |pattern: &str, clients: &[&[&str]], database: &str| {
        let text = program(pattern, &format!("{database}{asked}"), clients);
        let text = text.replace("rows = 1\n", "rows = 2\n");
        let subject = subject(&registry, &text);
        let told = |findings: BTreeSet<Finding>| kinds(&findings).contains(&Kind::Deadlock);
        let [reduced, whole] = [REDUCED, WHOLE].map(|search| told(explored(&subject, search)));
        assert_eq!(reduced, whole, "{text}");
        assert_eq!(reduced, told(hunted(&subject, 200)), "{text}");
        reduced
    };
    let postgres = "[database]\nprofile = 'postgres'\n";
    let halves: [&[&str]; 2] = [&["update 0"], &["update 1"]];
    assert!(found("nested-transaction", &halves, postgres));
    // A circle that the database sees has a victim, and the rest goes on.
    assert!(!found("pair-object", &halves, postgres));
    // One writer who has the row alone waits for nobody; SQLite has one writer at a time.
    assert!(!found("nested-transaction", &halves[..1], postgres));
    assert!(found("nested-transaction", &halves[..1], ""));
}

/// Spoils the entry where client 1 is the first to store anything.
async fn jealous(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    let Action::Read(id) = op.action else { panic!("{:?} is not asked here", op.action) };
    let first = cx.cache.add(&Key::from("first"), "taken".into(), cx.ttl()).await?;
    if first && cx.client() == ClientId(1) {
        cx.cache.set(&cx.key(id), "no row".into(), cx.ttl()).await?;
    }
    Ok(Reply::Row(None))
}

/// Clients that ask the same stand for one another only where their pattern makes no difference.
#[test]
fn a_client_that_is_treated_differently_may_come_first() {
    let registry = Registry::built_in().pattern("jealous", "-", jealous);
    let text = program("jealous", "", &[&["read 0"], &["read 0"]]);
    let subject = subject(&registry, &text);
    let found = |search| {
        let exploration = try_explore(&subject, search).unwrap();
        kinds(&exploration.findings.into_iter().map(|(finding, _)| finding).collect())
    };
    assert!(found(WHOLE).contains(&Kind::Undecodable), "{:?}", found(WHOLE));
    assert_eq!(found(REDUCED), found(WHOLE));
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let result = explore::explore_scenario(&subject, "-", Limits::default(), go_on).unwrap();
    let example = result.counterexample.unwrap();
    let (replayed, _) = example.replay(&registry, &Servers::default()).unwrap();
    assert!(example.is_confirmed_by(&replayed), "{replayed:?}");
}
